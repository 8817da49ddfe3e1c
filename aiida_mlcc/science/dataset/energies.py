"""How the energies of one method follow those of another, and which of them do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from aiida_mlcc.science.dataset.energies_and_forces import Frames, predicted
from aiida_mlcc.science.labels.snapshots import Snapshots

OUTLIER_DEVIATIONS = 6.0
"""Median absolute deviations beyond which an energy is named."""

_FEWEST, _FEWEST_FOR_OUTLIERS = 8, 20
_OF_ALL = 3.0
_NEIGHBOURS = 31
_NEIGHBOUR_SHARE = 5
_MOST_FOR_SLOPE = 400
_FEWEST_FOR_DEPENDENCE = 4
_RESOLVED = 20.0
_PROPORTIONAL = 1e-6


@dataclass(frozen=True)
class Outlier:
    """An energy that differs from what a small fit to all other frames says.

    :param frame: of the data set.
    :param residual_mev_atom: what the fit leaves of E_method − E_base.
    :param deviations: the same in median absolute deviations of comparable frames.
    """

    frame: int
    residual_mev_atom: float
    deviations: float


@dataclass(frozen=True)
class Difference:
    """E_method − E_base on the frames that both label.

    :param spread_mev_atom: its standard deviation.
    :param slope: of E_method over E_base, by the median of pairwise slopes (Theil and Sen), which no outlier bends;
        about 1 for two methods in the same units. None for fewer than eight frames, or one structure only.
    :param outliers: energies beyond six median absolute deviations, in the order of the frames; of fewer than twenty
        frames none are judged.
    """

    n_frames: int
    spread_mev_atom: float
    slope: float | None
    outliers: tuple[Outlier, ...]


def describe_difference(snapshots: Snapshots, base_method: str, method: str, decimals: int | None = None) -> Difference:
    """Describe E_method − E_base.

    Outliers are judged by what a small fit to all other frames leaves of each energy. What the fit cannot describe
    grows with the energy: a residual is compared with those of frames next to it in energy, with its share of the
    frame's own energy, and with all.

    :param decimals: with which the energies are written: no deviation is taken for smaller than the last of them.
    :raises aiida_mlcc.science.labels.snapshots.SnapshotsError: where one of the methods labels nothing.
    """
    frames = snapshots.labelled_by(base_method, method)
    base = snapshots.labels[base_method].energies[frames]
    energies = snapshots.labels[method].energies[frames]
    per_atom = 1000.0 / snapshots.n_atoms
    spread = float(np.std(energies - base) * per_atom) if len(frames) else 0.0
    if len(frames) < _FEWEST or np.ptp(base) == 0:
        return Difference(len(frames), spread, None, ())
    order = np.argsort(base)
    chosen = order[np.linspace(0, len(order) - 1, min(len(order), _MOST_FOR_SLOPE)).astype(int)]
    slope = float(theilslopes(energies[chosen], base[chosen])[0])
    if len(frames) < _FEWEST_FOR_OUTLIERS:
        return Difference(len(frames), spread, slope, ())
    moving = Frames.of(snapshots.symbols, snapshots.cells[0], snapshots.positions[frames])
    residuals = (energies - base) - predicted(moving, energies - base, base)
    deviations = _deviations(residuals, base, 10.0 ** -(decimals or 12))
    outliers = tuple(
        Outlier(int(frames[place]), float(residuals[place] * per_atom), float(deviations[place]))
        for place in np.flatnonzero(deviations > OUTLIER_DEVIATIONS)
    )
    return Difference(len(frames), spread, slope, outliers)


def dependence(energies: NDArray[np.float64], others: NDArray[np.float64], resolution: float) -> float | None:
    """Return the slope of energies that are linear in those of another method, to all digits.

    Where it is 1 both are one method's. Another one is that of a unit, or of frames that move along one harmonic mode.

    :param energies: eV per cell, shape (n_frames,); `others` alike.
    :param resolution: one unit of the last decimal of either, eV.
    :returns: None where they are two methods', or the frames are too few or too alike to tell.
    """
    span, floor = float(np.std(others)), max(resolution, 1e-9)
    if len(energies) < _FEWEST_FOR_DEPENDENCE or span < _RESOLVED * floor:
        return None
    if np.std(energies - others) <= floor:
        return 1.0
    deviations, other_deviations = energies - energies.mean(), others - others.mean()
    slope = float(deviations @ other_deviations / (other_deviations @ other_deviations))
    left = float(np.std(deviations - slope * other_deviations))
    exact = left <= floor * max(1.0, abs(slope)) and left <= _PROPORTIONAL * np.std(energies)
    return slope if exact and slope != 0 else None


def _deviations(residuals: NDArray[np.float64], base: NDArray[np.float64], resolution: float) -> NDArray[np.float64]:
    """Return residuals in median absolute deviations, the least of what each comparison gives, shape (n_frames,)."""
    order = np.argsort(base)
    nearby = np.zeros(len(base))
    nearby[order] = _compare_with_neighbours(residuals[order], resolution)
    heights = base - base.min()
    scale = heights + np.median(heights)
    shares = residuals / scale
    shares = np.abs(shares - np.median(shares))
    by_height = shares * scale / np.maximum(np.median(shares) * scale, resolution)
    squares = residuals**2
    others = np.sqrt((squares.sum() - squares) / (len(squares) - 1))
    found = np.minimum(nearby, by_height)
    return np.where(np.abs(residuals) > _OF_ALL * others, found, 0.0)


def _compare_with_neighbours(values: NDArray[np.float64], resolution: float) -> NDArray[np.float64]:
    """Return how far each value is from the median of those around it, in their median absolute deviations."""
    n = len(values)
    size = min(n, max(_NEIGHBOURS, n // _NEIGHBOUR_SHARE))
    deviations = np.zeros(n)
    for place in range(n):
        start = min(max(0, place - size // 2), n - size)
        around = values[start : start + size]
        middle = np.median(around)
        deviations[place] = abs(values[place] - middle) / max(resolution, float(np.median(abs(around - middle))))
    return deviations
