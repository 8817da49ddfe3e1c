"""HarmonicPhononWorkChain against springs whose frequencies are known in closed form."""

import numpy as np
import pytest
from aiida.engine import run_get_node

from aiida_mlcc.workflows.harmonic_phonon import HarmonicPhononWorkChain
from tests.crystals import optical_frequency_cm1, rocksalt

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


def test_imaginary_modes_are_flagged_and_do_not_fail_the_run(python, crystal):
    from aiida_mlcc.data.force_field import ForceFieldData
    from tests.crystals import springs

    unstable = {'seed_1': ForceFieldData(springs(rocksalt(), stiffness=-1.0))}
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        python, crystal, unstable, protocol='fast', overrides=SMALL
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok
    worst = outputs['special_points']['imaginary']['seed_1']
    lowest = outputs['dispersion'].get_bands().min()
    assert worst['frequency_cm1'] == pytest.approx(lowest)
    assert lowest < -100


def test_neither_members_nor_an_engine_is_refused_at_submission(python, crystal):
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(python, crystal, protocol='fast')
    with pytest.raises(ValueError, match='give one of `force_fields` and `engine`'):
        run_get_node(builder)
