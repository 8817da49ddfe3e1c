"""Training as a job: a Δ that is worth nothing is kept and not called done; what makes no sense is refused."""

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory
from ase.data import atomic_numbers

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.runtime.mace.training_settings import Network
from aiida_mlcc.science.force_field import ForceField, Term
from aiida_mlcc.workflows.common.protocol import ProtocolError
from aiida_mlcc.workflows.training.delta_train import DeltaTrainWorkChain, with_network_of_start
from tests.crystals import rocksalt, springs
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


def network_for(*symbols: str, **changes: object) -> ForceField:
    """A force field of one network as its description has it, with no weights to speak of."""
    shape = DeltaTrainWorkChain.get_protocol_inputs('fast')['base']['network']
    settings = {**shape, **changes, 'atomic_numbers': [atomic_numbers[symbol] for symbol in symbols]}
    return ForceField((Term('mace', settings, {'weights': np.zeros(1)}),))


@pytest.mark.parametrize(
    ('start', 'sentence'),
    [
        (network_for('Li', 'H'), '`start_from` knows the elements H, Li, not F'),
        (network_for('Li', 'F', r_max=5.5), r'`network\.r_max` is .*, but the network of `start_from` has 5\.5'),
        (
            springs(rocksalt()),
            'starts from a single network of weight 1, and that force field has: 1 × force-constants',
        ),
        (
            ForceField((replace(network_for('Li', 'F').terms[0], weight=0.5),)),
            'starts from a single network of weight 1, and that force field has: 0.5 × mace',
        ),
    ],
    ids=['element', 'architecture', 'no network', 'half a network'],
)
def test_a_start_from_what_does_not_fit_is_refused_at_submission(builder, start, sentence):
    inputs = {**builder._inputs(prune=True), 'network': dict(network_for('Li').terms[0].settings)}
    del inputs['network']['atomic_numbers']
    with pytest.raises(ValueError, match=sentence):
        run_get_node(TrainCalculation, **inputs, start_from=ForceFieldData(start))


def test_parts_of_a_random_network_cannot_stay_as_they_are(builder):
    inputs = builder._inputs(prune=True)
    inputs['training'] = {**inputs['training'].get_dict(), 'frozen': ['embedding']}
    with pytest.raises(
        ValueError, match=r'`training\.frozen` keeps embedding of the network in `start_from`, which is'
    ):
        run_get_node(TrainCalculation, **inputs)


@pytest.mark.parametrize(
    ('kind', 'polar', 'sentence'),
    [
        ('mace', True, 'but with `nac` the dipole–dipole energy is subtracted before the base is trained'),
        ('force-constants+mace', False, 'set `base.kind` to mace, not force-constants'),
    ],
)
def test_a_network_of_whole_energies_is_no_start_for_a_part_of_them(python, kind, polar, sentence):
    start = ForceFieldData(network_for('Li', 'F', r_max=5.5)).store()
    nac = orm.ArrayData(np.zeros(3)) if polar else None
    crystal, snapshots = orm.StructureData(ase=rocksalt()), SnapshotsData(snapshots_of_springs(methods={'HF': 3.6}))
    builder = DeltaTrainWorkChain.get_builder_from_protocol(
        python, crystal, snapshots, 'LDA', 'fast', {'base': {'start_from': start.uuid, 'kind': kind}}, nac=nac
    )
    with pytest.raises(ValueError, match=sentence):
        run_get_node(builder)


def test_a_protocol_takes_the_architecture_of_the_network_it_starts_from(python):
    start = ForceFieldData(network_for('Li', 'F', r_max=5.5)).store()
    base = {'start_from': start.uuid, 'kind': 'mace'}
    base = with_network_of_start(base, {})
    assert base['start_from'].uuid == start.uuid
    assert base['network']['r_max'] == 5.5
    assert set(base['network']) == set(Network.rules())


def test_a_network_to_start_from_that_is_not_there_is_named():
    with pytest.raises(ProtocolError, match=r'`base\.start_from`: .*00000000'):
        with_network_of_start({'start_from': '00000000-0000-4000-8000-000000000000'}, {})


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
