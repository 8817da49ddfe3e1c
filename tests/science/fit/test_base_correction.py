"""Residual forces of a known error in the springs: seen as the right shift of frequency, and corrected."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from aiida_mlcc.science.crystal.cells import CrystalError, supercell
from aiida_mlcc.science.fit.base_correction import VibratingFrames
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError
from aiida_mlcc.science.phonons.modes import projected_residuals
from tests.crystals import SPRING, optical_frequency_cm1, rocksalt, rocksalt_cube, springs

N_FRAMES = 40
SOFT = 0.96 * SPRING
"""The springs of a model that is too soft."""


@cache
def frames() -> Snapshots:
    """Springs of rocksalt as the truth, ever hotter."""
    cube = supercell(rocksalt_cube(), 1)
    amplitudes = np.linspace(0.01, 0.1, N_FRAMES)[:, None, None]
    displaced = cube.positions + amplitudes * np.random.default_rng(3).standard_normal((N_FRAMES, len(cube), 3))
    forces = np.array([pulls(SPRING, positions) for positions in displaced])
    cells = np.array([cube.cell.array] * N_FRAMES)
    label = Label(np.zeros(N_FRAMES), forces, {'springs': SPRING})
    return Snapshots(tuple(cube.get_chemical_symbols()), cells, displaced, {'LDA': label})


def pulls(stiffness: float, positions: np.ndarray) -> np.ndarray:
    model = ForceConstantsModel(springs(rocksalt(), stiffness).terms[0]).bind(supercell(rocksalt_cube(), 1))
    return model.energy_forces(positions)[1]


@cache
def vibrations() -> VibratingFrames:
    return VibratingFrames.of(frames(), rocksalt(), 'LDA')


def left_by(stiffness: float, noise: float = 0.0) -> np.ndarray:
    """Truth minus springs of another stiffness, eV/Å."""
    left = frames().labels['LDA'].forces - np.array([pulls(stiffness, p) for p in frames().positions])
    return left + noise * np.random.default_rng(4).standard_normal(left.shape)


def optical(entries: list[dict]) -> dict:
    return next(e for e in entries if e['qpoint'] == [0, 0, 0])


def test_a_model_that_is_too_soft_is_told_the_shift_of_its_optical_mode() -> None:
    wanted = optical_frequency_cm1(rocksalt(), SPRING) - optical_frequency_cm1(rocksalt(), SOFT)
    entry = optical(vibrations().residuals(left_by(SOFT)))
    assert entry['frequency_cm1'] == pytest.approx(optical_frequency_cm1(rocksalt(), SPRING), rel=1e-3)
    # To first order in the change of the springs, of which 4 % are missing.
    assert entry['shift_cm1'] == pytest.approx(wanted, rel=0.03)


def test_noise_without_a_shift_stays_within_its_standard_error() -> None:
    entry = optical(vibrations().residuals(left_by(SPRING, noise=0.05)))
    assert abs(entry['shift_cm1']) < 4 * entry['standard_error_cm1']


def test_the_correction_gives_back_the_springs_that_were_missing() -> None:
    crystal = vibrations()
    term, _ = crystal.correction(left_by(SOFT), 2.5, np.arange(N_FRAMES))
    assert np.allclose(crystal.energies_and_forces(term)[1], left_by(SOFT), rtol=0, atol=1e-6)


def test_energies_and_forces_of_a_correction_are_those_of_its_term() -> None:
    crystal = vibrations()
    term, _ = crystal.correction(left_by(SOFT), 2.5, np.arange(N_FRAMES))
    energies, forces = crystal.energies_and_forces(term)
    bound = ForceConstantsModel(term).bind(frames().atoms(0))
    energy, force = bound.energy_forces(frames().positions[7])
    assert energies[7] == pytest.approx(energy, abs=1e-10)
    assert np.allclose(forces[7], force, rtol=0, atol=1e-10)


def test_a_correction_that_holds_on_other_frames_leaves_nothing() -> None:
    entry = optical(vibrations().crossed_residuals(left_by(SOFT), 2.5))
    assert entry['shift_cm1'] < 0.01


def test_a_correction_is_not_praised_for_fitting_noise() -> None:
    """What is fitted to the noise of one half is an error of that size on the other."""
    noisy = left_by(SPRING, noise=0.2)
    crystal = vibrations()
    term, _ = crystal.correction(noisy, 2.5, np.arange(N_FRAMES))
    flattering = optical(crystal.residuals(noisy - crystal.energies_and_forces(term)[1]))['shift_cm1']
    honest = optical(crystal.crossed_residuals(noisy, 2.5))
    assert honest['shift_cm1'] > 2 * abs(flattering)
    assert honest['shift_cm1'] == pytest.approx(np.sqrt(np.mean(np.square(honest['halves_cm1']))))


def test_frames_without_forces_are_refused() -> None:
    bare = frames().with_label('LDA', Label(np.zeros(N_FRAMES)))
    with pytest.raises(SnapshotsError, match='LDA forces'):
        VibratingFrames.of(bare, rocksalt(), 'LDA')


def test_another_crystal_is_refused() -> None:
    with pytest.raises(CrystalError):
        VibratingFrames.of(frames(), rocksalt(4.2), 'LDA')


def test_a_shift_that_grows_with_the_motion_is_taken_at_rest() -> None:
    """The residual of a quartic well: seen in warm frames, and not there at rest."""
    crystal = vibrations()
    moved = crystal.displacements
    quartic = -30.0 * np.sum(moved**2, axis=2, keepdims=True) * moved
    at_rest = optical(crystal.residuals(left_by(SOFT) + quartic))['shift_cm1']
    masses = rocksalt().get_masses()[crystal.site_map.sites]
    mixed = projected_residuals(crystal.modes, masses, crystal.displacements, left_by(SOFT) + quartic, crystal.weights)
    wanted = optical(crystal.residuals(left_by(SOFT)))['shift_cm1']
    assert abs(at_rest - wanted) < 0.25 * abs(optical(mixed)['shift_cm1'] - wanted)
