"""Training as a job: a Δ that is worth nothing is kept and not called done; what makes no sense is refused."""

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.workflows.delta_train import DeltaTrainWorkChain
from tests.crystals import rocksalt
from tests.workflows.data import snapshots_of_springs

TrainCalculation = CalculationFactory('mlcc.train')


@pytest.fixture
def builder(python):
    """A training of one epoch on springs, Δ between two stiffnesses."""
    settings = DeltaTrainWorkChain.get_protocol_inputs('fast')['base']
    builder = TrainCalculation.get_builder()
    builder.code = python
    builder.snapshots = SnapshotsData(snapshots_of_springs(methods={'HF': 3.6}))
    builder.method, builder.seed = 'HF', 1
    builder.network = {**settings['network'], 'num_channels': 2, 'MLP_irreps': '2x0e'}
    builder.training = {**settings['training'], 'epochs': 1}
    return builder


def test_a_network_no_better_than_rescaling_is_kept_and_fails_with_both_errors(builder):
    builder.minus = 'LDA'
    outputs, node = run_get_node(builder)
    # HF is 1.2 times LDA here: rescaling is exact, and no network can be better.
    assert node.exit_status == TrainCalculation.exit_codes.ERROR_NO_BETTER_THAN_RESCALING.status
    errors = outputs['summary']['errors']
    assert f'{errors["valid_energy_rmse_mev_atom"]:.3f} meV/atom' in node.exit_message
    assert f'{errors["rescaling_mev_atom"]:.3f}' in node.exit_message
    assert outputs['force_field'].method == 'HF'


@pytest.mark.nightly
def test_energies_alone_of_a_base_are_learnt_where_forces_is_false(builder):
    builder.method, builder.forces = 'LDA', False
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert 'valid_forces_rmse_mev_angstrom' not in outputs['summary']['errors']


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({}, '`reference` needs `structure`'),
        ({'forces': False}, '`reference` teaches the harmonic forces of a base, but `forces` is false'),
        ({'minus': 'LDA'}, '`reference` is for a base'),
    ],
)
def test_a_reference_that_nothing_can_learn_from_is_refused_at_submission(builder, changes, sentence):
    inputs = {**builder._inputs(prune=True), 'method': orm.Str('LDA'), **changes}
    inputs['method'] = orm.Str('HF' if 'minus' in changes else 'LDA')
    with pytest.raises(ValueError, match=sentence):
        run_get_node(TrainCalculation, **inputs, reference=inputs['snapshots'])


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'minus': 'LDA', 'structure': True}, 'is for a base'),
        ({'correction': {'cutoff': None}}, 'needs `structure`'),
        ({'correction': {'cutoff': None}, 'structure': True, 'forces': False}, '`forces` is false'),
        ({'correction': {'cutof': 3.0}, 'structure': True}, 'unknown correction setting `cutof`'),
    ],
)
def test_a_correction_that_makes_no_sense_is_refused_at_submission(builder, changes, sentence):
    inputs = {**builder._inputs(prune=True), **changes}
    if 'structure' in changes:
        inputs['structure'] = orm.StructureData(ase=rocksalt())
    with pytest.raises(ValueError, match=sentence):
        run_get_node(TrainCalculation, **inputs)
