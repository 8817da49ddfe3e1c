"""VACFWorkChain: a harmonic crystal's dynamics has the frequencies of its springs."""

import numpy as np
import pytest
from aiida.engine import run_get_node

from aiida_mlcc.workflows.vacf import VACFWorkChain
from tests.crystals import optical_frequency_cm1, rocksalt

SHORT = {
    'supercell_matrix': [2, 2, 2],
    'md': {
        'parameters': {
            'n_steps': 3000,
            'time_step_fs': 2.0,
            'record_every': 1,
            'equilibration_steps': 20,
            'max_lag_steps': 1000,
            'checkpoint_every': 1000,
        }
    },
}


def builder_of(python, crystal, members, **overrides):
    return VACFWorkChain.get_builder_from_protocol(
        python, crystal, members, protocol='fast', overrides={**SHORT, **overrides}
    )


def test_spectrum_of_a_member_ends_at_the_optical_mode_of_its_springs(python, crystal, members):
    outputs, node = run_get_node(builder_of(python, crystal, members))
    assert node.is_finished_ok, node.exit_message
    vdos = outputs['vdos']
    grid = vdos.get_x()[1]
    curves = {name: curve for name, curve, _ in vdos.get_y()}
    # The optical mode at Γ is the highest of a crystal with springs between nearest neighbours only.
    for name, stiffness in (('seed_1', 3.0), ('seed_2', 3.3)):
        highest = optical_frequency_cm1(rocksalt(), stiffness)
        above = curves[name][grid > highest + 30].max()
        assert above < 0.02 * curves[name].max()
        near = np.trapezoid(curves[name][abs(grid - highest) < 15], grid[abs(grid - highest) < 15])
        assert near > 0.05
    assert np.trapezoid(curves['mean'], grid) == pytest.approx(6, rel=0.05)
    assert np.allclose(curves['element_Li'] + curves['element_F'], curves['mean'])
    assert vdos.base.attributes.get('resolution_cm1') == pytest.approx(33356.4 / 2000, rel=0.01)


def test_no_member_is_refused_at_submission(python, crystal):
    with pytest.raises(ValueError, match='no force field given'):
        run_get_node(builder_of(python, crystal, {}))


@pytest.mark.parametrize('n_steps', [0, -5])
def test_dynamics_without_steps_is_refused_at_submission(python, crystal, members, n_steps):
    with pytest.raises(ValueError, match=f'`n_steps` is {n_steps}, but must be at least 1'):
        run_get_node(builder_of(python, crystal, members, md={'parameters': {'n_steps': n_steps}}))
