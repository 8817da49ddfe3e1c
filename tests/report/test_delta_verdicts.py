"""What was found of a Δ, in results and on the page alike."""

import pytest
from aiida import orm

from aiida_mlcc.report.data.delta_verdicts import undetermined_lines, verdict_lines, verdict_of
from aiida_mlcc.report.data.outputs import outputs_of
from aiida_mlcc.report.data.results import results_of
from aiida_mlcc.report.page.tables import special_points_table, undetermined_table, verdict_table
from aiida_mlcc.report.text import table
from tests.report.full_run import finished
from tests.report.read_page import page_of

NUMBERS = {'predicted_rmse_mev_atom': 0.31, 'predicted_rescaling_mev_atom': 0.3, 'spread_mev_atom': 0.9}
SUPPORTED = {**NUMBERS, 'worth_it': True, 'rescaled_only': False, 'judged_by': 'held-out', 'evidence_gain': 40.0}
RESCALED = {**SUPPORTED, 'rescaled_only': True, 'base_scale': 0.03, 'evidence_gain': 1.0}
FAILED = {**SUPPORTED, 'worth_it': False}
UNKNOWN = {**SUPPORTED, 'worth_it': None, 'judged_by': 'nothing'}
MODES = [
    {'qpoint': [0.0, 0.0, 0.0], 'frequency_cm1': 52.04, 'share': 0.01},
    {'qpoint': [0.5, 0.0, 0.5], 'frequency_cm1': 83.0, 'share': 0.3},
]


def run_with(run, errors):
    """Return a run of which the errors are these."""
    outputs = {name: node for name, node in outputs_of(run.master).items() if name != 'errors'}
    return finished({**outputs, 'errors': orm.Dict(errors).store()})


@pytest.fixture(scope='module')
def judged(run):
    both = {'seed_5192': RESCALED, 'seed_5391': RESCALED}
    modes = {**FAILED, 'undetermined_modes': MODES}
    return run_with(run, {'HF': both, 'CCSD(T)': {'seed_5192': modes, 'seed_5391': SUPPORTED}})


@pytest.mark.parametrize(
    ('errors', 'verdict'),
    [
        (SUPPORTED, 'supported'),
        (RESCALED, 'rescaled energy alone'),
        (FAILED, 'no better than simpler'),
        ({**RESCALED, 'worth_it': False}, 'no better than simpler'),
        (UNKNOWN, 'not judged'),
        ({'forces_rmse_mev_angstrom': 9.0}, None),
    ],
)
def test_what_is_found_of_a_fit(errors, verdict):
    assert verdict_of(errors) == verdict


def test_results_have_the_gravest_of_the_members(judged):
    methods = results_of(judged)['methods']
    assert {method: entry['delta'] for method, entry in methods.items()} == {
        'LDA': None,
        'HF': 'rescaled energy alone',
        'CCSD(T)': 'no better than simpler',
    }


def test_the_page_says_first_what_results_say(judged):
    lines = verdict_lines(results_of(judged))
    assert [line.partition(':')[0] for line in lines] == ['HF ‡ (seed_5192, seed_5391)', 'CCSD(T) ‡ (seed_5192)']
    assert 'the rescaled energy of the base (factor 1.030)' in lines[0]
    assert 'to 0.310 meV/atom, no better than the rescaled energy of the base (0.300) or a constant (0.900)' in lines[1]
    words = page_of(judged).words
    assert all(line in words for line in lines)


def test_frequencies_of_such_a_method_are_marked_in_both_tables(judged):
    results = results_of(judged)
    assert special_points_table(results).header == ['modes', 'LDA', 'HF ‡', 'CCSD(T) ‡']
    assert 'HF ‡' in table(results).splitlines()[0]


def test_the_table_has_a_row_for_all_members_of_one_fit(judged):
    found = dict(verdict_table(results_of(judged)).groups)
    assert [row[:3] for row in found['HF']] == [['seed_5192, seed_5391', 'rescaled energy alone', 'frames left out']]
    assert [row[1] for row in found['CCSD(T)']] == ['no better than simpler', 'supported']


def test_modes_that_labels_do_not_determine_are_named(judged):
    results = results_of(judged)
    (line,) = undetermined_lines(results)
    assert line.startswith('CCSD(T): the labels do not determine how 2 modes of the base change: 52 cm⁻¹ at (0 0 0)')
    assert undetermined_table(results).groups[0][1][0] == ['(0 0 0)', '52.0', '1 %']
    assert line in page_of(judged).words


def test_of_a_run_whose_fits_were_not_judged_nothing_is_said(run):
    results = results_of(run.master)
    assert verdict_lines(results) == undetermined_lines(results) == []
    assert verdict_table(results) is None
