"""The estimate between two rounds of labelling, on springs whose frequency is known in closed form."""

import pytest
from aiida import orm

from aiida_mlcc.calculations.functions.estimate_frequencies import estimate_frequencies
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from tests.crystals import optical_frequency_cm1, rocksalt
from tests.workflows.data import snapshots_of_springs

PARAMETERS = {
    'base_method': 'LDA',
    'method': 'HF',
    'qpoints': {'GAMMA': [0.0, 0.0, 0.0]},
    'covariates': False,
    'seed': 1,
}


def estimate_of(n_frames: int):
    snapshots = SnapshotsData(snapshots_of_springs(n_frames, methods={'HF': 3.6}))
    primitive = orm.StructureData(ase=rocksalt())
    return estimate_frequencies.run_get_node(
        snapshots, primitive, orm.Dict(PARAMETERS), science_hash(estimate_frequencies)
    )


@pytest.mark.nightly
def test_springs_have_their_frequency_and_labels_without_noise_leave_no_doubt(aiida_profile):
    estimate, node = estimate_of(14)
    assert node.is_finished_ok, node.exit_message
    assert estimate['n_labels'] == 14
    assert estimate['frequencies_cm1']['GAMMA'][3:] == pytest.approx(
        [optical_frequency_cm1(rocksalt(), 3.6)] * 3, rel=1e-3
    )
    assert max(estimate['sd_cm1']['GAMMA']) < 1.0


def test_too_few_labels_are_a_sentence_and_no_traceback(aiida_profile):
    _, node = estimate_of(2)
    assert not node.is_finished_ok
    assert 'frames carry' in node.exit_message
