"""How far the parameters of a Δ could be from those that were fitted: other labels, their noise, and higher orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.fit.displacement_amplitudes import sixth_powers
from aiida_mlcc.science.fit.mapped_frames import MappedFrames
from aiida_mlcc.science.fit.ridge import (
    Prepared,
    bootstrap,
    draws,
    noise_left,
    posterior_draws,
    prepare,
    uncertainty,
)

_LABELS_FOR_BOOTSTRAP = 2
_STRETCHES = 40
_COLD_SHARE = 0.25
_COLDEST_AT_LEAST = 4
_LEAST_LEFT = 0.1
_RELEASED = 1e-3


def sampled_deviations(
    problem: Prepared, ridges: tuple[float, ...], choices: Sequence[float], n_samples: int, seed: int
) -> tuple[NDArray[np.float64], str]:
    """Return deviations of all parameters that other snapshots might have given, and how they were drawn.

    :returns: shape (n_samples, n_parameters), and ``bootstrap`` or ``posterior``.
    """
    content = problem.problem
    if content.n_frames >= _LABELS_FOR_BOOTSTRAP * content.features.shape[1]:
        stretch = max(1, content.n_frames // _STRETCHES)
        found = bootstrap(problem, ridges, n_samples, seed, stretch)
        return found - problem.solve(ridges)[0], 'bootstrap'
    # Drawn with replacement, so few frames would leave out directions that only one of them shows.
    found = posterior_draws(problem, ridges, choices, n_samples, [seed, 1])
    return found - problem.solve(ridges)[0], 'posterior'


def unknown_orders(frames: Sequence[MappedFrames], problem: Prepared, ridges: tuple[float, ...]) -> NDArray[np.float64]:
    """Return what frozen phonons in two amplitudes leave open of the parameters, shape (2, n_parameters).

    First, what changes where no ridge holds their higher orders down; then what t⁶ may have made, alike in all.

    :param ridges: the last one is that of the higher orders.
    """
    content, exact = problem.problem, problem.solve(ridges)[0]
    released = problem.solve((*ridges[:-1], min(ridges[-1], _RELEASED)))[0] - exact
    sixth = replace(content, targets=sixth_powers(frames, content.targets))
    return np.array([released, prepare(sixth).solve(ridges)[0]])


def further_noise(
    noise: float, problem: Prepared, ridges: tuple[float, ...], n_samples: int, seed: int
) -> NDArray[np.float64]:
    """Return deviations by noise of the labels, eV per cell, beyond what the fit leaves of them.

    :returns: shape (n_samples, n_parameters).
    """
    found = uncertainty(problem, ridges)
    beyond = max(noise**2 - found.noise**2, 0.0)
    return draws(found.response * beyond, n_samples, [seed, 4])


def label_noise(problem: Prepared, ridges: tuple[float, ...], base: int) -> float:
    """Return what is left over of the labels of the coldest frames, eV per cell: there every model is right.

    :param base: the column with the energy of the base.
    """
    content = problem.problem
    energies = np.flatnonzero(content.is_energy)
    parameters, constant = problem.solve(ridges)
    residuals = content.targets[energies] - content.features[energies] @ parameters - constant
    heights = content.features[energies, base]
    n_cold = min(len(energies), max(_COLDEST_AT_LEAST, round(_COLD_SHARE * len(energies))))
    coldest = np.argsort(heights)[:n_cold]
    left = max(float(np.mean(noise_left(problem, ridges)[coldest])), _LEAST_LEFT)
    return float(np.sqrt(np.mean(residuals[coldest] ** 2) / left))
