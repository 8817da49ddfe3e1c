"""Results as plain data: the schema, and nothing that differs between two databases."""

import json

import numpy as np
import pytest
from aiida import orm
from ase.build import bulk

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.report.data.imaginary import imaginary_lines, imaginary_summary
from aiida_mlcc.report.data.outputs import by_method, outputs_of
from aiida_mlcc.report.data.results import results_of, to_json
from aiida_mlcc.report.text import error_lines, failure_lines, mode_groups, table
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.graphs import LEARNING_CURVE
from tests.report.full_run import finished


def test_every_method_has_its_special_points_and_errors(run):
    found = results_of(run.master)
    assert set(found) == {'methods', 'dynamics', 'learning_curve', 'failed', 'snapshots'}
    assert list(found['methods']) == ['LDA', 'HF', 'CCSD(T)']
    named = {'special_points_cm1', 'long_range', 'errors', 'alternatives', 'imaginary_modes', 'delta', 'bands_sd_of'}
    assert set(found['methods']['HF']) == named
    gamma = found['methods']['CCSD(T)']['special_points_cm1']['GAMMA']
    assert set(gamma) == {
        'qpoint',
        'mean',
        'min',
        'max',
        'members',
        'sd',
        'contributions',
        'commensurate',
        'undetermined',
    }
    assert gamma['qpoint'] == [0.0, 0.0, 0.0]
    assert gamma['mean'][-1] == pytest.approx(320.0)
    assert [member[-1] for member in gamma['members']] == pytest.approx([319.0, 321.0])
    assert found['methods']['HF']['errors']['seed_5192'] == {'cv_rmse_mev_atom': 0.2}
    assert found['methods']['HF']['alternatives'] == {'readout': {'seed_5192': {'cv_rmse_mev_atom': 0.3}}}


def test_every_frequency_has_its_error_and_what_that_is_made_of(run):
    points = results_of(run.master)['methods']['CCSD(T)']['special_points_cm1']
    assert points['GAMMA']['sd'] == [4.0] * 6
    assert points['GAMMA']['contributions']['bootstrap'] == [3.7] * 6
    assert [points[label]['commensurate'] for label in ('GAMMA', 'X', 'L')] == [True, True, False]


def test_without_a_budget_the_error_is_the_spread_of_the_members(run):
    gamma = results_of(run.master)['methods']['LDA']['special_points_cm1']['GAMMA']
    assert gamma['sd'][-1] == pytest.approx(2**0.5)
    assert gamma['contributions'] == {}
    assert gamma['commensurate'] is None


def test_the_learning_curve_is_passed_on(run):
    assert results_of(run.master)['learning_curve'] == LEARNING_CURVE


def test_the_snapshots_are_named_by_what_is_the_same_everywhere(run):
    summary = results_of(run.master)['snapshots']
    assert summary['uuid'] == run.snapshots.uuid
    assert summary['content_hash'] == run.snapshots.get_snapshots().content_hash()
    assert summary['n_labelled'] == {'LDA': 5, 'HF': 2, 'MP2': 2, 'CCSD(T)': 2}
    assert summary['formula'] == 'F4Li4'


def test_json_is_sorted_and_comes_back(run):
    found = results_of(run.master)
    text = to_json(found)
    assert json.loads(text) == found
    assert text == to_json(json.loads(text))


def test_table_leaves_out_acoustic_modes_at_gamma_and_shows_the_errors(run):
    lines = table(results_of(run.master)).splitlines()
    gamma = lines.index(next(line for line in lines if line.startswith('Γ')))
    assert lines[gamma].split()[-3:] == ['LDA', 'HF', 'CCSD(T)']
    assert [line.split()[:2] for line in lines[gamma + 1 : gamma + 4]] == [['mode', '4'], ['mode', '5'], ['mode', '6']]
    assert '310.0 ± 1.4' in lines[gamma + 3]
    assert '320.0 ± 4.0' in lines[gamma + 3]


def at_gamma(*mean):
    return {'mean': list(mean)}


def test_imaginary_optical_modes_at_gamma_are_shown():
    assert mode_groups({'HF': at_gamma(-200.0, -200.0, -200.0, 0.1, 0.1, 0.1)}, 'GAMMA') == [(0, 2)]
    assert mode_groups({'HF': at_gamma(-0.4, 0.0, 0.0, 0.0, 0.41, 300.0)}, 'GAMMA') == [(0, 0), (4, 4), (5, 5)]


def test_modes_that_one_method_alone_finds_imaginary_are_shown_for_all_without_a_name():
    stable, unstable = at_gamma(0.0, 0.0, 0.0, 300.0, 300.0, 300.0), at_gamma(-200.0, -200.0, -200.0, 0.0, 0.0, 0.0)
    assert mode_groups({'LDA': stable, 'HF': unstable}, 'GAMMA') == [(0, 2), (3, 5)]
    points = {
        method: {'GAMMA': {'qpoint': [0, 0, 0], 'commensurate': True, 'sd': [0.0] * 6, **entry}}
        for method, entry in (('LDA', stable), ('HF', unstable))
    }
    lines = table({'methods': {method: {'special_points_cm1': found} for method, found in points.items()}}).splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ['modes', '1-3', '0.0', '-200.0'],
        ['modes', '4-6', '300.0', '0.0'],
    ]


def test_table_marks_points_that_the_training_cell_does_not_hold(run):
    text = table(results_of(run.master))
    assert 'L (0.5 0.5 0.5) *' in text
    assert 'X (0.5 0 0.5) *' not in text
    assert 'This wave vector is not commensurate with the training cell' in text
    assert '*' not in table(results_of(run.master), labels=('X',))


def test_imaginary_modes_are_told_of_the_method_that_has_them(run):
    (line,) = imaginary_lines(results_of(run.master))
    assert line.startswith('LDA: imaginary modes in seed_5192, seed_5391, the lowest -12 cm⁻¹ at (0.5 0.5 0.5)')


def test_the_summary_of_imaginary_modes_names_the_methods(run):
    assert (
        imaginary_summary(results_of(run.master))
        == 'Imaginary modes by LDA lie only where the data do not determine them.'
    )


def test_imaginary_modes_beyond_the_training_cell_are_not_determined(run):
    """The cell of eight atoms of rocksalt holds Γ and X, not L."""
    methods = results_of(run.master)['methods']
    assert [(mode['member'], mode['determined']) for mode in methods['LDA']['imaginary_modes']] == [
        ('seed_5192', False),
        ('seed_5391', False),
    ]
    assert methods['HF']['imaginary_modes'] == []
    (line,) = imaginary_lines(results_of(run.master))
    assert line.endswith('this is not determined, for the training cell does not hold that wave vector.')


def test_table_can_be_of_some_points_only(run):
    text = table(results_of(run.master), labels=('X', 'M'))
    assert 'X (' in text
    assert 'Γ' not in text


def test_what_is_missing_is_told_once():
    failed = [
        {'stage': 'dft_md', 'what': 'dft_md', 'reason': 'too hot'},
        {'stage': 'vacf', 'what': 'vacf of HF', 'reason': 'too cold'},
        {'stage': 'delta_train', 'what': 'base_seed_1', 'seed': 1, 'method': None, 'reason': 'too slow'},
    ]
    assert failure_lines(failed) == ['dft_md: too hot', 'vacf of HF: too cold', 'delta_train, base_seed_1: too slow']


def test_the_frequency_that_the_forces_contradict_most_is_told():
    modes = [(0.0, -2.0, 0.5), (0.5, 11.0, 1.0)]
    residuals = [{'qpoint': [q, 0.0, q], 'shift_cm1': s, 'standard_error_cm1': e} for q, s, e in modes]
    base = {'errors': {'seed_1': {'projected_residuals': residuals}}}
    (line,) = error_lines({'methods': {'LDA': base}})
    assert line == 'LDA seed_1: frequencies off by at most -11.0 ± 1.0 cm⁻¹ at (0.5 0 0.5)'


def test_errors_are_told_in_their_units(run):
    assert 'HF seed_5192, seed_5391: Δ in cross-validation 0.200 meV/atom' in error_lines(results_of(run.master))


def polar_results(**long_range):
    """One method of a polar crystal, at Γ and at a wave vector that the training cell holds."""
    gamma = {'qpoint': [0, 0, 0], 'mean': [0.0] * 3 + [300.0] * 2 + [500.0], 'sd': [0.0] * 3 + [1.0] * 3}
    held = {'qpoint': [0.5, 0, 0.5], 'mean': [100.0, 110.0, 120.0, 300.0, 310.0, 450.0], 'sd': [1.0] * 6}
    points = {'GAMMA': {**gamma, 'commensurate': True}, 'X': {**held, 'commensurate': True}}
    points['L'] = {**held, 'qpoint': [0.5] * 3, 'commensurate': False}
    marked = {label: {**entry, 'undetermined': [5]} for label, entry in points.items()}
    modes = [{'label': 'T1u', 'modes': [3, 4, 5], 'mean': 300.0, 'infrared': True}]
    return {'methods': {'HF': {'special_points_cm1': marked, 'long_range': long_range, 'gamma_modes': modes}}}


def test_modes_that_nothing_determines_are_marked_but_where_the_training_cell_holds_them():
    lines = table(polar_results(lo_remark='seed_1: no term')).splitlines()
    marked = [line for line in lines if '500.0' in line or '450.0' in line]
    assert [line.endswith('†') for line in marked] == [True, False, True], 'Γ is a limit, X is held, L is not'
    assert '† HF: not determined between commensurate wave vectors (seed_1: no term).' in lines


def test_without_charges_the_table_says_first_that_lo_is_missing_and_names_to():
    results = polar_results(lo_missing=True)
    for entry in results['methods']['HF']['special_points_cm1'].values():
        entry['undetermined'] = []
    lines = table(results).splitlines()
    assert lines[0] == 'No Born charges were given: at Γ all infrared active modes are TO, and LO is missing.'
    assert any(line.strip().startswith('modes 4-5 TO') for line in lines)


def test_outputs_of_methods_of_any_name_are_found_in_order(aiida_profile):
    frames = Snapshots.from_atoms([bulk('LiF', 'rocksalt', a=4.03)])
    label = Label(np.zeros(1), np.zeros((1, 2, 3)))
    named = frames.with_label('r2SCAN', label).with_label('RPA', Label(np.ones(1)))
    outputs = {'snapshots': SnapshotsData(named), 'special_points__rpa': orm.Dict(), 'special_points__hf': orm.Dict()}
    outputs['special_points__r2scan'] = orm.Dict()
    process = finished({name: node.store() for name, node in outputs.items()})
    assert list(by_method(process, 'special_points')) == ['r2SCAN', 'HF', 'RPA']


def test_an_instability_that_data_determine_is_not_hidden_by_a_lower_mode_elsewhere(run):
    """X, which the training cell holds, at −20 cm⁻¹, and L, which it does not, at −100 cm⁻¹."""
    bands = run.dispersion['LDA'].clone()
    members = bands.get_array('members').copy()
    members[0, 4, 0], members[0, 5, 0], members[1, 5, 0] = -20.0, -100.0, -90.0
    bands.set_array('members', members)
    bands.base.attributes.set('members', ['seed_5192', 'seed_5391'])
    process = finished({**outputs_of(run.master), 'dispersion__lda': bands.store()})
    found = results_of(process)['methods']['LDA']['imaginary_modes']
    assert [(mode['member'], mode['frequency_cm1'], mode['determined']) for mode in found] == [
        ('seed_5192', -100.0, False),
        ('seed_5391', -90.0, False),
        ('seed_5192', -20.0, True),
    ]
    assert imaginary_summary(results_of(process)).startswith(
        'The crystal has imaginary modes by LDA, so it is not stable'
    )
    (line,) = imaginary_lines(results_of(process))
    assert 'in seed_5192, the lowest -20 cm⁻¹ at (0.5 0 0.5): the crystal is not stable in this model' in line
