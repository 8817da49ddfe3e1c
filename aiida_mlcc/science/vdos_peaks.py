"""The peaks of a spectrum beside those of its harmonic crystal, and how far each has moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from aiida_mlcc.science.vdos import line_shape

_SMALLEST_PROMINENCE = 0.05
"""Of a peak, in units of the highest value of the curve."""

_SMALLEST_MOVED = 0.02
"""The same where a known peak is looked for."""

_SEARCHED_RESOLUTIONS = 1.5
_SEARCHED_SHARE = 0.05
"""How far from its harmonic position a peak is looked for: the larger of so many resolutions and such a share of it."""


@dataclass(frozen=True)
class PeakCurves:
    """What the peaks of one member are found in, all on one grid; modes per cm⁻¹ of a primitive cell.

    :param harmonic: of the harmonic crystal in the supercell of the dynamics, with the same window.
    :param total: from dynamics, and `blocks` of it, shape (n_blocks, n_frequencies).
    :param modes_cm1: the harmonic frequencies, shape (n_modes,).
    :param n_independent: independent samples that `total` is a mean of.
    """

    harmonic: NDArray[np.float64]
    total: NDArray[np.float64]
    blocks: NDArray[np.float64]
    modes_cm1: NDArray[np.float64]
    n_independent: float
    n_cells: int


def compare_peaks(
    grid: NDArray[np.float64],
    members: Sequence[PeakCurves],
    resolution_cm1: float,
    window: str,
    longest_lag_fs: float,
) -> list[dict[str, Any]]:
    """Return where the peaks of the harmonic crystal are in the spectrum from dynamics.

    A position is the centroid of what rises above half of a peak's height. Its error combines the energies that the
    modes happen to have (or, if larger, the scatter of the blocks) with the standard deviation over the members.

    :returns: by ascending frequency ``harmonic_cm1``, ``vacf_cm1``, ``shift_cm1``, ``error_cm1`` and ``n_members``,
        means over the members that have the peak; all but the first and the last are None where none has.
    """
    mean = np.mean([member.harmonic for member in members], axis=0)
    spacing = grid[1] - grid[0]
    found, _ = find_peaks(
        mean, prominence=_SMALLEST_PROMINENCE * mean.max(), distance=max(1.0, 0.5 * resolution_cm1 / spacing)
    )
    peaks = []
    for about in grid[found]:
        positions, errors = [], []
        for member in members:
            harmonic = _position(grid, member.harmonic, about, resolution_cm1)
            moved = _position(grid, member.total, about, resolution_cm1)
            if harmonic is None or moved is None:
                continue
            positions.append((harmonic[0], moved[0]))
            errors.append(_error(grid, member, moved, window, longest_lag_fs))
        peaks.append(_entry(float(about), np.array(positions), np.array(errors)))
    return peaks


def _entry(about: float, positions: NDArray[np.float64], errors: NDArray[np.float64]) -> dict[str, Any]:
    if not len(positions):
        return {'harmonic_cm1': about, 'vacf_cm1': None, 'shift_cm1': None, 'error_cm1': None, 'n_members': 0}
    shifts = positions[:, 1] - positions[:, 0]
    of_members = float(shifts.std(ddof=1)) if len(shifts) > 1 else 0.0
    return {
        'harmonic_cm1': float(positions[:, 0].mean()),
        'vacf_cm1': float(positions[:, 1].mean()),
        'shift_cm1': float(shifts.mean()),
        'error_cm1': float(np.hypot(np.sqrt(np.mean(errors**2)), of_members)),
        'n_members': len(positions),
    }


def _position(
    grid: NDArray[np.float64], curve: NDArray[np.float64], about: float, resolution_cm1: float
) -> tuple[float, slice] | None:
    """Return the centroid of the highest peak near `about`, and which points rise above half of its height."""
    reach = max(_SEARCHED_RESOLUTIONS * resolution_cm1, _SEARCHED_SHARE * about)
    tops, _ = find_peaks(curve, prominence=_SMALLEST_MOVED * curve.max())
    near = tops[np.abs(grid[tops] - about) <= reach]
    if not len(near):
        return None
    top = near[np.argmax(curve[near])]
    low = curve < 0.5 * curve[top]
    below, above = np.flatnonzero(low[:top]), np.flatnonzero(low[top:])
    first = below[-1] + 1 if len(below) else 0
    last = top + above[0] if len(above) else len(grid)
    # Half of a broad band is not the peak: its flanks count only as far as one looks for it.
    first = max(first, int(np.searchsorted(grid, grid[top] - reach)))
    last = min(last, int(np.searchsorted(grid, grid[top] + reach, side='right')))
    inside = slice(int(first), int(last))
    return _centroid(grid, curve, inside, float(curve[top])), inside


def _centroid(grid: NDArray[np.float64], curve: NDArray[np.float64], inside: slice, height: float) -> float:
    weights = np.maximum(curve[inside] - 0.5 * height, 0)
    return float(np.sum(weights * grid[inside]) / weights.sum())


def _error(
    grid: NDArray[np.float64],
    member: PeakCurves,
    found: tuple[float, slice],
    window: str,
    longest_lag_fs: float,
) -> float:
    """Return the standard deviation of a position: by first order in the energies of the modes, or from the blocks."""
    position, inside = found
    points = grid[inside]
    height = float(member.total[inside].max())
    area = np.maximum(member.total[inside] - 0.5 * height, 0).sum()
    modes, counts = np.unique(np.round(member.modes_cm1, 6), return_counts=True)
    lines = line_shape(points[:, None] - modes, window, longest_lag_fs) / member.n_cells
    slopes = (points - position) @ lines / area
    of_energies = float(np.sqrt(np.sum(counts * slopes**2) / member.n_independent))
    if len(member.blocks) < 2:
        return of_energies
    left_out = (len(member.blocks) * member.blocks.mean(axis=0) - member.blocks) / (len(member.blocks) - 1)
    positions = [_centroid(grid, curve, inside, float(curve[inside].max())) for curve in left_out]
    jackknife = np.sqrt((len(positions) - 1) * np.var(positions))
    return max(of_energies, float(jackknife))
