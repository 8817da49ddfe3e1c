"""How well a run has sampled its spectrum: correlation time, independent blocks, standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.dynamics.vdos import line_overlap


@dataclass(frozen=True)
class Sampling:
    """What the blocks of one run say.

    :param n_blocks: whole blocks that were compared.
    :param n_independent: as many independent blocks would know as much; 1 at least.
    :param correlation_time_ps: for how long a mode remembers its energy; None where there are too few blocks to tell.
    :param forgets: whether the run is long enough to see the modes exchange their energies. Where it is not, the
        correlation time is a lower bound.
    """

    n_blocks: int
    n_independent: float
    correlation_time_ps: float | None
    forgets: bool


def single_sample_variance(
    total: NDArray[np.float64], n_cells: int, window: str, longest_lag_fs: float
) -> NDArray[np.float64]:
    """Return the variance of a spectrum whose modes have each drawn their energy once from the canonical ensemble.

    The energy of a classical mode has a standard deviation as large as its mean, so a spectrum S of modes that are
    smeared by the line g has the variance S·∫g². A spectrum that comes from any finite number of atoms has it, however
    exactly it is computed; only time in which the modes exchange energy, or other trajectories, bring it down.

    :param total: modes per cm⁻¹ of a primitive cell, of which the crystal has `n_cells`.
    """
    return np.maximum(total, 0) * line_overlap(window, longest_lag_fs) / n_cells


def sampling_of(blocks: NDArray[np.float64], variance: NDArray[np.float64], block_ps: float) -> Sampling:
    """Compare the spectra of the blocks of one run.

    The variogram ½⟨(S_b − S_b+k)²⟩ falls short of `variance` by the covariance at a distance of k blocks, from which
    the number of independent blocks follows: n/(1 + 2Σ(1 − k/n)·r_k).

    :param blocks: spectra, shape (n_blocks, n_frequencies).
    :param variance: of a single sample, from :func:`single_sample_variance`.
    :param block_ps: how long a block is.
    """
    n_blocks = len(blocks)
    if n_blocks < 2:
        return Sampling(n_blocks, 1.0, None, False)
    correlations: list[float] = []
    forgets = False
    for distance in range(1, n_blocks):
        variogram = 0.5 * np.mean((blocks[distance:] - blocks[:-distance]) ** 2, axis=0)
        left = 1 - float(variogram.sum() / variance.sum())
        if left <= 0:
            forgets = True
            break
        correlations.append(left)
    weights = 1 - np.arange(1, len(correlations) + 1) / n_blocks
    inefficiency = 1 + 2 * float(np.sum(weights * correlations))
    return Sampling(
        n_blocks, max(n_blocks / inefficiency, 1.0), block_ps * (0.5 + float(np.sum(correlations))), forgets
    )


def sampling_sd(variance: NDArray[np.float64], runs: Sequence[Sampling]) -> NDArray[np.float64]:
    """Return the standard deviation of a mean over the runs of one member."""
    return np.sqrt(variance / sum(run.n_independent for run in runs))
