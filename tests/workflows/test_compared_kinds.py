"""Other kinds of Δ and the control beside the members of a training, which is run once for all tests here."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from tests.crystals import rocksalt
from tests.workflows.data import snapshots_of_springs
from tests.workflows.training.test_delta_train import builder_of

pytestmark = pytest.mark.nightly


@pytest.fixture(scope='module')
def compared(python):
    """One member with force constants, readouts to compare with, and the control."""
    crystal = orm.StructureData(ase=rocksalt())
    overrides = {'methods': ['HF'], 'seeds': [1], 'delta': {'compare': ['readout']}, 'control': True}
    outputs, node = run_get_node(builder_of(python, crystal, snapshots_of_springs(methods={'HF': 3.6}), **overrides))
    assert node.is_finished_ok, node.exit_message
    return outputs, node


def test_the_member_has_the_kind_asked_for_and_the_alternative_the_other(compared):
    outputs, _ = compared
    member, other = outputs['delta_ml']['hf']['seed_1'], outputs['alternatives']['readout']['hf']['seed_1']
    assert [term.kind for term in member.get_force_field().terms] == ['mace', 'force-constants']
    assert [term.kind for term in other.get_force_field().terms] == ['mace', 'readout']


def test_the_control_learns_no_forces_and_the_base_does(compared):
    outputs, node = compared
    jobs = [process for process in node.called_descendants if process.process_label == 'TrainCalculation']
    without = [job for job in jobs if 'forces' in job.inputs and not job.inputs.forces.value]
    assert [job.outputs.force_field.uuid for job in without] == [outputs['control']['seed_1'].uuid]
    assert len(jobs) == 2


def test_errors_are_gathered_by_method_and_kind(compared):
    errors = compared[0]['errors'].get_dict()
    assert set(errors) == {'LDA', 'LDA(E)', 'HF', 'alternatives'}
    assert set(errors['alternatives']['readout']['HF']) == {'seed_1'}


def test_samples_of_springs_without_noise_are_all_the_delta_that_was_fitted(compared):
    samples = compared[0]['samples']['hf']
    drawn, fitted = samples.get_array('bootstrap'), samples.get_array('parameters')
    assert drawn.shape[1:] == fitted.shape
    assert np.allclose(drawn, fitted, atol=0.05 * np.abs(fitted).max())
