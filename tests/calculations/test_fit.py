"""Fits as a job: one Δ a method; what the kind of Δ needs has to be there, and nothing else."""

from functools import cache

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.runtime.mace.model import Architecture, build, term_of
from aiida_mlcc.science.force_field import ForceField, add_delta
from tests.crystals import rocksalt, springs
from tests.runtime.mace.alloy import NETWORK
from tests.workflows.data import snapshots_of_springs

FitCalculation = CalculationFactory('mlcc.fit')


@cache
def untrained_base() -> ForceField:
    architecture = Architecture(**NETWORK, atomic_numbers=(3, 9), avg_num_neighbors=18.0)
    parameters = dict(build(architecture).named_parameters())
    return ForceField((term_of(architecture, parameters),), {'Li': 0.0, 'F': 0.0}, method='LDA')


@pytest.fixture
def builder(python):
    """Readouts of a random network, fitted to springs."""
    builder = FitCalculation.get_builder()
    builder.code = python
    builder.snapshots = SnapshotsData(snapshots_of_springs(methods={'HF': 3.6, 'CCSD(T)': 3.3}))
    builder.kind = 'readout'
    builder.base = ForceFieldData(untrained_base())
    builder.base_method, builder.methods, builder.seed = 'LDA', ['HF', 'CCSD(T)'], 1
    builder.parameters = {'ridge': [1e-8, 1e-4], 'n_folds': 4}
    return builder


def test_every_method_gets_a_delta_that_adds_to_the_base(builder):
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert set(outputs['delta']) == {'hf', 'ccsd_t'}
    total = add_delta(untrained_base(), outputs['delta']['hf'].get_force_field())
    assert [term.kind for term in total.terms] == ['mace', 'readout']
    errors = outputs['summary']['errors']['HF']
    # HF is 1.2 times LDA here.
    assert errors['base_scale'] == pytest.approx(0.2, abs=1e-3)
    assert errors['cv_rmse_mev_atom'] < 0.01 * errors['spread_mev_atom']


def test_a_base_without_a_network_is_refused_at_submission(builder):
    builder.kind = 'readout'
    builder.base = ForceFieldData(springs(rocksalt()))
    with pytest.raises(ValueError, match='`base` has 0 networks'):
        run_get_node(builder)


def test_a_method_without_labels_is_refused_at_submission(builder):
    builder.methods = ['MP2']
    with pytest.raises(ValueError, match='no MP2 labels to fit'):
        run_get_node(builder)


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'kind': 'mace'}, "'mace' is not a kind of Δ that is fitted: choose from readout, force-constants"),
        ({'kind': 'force-constants'}, 'unknown force-constants setting|force-constants setting .* is missing'),
        ({'parameters': {'ridge': [-1.0], 'n_folds': 4}}, 'none of them negative'),
        ({'parameters': {'ridge': [1e-8]}}, 'the readout setting `n_folds` is missing'),
        ({'structure': True}, 'Δ of kind readout needs no `structure`'),
        ({'base': None}, 'Δ of kind readout needs `base`'),
    ],
)
def test_inputs_that_do_not_belong_to_the_kind_are_refused_at_submission(builder, changes, sentence):
    inputs = {**builder._inputs(prune=True), **changes}
    if 'structure' in changes:
        inputs['structure'] = orm.StructureData(ase=rocksalt())
    with pytest.raises(ValueError, match=sentence):
        run_get_node(FitCalculation, **{name: value for name, value in inputs.items() if value is not None})


def test_a_base_of_another_method_is_refused_at_submission(builder):
    builder.base_method = 'PBE'
    with pytest.raises(ValueError, match='stands for LDA'):
        run_get_node(builder)
