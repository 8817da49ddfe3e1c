import numpy as np
import pytest
from scipy import constants

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.dynamics.vdos import FS_TO_CM, folding, spectrum
from aiida_mlcc.science.dynamics.velocity_correlation import VelocityCorrelator
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel

# Velocities in Å/fs per force in eV/Å, mass in amu and time in fs.
ACCELERATION = constants.e / constants.angstrom / constants.atomic_mass * constants.femto**2 / constants.angstrom


@pytest.mark.parametrize('window', ['hann', 'none'])
def test_a_single_oscillator_is_one_line_of_the_stated_width_and_three_modes(window):
    frequency_cm1, step = 500.0, 2.0
    lags = np.arange(1001)
    angular = frequency_cm1 * 100 * constants.c * constants.femto * 2 * np.pi
    found = spectrum({'C': 0.03 * np.cos(angular * step * lags)}, {'C': 1}, step, window, padding=16)
    assert found.frequencies_cm1[np.argmax(found.total)] == pytest.approx(frequency_cm1, abs=1)
    spacing = found.frequencies_cm1[1]
    assert np.trapezoid(found.total, dx=spacing) == pytest.approx(3, rel=1e-9)
    above = found.frequencies_cm1[found.total > found.total.max() / 2]
    assert np.ptp(above) == pytest.approx(found.resolution_cm1, abs=2.5 * spacing)


def test_counts_of_a_primitive_cell_give_the_spectrum_of_that_cell():
    correlation = {'Li': np.cos(np.arange(200) * 0.3), 'H': 5 * np.cos(np.arange(200) * 0.9)}
    cell = spectrum(correlation, {'Li': 1, 'H': 1}, 1.0)
    crystal = spectrum(correlation, {'Li': 32, 'H': 32}, 1.0)
    assert np.allclose(crystal.total, 32 * cell.total)
    assert np.trapezoid(cell.elements['H'], cell.frequencies_cm1) == pytest.approx(3)


def test_a_harmonic_crystal_in_motion_shows_its_normal_modes(springs, rock_salt):
    """Velocity Verlet from equal energies in all normal modes: what moves must be what the Hessian says."""
    atoms = supercell(rock_salt, 2)
    masses = atoms.get_masses()
    bound = ForceConstantsModel(springs(rock_salt, 3.0, along=20.0, across=6.0)).bind(atoms)
    root = np.repeat(np.sqrt(masses), 3)
    hessian = bound.force_constants().transpose(0, 2, 1, 3).reshape(len(root), -1) / np.outer(root, root)
    squares, modes = np.linalg.eigh(hessian)
    modes_cm1 = np.sqrt(np.maximum(squares * ACCELERATION, 0)) / (2 * np.pi * constants.c * 100 * constants.femto)

    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=len(root) - 3)
    velocities = (modes[:, 3:] @ signs / root).reshape(-1, 3) * 1e-4
    positions, step = atoms.positions.copy(), 0.5
    per_force = ACCELERATION / masses[:, None]
    forces = bound.energy_forces(positions)[1]
    symbols = atoms.get_chemical_symbols()
    correlator = VelocityCorrelator(symbols, masses, 4000)
    for _ in range(12000):
        correlator.add(velocities)
        velocities = velocities + 0.5 * step * per_force * forces
        positions = positions + step * velocities
        forces = bound.energy_forces(positions)[1]
        velocities = velocities + 0.5 * step * per_force * forces

    found = spectrum(correlator.result()[0], {'Li': 8, 'H': 8}, step, max_frequency_cm1=1.2 * modes_cm1.max())
    away = np.abs(found.frequencies_cm1[:, None] - modes_cm1[3:]).min(axis=1) > found.resolution_cm1
    assert away.sum() > 100
    below = modes_cm1[3:] < found.frequencies_cm1[:, None]
    for symbol in ('Li', 'H'):
        members = np.repeat([other == symbol for other in symbols], 3)
        weights = np.sum(modes[members, 3:] ** 2, axis=0)
        counted = np.cumsum(found.elements[symbol]) * found.frequencies_cm1[1]
        # Three modes rest with the centre of mass, so the modes that move are fewer than those counted.
        assert np.allclose(counted[away] / 24, (below @ weights / weights.sum())[away], atol=0.02)
    heights = found.total[np.abs(found.frequencies_cm1[:, None] - modes_cm1[3:]).argmin(axis=0)]
    assert heights.min() > 5 * np.median(found.total)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='unknown window'):
        spectrum({'C': np.ones(5)}, {'C': 1}, 1.0, window='blackman')
    with pytest.raises(ValueError, match='needs a count'):
        spectrum({'C': np.ones(5)}, {'H': 1}, 1.0)
    with pytest.raises(ValueError, match='does not move'):
        spectrum({'C': np.zeros(5)}, {'C': 1}, 1.0)
    with pytest.raises(ValueError, match='time step'):
        spectrum({'C': np.ones(5)}, {'C': 1}, 0.0)


def shown_at(mode_cm1, spacing_fs):
    """Where a mode appears that is recorded so often, cm⁻¹."""
    lags = spacing_fs * np.arange(4000)
    found = spectrum({'C': np.cos(2 * np.pi * FS_TO_CM * mode_cm1 * lags)}, {'C': 1}, spacing_fs)
    return found.frequencies_cm1[np.argmax(found.total)]


def test_records_too_rare_for_a_mode_fold_it_back_and_say_how_often_to_record():
    assert shown_at(1330, 20) == pytest.approx(2 * 834 - 1330, abs=3)
    reason = folding(1330, 20, 1.0)
    assert 'the highest harmonic mode is 1330 cm⁻¹, but recording every 20 steps of 1 fs' in reason
    assert 'take 12 for `record_every`' in reason
    assert shown_at(1330, 12) == pytest.approx(1330, abs=1)
    assert shown_at(1330, 13) < 1300
    assert folding(1330, 12, 1.0) is None
    # Too long a step for the mode: the dynamics blows up, and nothing is recorded.
    assert folding(1330, 2, 20.0) is None
