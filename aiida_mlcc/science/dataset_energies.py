"""How the energies of one method follow those of another, and which of them do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from aiida_mlcc.science.snapshots import Snapshots

OUTLIER_DEVIATIONS = 6.0
"""Median absolute deviations beyond which an energy is named."""

_FEWEST = 8
_NEIGHBOURS = 31
_NEIGHBOUR_SHARE = 5
_MOST_FOR_SLOPE = 400
_FEWEST_FOR_DEPENDENCE = 4
_RESOLVED = 20.0
_PROPORTIONAL = 1e-6


@dataclass(frozen=True)
class Outlier:
    """An energy that differs from what frames of similar energy have.

    :param frame: of the data set.
    :param residual_mev_atom: distance from the regression line, less what frames of similar energy have.
    :param deviations: the same in median absolute deviations of these frames.
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
    :param outliers: energies beyond six median absolute deviations, in the order of the frames.
    """

    n_frames: int
    spread_mev_atom: float
    slope: float | None
    outliers: tuple[Outlier, ...]


def describe_difference(snapshots: Snapshots, base_method: str, method: str, decimals: int | None = None) -> Difference:
    """Describe E_method − E_base.

    Residuals grow with the energy, for what a straight line cannot describe grows, too: a frame is compared with those
    next to it in energy, not with all.

    :param decimals: with which the energies are written: no deviation is taken for smaller than the last of them.
    :raises aiida_mlcc.science.snapshots.SnapshotsError: where one of the methods labels nothing.
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
    residuals, deviations = _compare_with_neighbours((energies - slope * base)[order], 10.0 ** -(decimals or 12))
    outliers = [
        Outlier(int(frames[place]), float(residual * per_atom), float(deviation))
        for place, residual, deviation in zip(order, residuals, deviations, strict=True)
        if deviation > OUTLIER_DEVIATIONS
    ]
    return Difference(len(frames), spread, slope, tuple(sorted(outliers, key=lambda outlier: outlier.frame)))


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


def _compare_with_neighbours(
    values: NDArray[np.float64], resolution: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each value less the median of those around it, and the same in their median absolute deviations."""
    n = len(values)
    size = min(n, max(_NEIGHBOURS, n // _NEIGHBOUR_SHARE))
    residuals, deviations = np.zeros(n), np.zeros(n)
    for place in range(n):
        start = min(max(0, place - size // 2), n - size)
        around = values[start : start + size]
        residuals[place] = values[place] - np.median(around)
        deviations[place] = abs(residuals[place]) / max(resolution, float(np.median(abs(around - np.median(around)))))
    return residuals, deviations
