"""Labels at Γ, Grüneisen parameters, Born charges and the symmetry of the force constants on the page."""

import numpy as np
import pytest
from aiida import orm

from aiida_mlcc.report.curves.born_charges import born_table
from aiida_mlcc.report.curves.dispersion import force_constants_table
from aiida_mlcc.report.data.modes import label_at_gamma
from aiida_mlcc.report.data.results import results_of
from aiida_mlcc.report.page.tables import special_points_table
from tests.report.full_run import finished
from tests.report.read_page import page_of, traces

pytestmark = pytest.mark.nightly


@pytest.fixture(scope='module')
def results(full):
    """Return the results of the run that has everything."""
    return results_of(full.process)


def _triple(label='T1u', mean=300.0):
    return {'label': label, 'modes': [3, 4, 5], 'mean': mean}


def test_modes_at_gamma_have_their_labels_but_those_that_dipoles_move(results):
    gamma = special_points_table(results).groups[0][1]
    # The topmost is where no mode without dipoles is.
    assert [row[0] for row in gamma] == ['4 A1g', '5 B2u', '6']


def test_labels_that_differ_between_methods_stand_in_their_cells():
    point = {'qpoint': [0, 0, 0], 'mean': [0.0] * 3 + [300.0] * 3, 'sd': [0.0] * 6, 'commensurate': None}
    methods = {
        m: {'special_points_cm1': {'GAMMA': point}, 'gamma_modes': [_triple(label)]}
        for m, label in (('LDA', 'T1u'), ('HF', 'T2g'))
    }
    table = special_points_table({'methods': methods})
    assert table.groups[0][1] == [['4–6', '300.0 T1u', '300.0 T2g']]


def test_a_label_that_some_method_does_not_have_stands_only_where_it_belongs():
    point = {'qpoint': [0, 0, 0], 'mean': [0.0] * 3 + [300.0] * 3, 'sd': [0.0] * 6, 'commensurate': None}
    methods = {
        'LDA': {'special_points_cm1': {'GAMMA': point}, 'gamma_modes': [_triple('T1u')]},
        'HF': {'special_points_cm1': {'GAMMA': point}, 'gamma_modes': [_triple('T1u', 280.0)]},
        'CCSD(T)': {'special_points_cm1': {}, 'gamma_modes': []},
    }
    row = special_points_table({'methods': methods}).groups[0][1]
    assert row == [['4–6', '300.0 T1u', '300.0', '–']]
    del methods['HF']
    assert special_points_table({'methods': methods}).groups[0][1] == [['4–6 T1u', '300.0', '–']]


def test_a_label_belongs_to_the_modes_of_its_frequency():
    assert label_at_gamma([_triple()], 300.3, n_modes=2) == 'T1u'
    assert label_at_gamma([_triple()], 320.0) == ''
    assert label_at_gamma([_triple(label=None)], 300.0, n_modes=3) == ''


def test_modes_that_meet_by_chance_have_both_labels_and_more_modes_than_known_have_none():
    pair = {'label': 'Eu', 'modes': [6, 7], 'mean': 300.2}
    assert label_at_gamma([_triple(), pair], 300.1, n_modes=5) == 'T1u + Eu'
    assert label_at_gamma([_triple()], 300.0, n_modes=4) == ''


def test_charges_that_all_methods_share_stand_there_once_with_what_was_corrected(results):
    table = born_table(results)
    ((heading, rows),) = table.groups
    assert heading == 'LDA, HF, CCSD(T)'
    assert list(table.header) == ['tensor', 'xx', 'yy', 'zz']
    assert rows == [
        ['Z* of Li 1', '1.050', '1.050', '1.050'],
        ['Z* of F 2', '-1.050', '-1.050', '-1.050'],
        ['ε∞', '1.960', '1.960', '1.960'],
    ]
    assert 'net charge of 0.012 e taken off' in table.note


def test_other_components_are_there_where_they_are_not_zero():
    charges = np.array([np.diag([1.0, 2.0, 3.0]), np.diag([-1.0, -2.0, -3.0])])
    charges[0, 0, 1], charges[1, 0, 1] = 0.25, -0.25
    content = {'born_charges': charges.tolist(), 'dielectric': np.eye(3).tolist(), 'atoms': [], 'report': None}
    table = born_table({'methods': {'HF': {'born_charges': content}}})
    assert list(table.header) == ['tensor', 'xx', 'yy', 'zz', 'xy']
    assert table.groups[0][1][0] == ['Z* of atom 1', '1.000', '2.000', '3.000', '0.250']


def test_methods_with_charges_of_their_own_have_their_own_rows():
    def content(charge):
        tensors = [(charge * np.eye(3)).tolist(), (-charge * np.eye(3)).tolist()]
        return {'born_charges': tensors, 'dielectric': np.eye(3).tolist(), 'atoms': ['Li', 'F'], 'report': f'{charge}'}

    methods = {method: {'born_charges': content(charge)} for method, charge in (('LDA', 1.0), ('HF', 1.2))}
    table = born_table({'methods': methods})
    assert [heading for heading, _ in table.groups] == ['LDA', 'HF']
    assert 'HF: 1.2.' in table.note


def test_the_symmetry_of_force_constants_has_its_size_and_unit(results):
    table = force_constants_table(results)
    assert dict(table.groups)['CCSD(T)'][0] == ['seed_5192', '0.0013', '0.00025', '10', '3e-05']
    assert all('eV/Å' in name for name in table.header[1:])
    assert table.folded


def test_gruneisen_parameters_follow_the_path_with_gaps_where_there_is_no_frequency(full, page_of_full):
    page = page_of_full
    node = full.nodes['gruneisen__hf']
    y = traces(page, 'gruneisen', 'line')['HF']['y']
    # Two stretches, of five points and of one, each with a gap after it, for six branches.
    drawn = np.array(y, dtype=float).reshape(6, 8)
    expected = node.get_array('mean')
    assert drawn[:, :5] == pytest.approx(expected[:5].T, abs=1e-4, nan_ok=True)
    assert drawn[:, 6] == pytest.approx(expected[5], abs=1e-4)
    assert np.isnan(drawn[:3, 0]).all()
    shade = traces(page, 'gruneisen', 'range')['HF']
    assert shade['y'][0] == pytest.approx(node.get_array('min')[1, 0])


def test_gruneisen_parameters_on_another_path_are_named_as_missing(run):
    elsewhere = {name: np.ones((2, 6)) for name in ('mean', 'min', 'max', 'sd')}
    node = orm.ArrayData({'qpoints': np.zeros((2, 3)), 'members': np.ones((1, 2, 6)), **elsewhere}).store()
    page = page_of(finished({'dispersion__hf': run.dispersion['HF'], 'gruneisen__hf': node}))
    assert 'Grüneisen parameters of HF on the path of its dispersion' in ''.join(page.words)
    assert 'gruneisen-data' not in page.data


def test_a_run_without_any_of_it_has_no_tables(run):
    results = results_of(run.master)
    assert born_table(results) is None
    assert force_constants_table(results) is None
    assert [row[0] for row in special_points_table(results).groups[0][1]] == ['4', '5', '6']
