"""HarmonicPhononWorkChain against springs whose frequencies are known in closed form."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.force_field import ForceField, Term
from aiida_mlcc.workflows.phonons.harmonic_phonon import HarmonicPhononWorkChain
from tests.crystals import optical_frequency_cm1, rocksalt, springs
from tests.workflows.data import snapshots_of_springs

SMALL = {'supercell_matrix': [2, 2, 2], 'parameters': {'mesh': [8, 8, 8], 'band_points': 11}}


@pytest.fixture
def phonons(python, crystal, members):
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        python, crystal, members, protocol='fast', overrides=SMALL
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return outputs, node


def test_two_members_have_the_frequencies_of_their_springs_and_that_spread(phonons):
    outputs, node = phonons
    gamma = outputs['special_points']['GAMMA']
    expected = [optical_frequency_cm1(rocksalt(), stiffness) for stiffness in (3.0, 3.3)]
    assert np.allclose(np.array(gamma['members'])[:, 3:], np.array(expected)[:, None], rtol=1e-4)
    assert np.allclose(np.array(gamma['members'])[:, :3], 0, atol=0.5)
    assert gamma['mean'][3] == pytest.approx(np.mean(expected), rel=1e-4)
    assert (gamma['min'][3], gamma['max'][3]) == pytest.approx(expected, rel=1e-4)
    assert gamma['sd'][3] == pytest.approx(np.std(expected, ddof=1), rel=1e-3)

    dispersion = outputs['dispersion']
    assert dispersion.units == 'cm^-1'
    labels = dict(dispersion.labels)
    (at_gamma,) = [index for index, label in labels.items() if label == 'GAMMA'][:1]
    assert np.allclose(dispersion.get_bands()[at_gamma], gamma['mean'], atol=1e-3)
    assert dispersion.get_array('members').shape == (2, *dispersion.get_bands().shape)

    grid = outputs['dos'].get_x()[1]
    curves = {name: curve for name, curve, _ in outputs['dos'].get_y()}
    assert {'mean', 'min', 'max', 'sd', 'seed_1', 'seed_2', 'element_Li', 'element_F'} <= set(curves)
    assert np.trapezoid(curves['seed_1'], grid) == pytest.approx(6, rel=0.02)
    assert np.allclose(curves['element_Li'] + curves['element_F'], curves['mean'])
    assert outputs['special_points']['imaginary'] == {}

    jobs = [process for process in node.called_descendants if process.process_label == 'EvaluateCalculation']
    assert len(jobs) == 1, 'all displaced cells of all members are one job'


@pytest.mark.nightly
def test_imaginary_modes_are_flagged_and_do_not_fail_the_run(python, crystal):
    unstable = {'seed_1': ForceFieldData(springs(rocksalt(), stiffness=-1.0))}
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        python, crystal, unstable, protocol='fast', overrides={**SMALL, 'supercell_matrix': [1, 1, 1]}
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok
    worst = outputs['special_points']['imaginary']['seed_1']
    lowest = outputs['dispersion'].get_bands().min()
    assert worst['frequency_cm1'] == pytest.approx(lowest)
    assert lowest < -100


@pytest.fixture
def softer(aiida_profile):
    """The members with another kind of Δ, whose springs are softer by a known factor."""
    stiffness = {'seed_1': 2.4, 'seed_2': 2.7}
    return {name: ForceFieldData(springs(rocksalt(), value)).store() for name, value in stiffness.items()}


def with_evidence(python, crystal, members, **evidence):
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        python, crystal, members, protocol='fast', overrides=SMALL
    )
    for name, value in evidence.items():
        setattr(builder, name, value)
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return outputs, node


@pytest.mark.nightly
def test_spread_between_kinds_of_delta_adds_to_that_of_the_members(python, crystal, members, softer):
    outputs, node = with_evidence(python, crystal, members, alternatives={'readout': softer})
    gamma = outputs['error_budget']['GAMMA']
    chosen = [optical_frequency_cm1(rocksalt(), stiffness) for stiffness in (3.0, 3.3)]
    other = [optical_frequency_cm1(rocksalt(), stiffness) for stiffness in (2.4, 2.7)]
    seeds, kinds = np.std(chosen, ddof=1), np.std([np.mean(chosen), np.mean(other)], ddof=1)
    assert gamma['contributions']['seeds'][3] == pytest.approx(seeds, rel=1e-3)
    assert gamma['contributions']['kinds'][3] == pytest.approx(kinds, rel=1e-3)
    assert gamma['contributions']['bootstrap'] is None
    assert gamma['sd'][3] == pytest.approx(np.hypot(seeds, kinds), rel=1e-3)
    assert outputs['special_points']['GAMMA']['mean'][3] == pytest.approx(np.mean(chosen), rel=1e-4)
    assert set(outputs['phonopy_data']) == {'seed_1', 'seed_2'}, 'alternatives are not members'
    jobs = [process for process in node.called_descendants if process.process_label == 'EvaluateCalculation']
    assert len(jobs) == 1


@pytest.mark.nightly
def test_bootstrap_of_delta_is_the_spread_of_the_springs_it_was_drawn_from(python, crystal, members):
    """Δ = 0.6 eV/Å² of springs on a base of 2.4; drawn with 0.5 and 0.7, each as often."""
    samples = samples_of_springs(fitted=0.6, drawn=[0.5, 0.7] * 20)
    outputs, _ = with_evidence(python, crystal, {'seed_1': members['seed_1']}, delta_samples=samples)
    drawn = [optical_frequency_cm1(rocksalt(), 2.4 + delta) for delta in [0.5, 0.7] * 20]
    contributions = outputs['error_budget']['GAMMA']['contributions']
    assert contributions['bootstrap'][3] == pytest.approx(np.std(drawn, ddof=1), rel=1e-3)
    assert contributions['seeds'] is None
    assert outputs['error_budget']['GAMMA']['sd'][3] == pytest.approx(np.std(drawn, ddof=1), rel=1e-3)


def samples_of_springs(fitted: float, drawn: list[float]) -> orm.ArrayData:
    """Δ as one parameter, the stiffness of all springs, and the scale of the base, which is left alone."""
    primitive = rocksalt()
    unit = springs(primitive, 1.0).terms[0]
    arrays = {name: unit.arrays[name] for name in ('pairs', 'lattice_vectors')}
    arrays |= {'numbers': primitive.numbers, 'cell': primitive.cell.array, 'positions': primitive.positions}
    arrays |= {'blocks': unit.arrays['fc'][None], 'parameters': np.array([fitted, 0.0])}
    arrays |= {name: np.array([[value, 0.0] for value in drawn]) for name in ('bootstrap', 'label_noise')}
    return orm.ArrayData(arrays)


@pytest.mark.nightly
def test_points_that_the_training_cell_does_not_hold_are_marked(python, crystal, members):
    """Eight atoms of rocksalt hold Γ and X, but neither L nor the points between."""
    snapshots = SnapshotsData(snapshots_of_springs(n_frames=1))
    outputs, _ = with_evidence(python, crystal, members, training_snapshots=snapshots)
    held = {label for label, entry in outputs['error_budget'].get_dict().items() if entry['commensurate']}
    assert held == {'GAMMA', 'X'}
    assert 'L' in outputs['error_budget'].get_dict()


@pytest.mark.nightly
def test_alternative_of_another_crystal_costs_its_part_of_the_budget_and_nothing_else(python, crystal, members):
    stranger = {'seed_1': ForceFieldData(springs(rocksalt(3.0)))}
    outputs, _ = with_evidence(python, crystal, members, alternatives={'readout': stranger})
    assert outputs['error_budget']['GAMMA']['contributions']['kinds'] is None
    assert outputs['dispersion'].get_array('members').shape[0] == 2


@pytest.mark.nightly
def test_alternative_that_spoils_the_job_is_left_out_of_another(python, crystal, members):
    """A readout without its network cannot even be built."""
    readout = Term('readout', {'trunk': 'nowhere', 'symbols': ['Li', 'F']}, {'weights': np.zeros((2, 3))})
    broken = {'seed_1': ForceFieldData(ForceField((readout,), {'Li': 0.0, 'F': 0.0}, method='LDA'))}
    outputs, _ = with_evidence(python, crystal, members, alternatives={'readout': broken})
    assert outputs['error_budget']['GAMMA']['contributions']['kinds'] is None
    assert outputs['dispersion'].get_array('members').shape[0] == 2


def test_neither_members_nor_an_engine_is_refused_at_submission(python, crystal):
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(python, crystal, protocol='fast')
    with pytest.raises(ValueError, match='give one of `force_fields` and `engine`'):
        run_get_node(builder)
