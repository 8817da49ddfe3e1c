"""The vibrations that a training cell holds: its commensurate modes, and what residual forces say about each.

A cell of N primitive cells holds the wave vectors of N points of the Brillouin zone and no others. Whatever is learnt
from it is learnt about these modes; everywhere else a model extrapolates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap, commensurate_qpoints, same_points, wrapped
from aiida_mlcc.science.fit.fit_errors import ModeShift
from aiida_mlcc.science.fit.force_constants_basis import symmetry_operations
from aiida_mlcc.science.units import frequencies_of_squares, steps_of

CM1_PER_ROOT_CURVATURE = float(np.sqrt(units._e / units._amu) * 1e10 / (2 * np.pi * units._c * 100))
"""cm⁻¹ per √(eV/Å²/amu)."""

_GAMMA = np.zeros(3)
_BLOCKS = 20
_LARGEST_SHARE = 20.0
_NO_SPREAD = 1e-9
_NOT_MOVED = 1e-12
_SOFTEST_CM1 = 1.0


@dataclass(frozen=True)
class Mode:
    """All vibrations of a training cell that symmetry makes equal: one frequency at one star of wave vectors.

    :param qpoint: one wave vector of the star, in units of the reciprocal vectors of the primitive cell.
    :param frequency_cm1: cm⁻¹, negative where imaginary.
    :param vectors: orthonormal mass-weighted eigenvectors, real, shape (n_degenerate, n_atoms, 3).
    :param degeneracy: how many modes of this frequency there are at one wave vector.
    """

    qpoint: tuple[float, float, float]
    frequency_cm1: float
    vectors: NDArray[np.float64]
    degeneracy: int


def frequency_of(curvature: float) -> float:
    """Return the frequency (cm⁻¹) of a mass-weighted curvature ω² in eV/Å²/amu, negative where imaginary."""
    return float(frequencies_of_squares(curvature, CM1_PER_ROOT_CURVATURE))


def curvature_of(frequency_cm1: float) -> float:
    """Return ω² in eV/Å²/amu of a frequency in cm⁻¹: the inverse of :func:`frequency_of`."""
    return float(np.sign(frequency_cm1) * (frequency_cm1 / CM1_PER_ROOT_CURVATURE) ** 2)


def star(qpoint: NDArray[np.float64], rotations: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return all wave vectors that symmetry and time reversal make equal to one, in [0, 1), shape (n, 3)."""
    images = [sign * np.linalg.inv(rotation).T @ qpoint for rotation in rotations for sign in (1, -1)]
    unique = {tuple(np.rint(wrapped(image) * 1e6).astype(int)): wrapped(image) for image in images}
    return np.array(list(unique.values()))


def commensurate_modes(
    hessian: NDArray[np.float64], primitive: Atoms, site_map: SiteMap, symprec: float = 1e-5
) -> list[Mode]:
    """Return the modes of a training cell, one for each symmetry-distinct frequency, without the three translations.

    :param hessian: ∂²E/∂u∂u of the training cell with the symmetry of the crystal, eV/Å², (3·n_atoms, 3·n_atoms).
    """
    masses = primitive.get_masses()[site_map.sites]
    roots = np.repeat(np.sqrt(masses), 3)
    dynamical = hessian / np.outer(roots, roots)
    rotations = symmetry_operations(primitive, symprec)[0]
    remaining = commensurate_qpoints(site_map.multiples)
    modes: list[Mode] = []
    while len(remaining):
        images = star(remaining[0], rotations)
        together = same_points(remaining[:, None], images).any(axis=1)
        modes.extend(_modes_of_star(dynamical, masses, site_map, remaining[together]))
        remaining = remaining[~together]
    return modes


def _modes_of_star(
    dynamical: NDArray[np.float64], masses: NDArray[np.float64], site_map: SiteMap, qpoints: NDArray[np.float64]
) -> list[Mode]:
    waves = _plane_waves(site_map, qpoints)
    if same_points(qpoints[0], _GAMMA):
        shifts = np.kron(np.sqrt(masses / masses.sum())[:, None], np.eye(3))
        waves = np.linalg.svd(waves - shifts @ (shifts.T @ waves), full_matrices=False)[0][:, : waves.shape[1] - 3]
    values, vectors = np.linalg.eigh(waves.T @ dynamical @ waves)
    frequencies = np.array([frequency_of(value) for value in values])
    edges = steps_of(frequencies)
    representative = min(qpoints.tolist(), key=lambda q: (sum(q), q[::-1]))
    modes = []
    for members in np.split(np.arange(len(values)), edges) if len(values) else []:
        modes.append(
            Mode(
                (float(representative[0]), float(representative[1]), float(representative[2])),
                float(frequencies[members].mean()),
                (waves @ vectors[:, members]).T.reshape(len(members), -1, 3),
                max(1, len(members) // len(qpoints)),
            )
        )
    return modes


def _plane_waves(site_map: SiteMap, qpoints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an orthonormal basis of all displacements with these wave vectors, shape (3·n_atoms, n)."""
    phases = 2 * np.pi * site_map.lattice_vectors @ qpoints.T
    n_sites = int(site_map.sites.max()) + 1
    on_site = np.kron((site_map.sites[:, None] == np.arange(n_sites)).astype(float), np.eye(3))
    columns = []
    for part in (np.cos(phases), np.sin(phases)):
        for wave in part.T:
            columns.append(on_site * np.repeat(wave, 3)[:, None])
    # A wave and its reverse are the same pair of columns twice: the singular values tell which are independent.
    vectors, values, _ = np.linalg.svd(np.concatenate(columns, axis=1), full_matrices=False)
    return np.asarray(vectors[:, values > 1e-6 * values[0]])


def projected_residuals(
    modes: Sequence[Mode],
    masses: NDArray[np.float64],
    displacements: NDArray[np.float64],
    residual_forces: NDArray[np.float64],
    frame_weights: NDArray[np.float64] | None = None,
    heat: NDArray[np.float64] | None = None,
) -> list[ModeShift]:
    """Return by how much residual forces say each mode's frequency is wrong, with its standard error.

    The residual force along a mode is regressed on the mode's amplitude: its slope is −δ(ω²). The standard error is
    that of the jackknife over up to twenty stretches of frames, since neighbours of a trajectory are alike.

    :param masses: amu, shape (n_atoms,).
    :param displacements: Å, shape (n_frames, n_atoms, 3).
    :param residual_forces: reference minus model, eV/Å, of the same shape.
    :param heat: how hot each frame is, in any unit, shape (n_frames,). If given, the slope may depend on it linearly,
        and what is returned is the shift at rest: what is quartic of the residual shifts a mode with temperature.
    :returns: of each mode that moves in some frame ``qpoint``, ``frequency_cm1``, ``degeneracy``, ``shift_cm1`` (what
        the residual forces ask to be added to the model's frequency: positive where the model is too soft) and
        ``standard_error_cm1``.
    """
    weights = np.ones(len(displacements)) if frame_weights is None else frame_weights
    hotness = np.zeros(len(displacements)) if heat is None else heat / heat.mean()
    roots = np.sqrt(masses)[:, None]
    stretches = np.arange(len(displacements)) * min(_BLOCKS, len(displacements)) // len(displacements)
    found: list[ModeShift] = []
    for mode in modes:
        amplitudes = np.einsum('dia,fia->fd', mode.vectors, displacements * roots)
        pulls = np.einsum('dia,fia->fd', mode.vectors, residual_forces / roots)
        products, squares = (amplitudes * pulls).sum(axis=1), (amplitudes**2).sum(axis=1)
        if squares.max() < _NOT_MOVED:
            continue
        sums = np.array(
            [
                [np.bincount(stretches, weights * power * part) for part in (products, squares, hotness * squares)]
                for power in (1.0, hotness)
            ]
        )
        shifts = -_slope_at_rest(sums.sum(axis=2))
        left_out = -_slope_at_rest(sums.sum(axis=2)[..., None] - sums)
        n = len(left_out)
        error = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)) if n > 1 else np.inf
        slope = CM1_PER_ROOT_CURVATURE**2 / (2 * max(abs(mode.frequency_cm1), _SOFTEST_CM1))
        found.append(
            {
                'qpoint': list(mode.qpoint),
                'frequency_cm1': mode.frequency_cm1,
                'degeneracy': mode.degeneracy,
                'shift_cm1': float(shifts * slope),
                'standard_error_cm1': float(error * slope),
            }
        )
    return found


def _slope_at_rest(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a of y ≈ (a + b·h)·x by least squares; of y ≈ a·x where h vanishes.

    :param sums: Σ xy, Σ x², Σ hx² in the first row, the same times h in the second, shape (2, 3, …).
    """
    (plain, square, mixed), (heated, _, hot_square) = sums
    determinant = square * hot_square - mixed**2
    flat = determinant <= _NO_SPREAD * square * np.maximum(hot_square, square)
    divisor = np.where(flat, square, determinant)
    return np.asarray(np.where(flat, plain, plain * hot_square - heated * mixed) / divisor)


def hotter_half(forces: NDArray[np.float64], frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of `frames` whose mean square force is above the median, the larger half of an odd number.

    :param forces: eV/Å, shape (n_frames, n_atoms, 3).
    """
    order = np.argsort(np.mean(forces[frames] ** 2, axis=(1, 2)), kind='stable')
    return np.sort(frames[order[len(frames) // 2 :]])


def inverse_force_weights(forces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a weight for each frame, inverse to its mean square force, with mean 1, shape (n_frames,).

    Hot frames dominate a least-squares fit, while the harmonic force constants show in cold ones. No frame weighs more
    than twenty times the median one: at rest a frame would have infinite weight and nothing to say.

    :param forces: eV/Å, shape (n_frames, n_atoms, 3).
    """
    mean_squares = np.mean(forces**2, axis=(1, 2))
    median = float(np.median(mean_squares))
    if median == 0:
        return np.ones(len(forces))
    weights: NDArray[np.float64] = 1.0 / np.maximum(mean_squares, median / _LARGEST_SHARE)
    return weights / weights.mean()
