import numpy as np
import pytest
from scipy import constants

from aiida_mlcc.science.crystal import supercell
from aiida_mlcc.science.force_constants import ForceConstantsModel
from aiida_mlcc.science.vdos import spectrum, velocity_autocorrelation

# Velocities in Å/fs per force in eV/Å, mass in amu and time in fs.
ACCELERATION = constants.e / constants.angstrom / constants.atomic_mass * constants.femto**2 / constants.angstrom


def direct_correlation(velocities, masses, lag):
    later = velocities[lag:]
    earlier = velocities[: len(velocities) - lag]
    return np.mean(np.einsum('tia,tia,i->t', earlier, later, masses))


def test_autocorrelation_is_the_average_over_all_pairs_of_times():
    random = np.random.default_rng(0)
    velocities, masses = random.normal(size=(60, 5, 3)), np.array([1.0, 7.0, 1.0, 7.0, 7.0])
    symbols = ['H', 'Li', 'H', 'Li', 'Li']
    found = velocity_autocorrelation(velocities, masses, symbols, max_lag=59)
    for symbol, members in (('H', [0, 2]), ('Li', [1, 3, 4])):
        expected = [direct_correlation(velocities[:, members], masses[members], lag) for lag in range(60)]
        assert np.allclose(found[symbol], expected)


def test_a_memory_map_taken_a_few_atoms_at_a_time_gives_the_same(tmp_path, monkeypatch):
    velocities = np.random.default_rng(0).normal(size=(40, 7, 3)).astype(np.float32)
    np.save(tmp_path / 'velocities.npy', velocities)
    mapped = np.load(tmp_path / 'velocities.npy', mmap_mode='r')
    whole = velocity_autocorrelation(velocities, np.ones(7), ['C'] * 7, 10)
    monkeypatch.setattr('aiida_mlcc.science.vdos._FLOATS_AT_ONCE', 300)
    assert np.allclose(velocity_autocorrelation(mapped, np.ones(7), ['C'] * 7, 10)['C'], whole['C'])


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
    recorded = np.zeros((12000, len(atoms), 3))
    for number in range(len(recorded)):
        recorded[number] = velocities
        velocities = velocities + 0.5 * step * per_force * forces
        positions = positions + step * velocities
        forces = bound.energy_forces(positions)[1]
        velocities = velocities + 0.5 * step * per_force * forces

    symbols = atoms.get_chemical_symbols()
    correlation = velocity_autocorrelation(recorded, masses, symbols, max_lag=4000)
    found = spectrum(correlation, {'Li': 8, 'H': 8}, step, max_frequency_cm1=1.2 * modes_cm1.max())
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
    with pytest.raises(ValueError, match='do not fit 3 atoms'):
        velocity_autocorrelation(np.zeros((5, 2, 3)), np.ones(3), ['C'] * 3, 2)
    with pytest.raises(ValueError, match='no lag of 5'):
        velocity_autocorrelation(np.zeros((5, 1, 3)), np.ones(1), ['C'], 5)
    with pytest.raises(ValueError, match='unknown window'):
        spectrum({'C': np.ones(5)}, {'C': 1}, 1.0, window='blackman')
    with pytest.raises(ValueError, match='needs a count'):
        spectrum({'C': np.ones(5)}, {'H': 1}, 1.0)
    with pytest.raises(ValueError, match='does not move'):
        spectrum({'C': np.zeros(5)}, {'C': 1}, 1.0)
    with pytest.raises(ValueError, match='time step'):
        spectrum({'C': np.ones(5)}, {'C': 1}, 0.0)
