"""Grüneisen parameters: how the frequencies follow the volume, γ = −∂ln ω/∂ln V."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.units import frequencies_of_squares, steps_of

SMALLEST_CM1 = 1.0
"""A mode without a frequency has no Grüneisen parameter: it is NaN there."""


def strained(primitive: Atoms, strain: float) -> Atoms:
    """Return `primitive` with all lattice vectors longer by `strain`, its atoms at the same fractions of the cell."""
    atoms = primitive.copy()
    atoms.set_cell(primitive.cell.array * (1.0 + strain), scale_atoms=True)
    return atoms


def mode_gruneisen(
    at_rest: NDArray[np.complex128],
    expanded: NDArray[np.complex128],
    compressed: NDArray[np.complex128],
    strain: float,
) -> NDArray[np.float64]:
    """Return γ of each mode by ascending frequency, shape (n_points, n_modes), NaN where the frequency is zero.

    Degenerate modes, which rounding splits by less than 0.05 cm⁻¹, are those that the change of volume itself tells
    apart.

    :param at_rest: dynamical matrices (THz²), shape (n_points, n_modes, n_modes); `expanded` and `compressed` those of
        the crystal with lattice vectors longer and shorter by `strain`.
    """
    volume_change = (1.0 + strain) ** 3 - (1.0 - strain) ** 3
    gammas = np.full(at_rest.shape[:2], np.nan)
    for point, change in enumerate(expanded - compressed):
        squares, vectors = np.linalg.eigh(at_rest[point])
        frequencies_cm1 = frequencies_of_squares(squares)
        slopes = np.empty(len(squares))
        for together in np.split(np.arange(len(squares)), steps_of(frequencies_cm1)):
            within = vectors[:, together].conj().T @ change @ vectors[:, together]
            slopes[together] = np.linalg.eigvalsh(within)
        moving = np.abs(frequencies_cm1) > SMALLEST_CM1
        gammas[point, moving] = -slopes[moving] / (2 * squares[moving] * volume_change)
    return gammas
