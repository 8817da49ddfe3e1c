"""What the master makes of labelled snapshots beside the curves: errors of every frequency. Run once for all tests."""

import json

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.report.data.results import results_of, to_json
from aiida_mlcc.report.text import table
from aiida_mlcc.workflows.mlcc_phonon import MLCCPhononWorkChain
from tests.crystals import rocksalt
from tests.workflows.data import snapshots_of_springs
from tests.workflows.test_mlcc_phonon import QUICK_NETWORK, QUICK_PHONONS

pytestmark = pytest.mark.nightly


@pytest.fixture(scope='module')
def run(python):
    """A member with force constants, a readout and a network of one epoch to compare with, and the control."""
    hopeless = {**QUICK_NETWORK, 'training': {'epochs': 1}}
    training = {
        'seeds': [3],
        'base': {'kind': 'mace', **QUICK_NETWORK},
        'delta': {'compare': ['readout', 'mace'], 'mace': hopeless},
        'control': True,
    }
    overrides = {'methods': ['HF'], 'vacf_methods': [], 'delta_train': training, 'harmonic_phonon': QUICK_PHONONS}
    builder = MLCCPhononWorkChain.get_builder_from_protocol(
        python,
        orm.StructureData(ase=rocksalt()),
        'fast',
        overrides,
        snapshots=SnapshotsData(snapshots_of_springs(n_frames=16, methods={'HF': 3.6})),
    )
    outputs, node = run_get_node(builder)
    return outputs, node


def test_alternatives_that_fail_are_named_and_the_run_succeeds(run):
    outputs, node = run
    assert node.is_finished_ok, node.exit_message
    (failed,) = outputs['failures']['failed']
    assert failed['what'] == 'delta_mace_hf_seed_3'
    assert failed['optional']


def test_the_control_has_a_dispersion_of_its_own(run):
    outputs, _ = run
    assert set(outputs['dispersion']) == {'lda', 'lda_e', 'hf'}
    assert set(outputs['control']) == {'seed_3'}


def test_a_delta_is_judged_by_snapshots_and_kinds_and_all_by_what_the_base_leaves(run):
    points = {method: entry['special_points_cm1'] for method, entry in results_of(run[1])['methods'].items()}
    made_of = {m: {n for n, part in points[m]['X']['contributions'].items() if part is not None} for m in points}
    assert made_of == {'LDA': {'base'}, 'LDA(E)': {'base'}, 'HF': {'base', 'bootstrap', 'label_noise', 'kinds'}}
    parts = points['HF']['X']['contributions']
    squares = sum(parts[name][3] ** 2 for name in ('base', 'bootstrap', 'kinds'))
    assert points['HF']['X']['sd'][3] == pytest.approx(np.sqrt(squares))


def test_what_the_training_cell_does_not_hold_is_marked_in_json_and_text(run):
    results = results_of(run[1])
    points = results['methods']['HF']['special_points_cm1']
    assert {label for label, entry in points.items() if entry['commensurate']} == {'GAMMA', 'X'}
    assert 'L (0.5 0.5 0.5) *' in table(results)


def test_errors_of_the_base_tell_what_is_left_to_each_mode(run):
    errors = json.loads(to_json(results_of(run[1])))['methods']['LDA']['errors']
    modes = errors['seed_3']['projected_residuals']
    assert {tuple(mode['qpoint']) for mode in modes} >= {(0.0, 0.0, 0.0)}
    assert all(mode['standard_error_cm1'] > 0 for mode in modes)


def test_errors_of_the_other_kinds_stand_beside_those_of_the_chosen_one(run):
    hf = results_of(run[1])['methods']['HF']
    assert set(hf['errors']) == {'seed_3'}
    assert set(hf['alternatives']) == {'readout'}
