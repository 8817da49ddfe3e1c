"""The peaks of a spectrum beside those of its harmonic crystal, and how far each has moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks

from aiida_mlcc.science.dynamics.vdos import line_shape

_SMALLEST_PROMINENCE = 0.05
"""Of a peak, in units of the highest value of the curve."""

_SMALLEST_MOVED = 0.02
"""The same where a known peak is looked for."""

_SEARCHED_RESOLUTIONS = 1.5
_SEARCHED_SHARE = 0.05
"""How far from its harmonic position a peak is looked for: the larger of so many resolutions and such a share of it."""

_SMALLEST_LEFT = 0.1
"""Of the height of a harmonic peak in dynamics: what is lower may be a ripple that the window leaves of another one."""

_UNPAIRED = 1.0 - float(np.log(_SMALLEST_LEFT))
"""The cost of a peak without a partner: that of the farthest and lowest one that could be its partner."""


@dataclass(frozen=True)
class PeakCurves:
    """What the peaks of one member are found in, all on one grid; modes per cm⁻¹ of a primitive cell.

    :param harmonic: of the harmonic crystal in the supercell of the dynamics, with the same window.
    :param total: from dynamics, and `blocks` of it, shape (n_blocks, n_frequencies).
    :param modes_cm1: the harmonic frequencies, shape (n_modes,).
    :param n_independent: independent samples that `total` is a mean of; the blocks may be more, and know one another.
    """

    harmonic: NDArray[np.float64]
    total: NDArray[np.float64]
    blocks: NDArray[np.float64]
    modes_cm1: NDArray[np.float64]
    n_independent: float
    n_cells: int


class Peak(TypedDict):
    """A peak of the harmonic crystal in the spectrum from dynamics, and how many members have it."""

    harmonic_cm1: float
    vacf_cm1: float | None
    shift_cm1: float | None
    error_cm1: float | None
    n_members: int


def compare_peaks(
    grid: NDArray[np.float64],
    members: Sequence[PeakCurves],
    resolution_cm1: float,
    window: str,
    longest_lag_fs: float,
) -> list[Peak]:
    """Return where the peaks of the harmonic crystal are in the spectrum from dynamics.

    Peaks are paired one to one and in order. A peak in dynamics that is nearer to another harmonic peak than to its own
    is taken for its own only where the other one has moved on in the same direction. A position is the centroid of what
    rises above half of a peak's height. Its error is that of the energies that the modes happen to have, or of the
    scatter of the blocks, or of the members (which holds the former), whichever is largest.

    :param grid: frequencies, cm⁻¹, evenly spaced, shape (n_frequencies,).
    :returns: by ascending frequency ``harmonic_cm1``, ``vacf_cm1``, ``shift_cm1``, ``error_cm1`` and ``n_members``,
        means over the members that have the peak and the error of one member; all but the first and the last are None
        where none has.
    """
    mean = np.mean([member.harmonic for member in members], axis=0)
    spacing = grid[1] - grid[0]
    found, _ = find_peaks(
        mean, prominence=_SMALLEST_PROMINENCE * mean.max(), distance=max(1.0, 0.5 * resolution_cm1 / spacing)
    )
    positions: list[list[tuple[float, float]]] = [[] for _ in found]
    errors: list[list[float]] = [[] for _ in found]
    for member in members:
        own = _partners(grid, mean, found, member.harmonic, resolution_cm1)
        partners = _partners(
            grid, member.harmonic, np.array(list(own.values()), dtype=int), member.total, resolution_cm1
        )
        for peak, at_rest in own.items():
            if at_rest not in partners:
                continue
            reach = float(_reach(grid[at_rest], resolution_cm1))
            harmonic, _ = _position(grid, member.harmonic, at_rest, list(own.values()), reach)
            moved, inside = _position(grid, member.total, partners[at_rest], list(partners.values()), reach)
            number = int(np.searchsorted(found, peak))
            positions[number].append((harmonic, moved))
            errors[number].append(_error(grid, member, harmonic, moved, inside, window, longest_lag_fs))
    return [
        _entry(float(about), np.array(of_peak), np.array(stated))
        for about, of_peak, stated in zip(grid[found], positions, errors, strict=True)
    ]


def _entry(about: float, positions: NDArray[np.float64], errors: NDArray[np.float64]) -> Peak:
    if not len(positions):
        return {'harmonic_cm1': about, 'vacf_cm1': None, 'shift_cm1': None, 'error_cm1': None, 'n_members': 0}
    shifts = positions[:, 1] - positions[:, 0]
    of_members = float(shifts.std(ddof=1)) if len(shifts) > 1 else 0.0
    return {
        'harmonic_cm1': float(positions[:, 0].mean()),
        'vacf_cm1': float(positions[:, 1].mean()),
        'shift_cm1': float(shifts.mean()),
        'error_cm1': max(float(np.sqrt(np.mean(errors**2))), of_members),
        'n_members': len(positions),
    }


def _reach(about_cm1: ArrayLike, resolution_cm1: float) -> NDArray[np.float64]:
    """Return how far from `about_cm1` a peak is looked for, cm⁻¹."""
    return np.maximum(_SEARCHED_RESOLUTIONS * resolution_cm1, _SEARCHED_SHARE * np.asarray(about_cm1, dtype=float))


def _partners(
    grid: NDArray[np.float64],
    curve: NDArray[np.float64],
    peaks: NDArray[np.int64],
    other: NDArray[np.float64],
    resolution_cm1: float,
) -> dict[int, int]:
    """Return which peak of `other` each of `peaks` of `curve` is: one to one, as near and as high as possible in all.

    They keep their order, and some of them may have no partner.

    :param peaks: indices into the grid, ascending.
    :returns: index of a peak → index of its partner, where it has one; both ascend.
    """
    tops, _ = find_peaks(other, prominence=_SMALLEST_MOVED * other.max())
    if not len(peaks) or not len(tops):
        return {}
    reach = _reach(grid[peaks], resolution_cm1)[:, None]
    distances = np.abs(grid[tops] - grid[peaks][:, None])
    heights = other[tops] / curve[peaks][:, None]
    possible = (distances <= reach) & (heights >= _SMALLEST_LEFT)
    costs = np.where(possible, distances / reach + np.abs(np.log(np.maximum(heights, _SMALLEST_LEFT))), np.inf)
    pairs = _aligned(costs)
    nearest = np.searchsorted(0.5 * (grid[peaks][1:] + grid[peaks][:-1]), grid[tops])
    # What is nearer to a neighbour may be the neighbour's own, unless that has moved on in the same direction: in
    # order, it has where it has any partner.
    while wrong := [row for row, column in pairs.items() if int(nearest[column]) not in pairs]:
        for row in wrong:
            del pairs[row]
    return {int(peaks[row]): int(tops[column]) for row, column in pairs.items()}


def _aligned(costs: NDArray[np.float64]) -> dict[int, int]:
    """Return the pairs, ascending in rows and columns, that cost least together with the rows that are left out."""
    n_rows, n_columns = costs.shape
    # The least cost of the first rows with the first columns.
    least = np.zeros((n_rows + 1, n_columns + 1))
    for row in range(n_rows):
        paired = np.append(np.inf, least[row, :-1] + costs[row])
        least[row + 1] = np.minimum.accumulate(np.minimum(least[row] + _UNPAIRED, paired))
    pairs, column = {}, n_columns
    for row in reversed(range(n_rows)):
        column = int(np.argmax(least[row + 1] == least[row + 1, column]))
        if least[row + 1, column] < least[row, column] + _UNPAIRED:
            column -= 1
            pairs[row] = column
    return dict(sorted(pairs.items()))


def _position(
    grid: NDArray[np.float64], curve: NDArray[np.float64], top: int, known: Sequence[int], reach: float
) -> tuple[float, slice]:
    """Return the centroid of the peak at `top`, and which points rise above half of its height.

    :param known: the tops of all peaks, beyond whose valleys the peak does not go.
    """
    low = curve < 0.5 * curve[top]
    below, above = np.flatnonzero(low[:top]), np.flatnonzero(low[top:])
    first = below[-1] + 1 if len(below) else 0
    last = top + above[0] if len(above) else len(grid)
    # Half of a broad band is not the peak: its flanks count only as far as one looks for it.
    first = max(first, int(np.searchsorted(grid, grid[top] - reach)))
    last = min(last, int(np.searchsorted(grid, grid[top] + reach, side='right')))
    if lower := [other for other in known if first <= other < top]:
        first = lower[-1] + int(np.argmin(curve[lower[-1] : top]))
    if higher := [other for other in known if top < other < last]:
        last = top + int(np.argmin(curve[top : higher[0] + 1])) + 1
    inside = slice(int(first), int(last))
    return _centroid(grid, curve, inside, float(curve[top])), inside


def _centroid(grid: NDArray[np.float64], curve: NDArray[np.float64], inside: slice, height: float) -> float:
    weights = np.maximum(curve[inside] - 0.5 * height, 0)
    return float(np.sum(weights * grid[inside]) / weights.sum())


def _error(
    grid: NDArray[np.float64],
    member: PeakCurves,
    harmonic: float,
    moved: float,
    inside: slice,
    window: str,
    longest_lag_fs: float,
) -> float:
    """Return the standard deviation of a position: by first order in the energies of the modes, or from the blocks.

    The modes of the peak have moved with it.
    """
    points = grid[inside]
    curve = member.total[inside]
    top = int(np.argmax(curve))
    area = np.maximum(curve - 0.5 * curve[top], 0).sum()
    modes, counts = np.unique(np.round(member.modes_cm1, 6), return_counts=True)
    lines = line_shape(points[:, None] - modes - (moved - harmonic), window, longest_lag_fs) / member.n_cells
    # An energy raises the line and, with the height of the peak, where the peak is cut.
    slopes = (points - moved) @ (lines - 0.5 * lines[top]) / area
    of_energies = float(np.sqrt(np.sum(counts * slopes**2) / member.n_independent))
    n_blocks = len(member.blocks)
    if n_blocks < 2:
        return of_energies
    left_out = (n_blocks * member.blocks.mean(axis=0) - member.blocks) / (n_blocks - 1)
    positions = [_centroid(grid, curve, inside, float(curve[inside].max())) for curve in left_out]
    # Blocks that remember one another are fewer than they are.
    jackknife = np.sqrt((n_blocks - 1) * np.var(positions) * max(n_blocks / member.n_independent, 1.0))
    return max(of_energies, float(jackknife))
