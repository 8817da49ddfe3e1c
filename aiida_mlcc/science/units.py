"""Conversions between the units of this package and those of others, and which frequencies count as one."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

CM1_PER_THZ = constants.tera / (constants.c * 100)
"""Wavenumbers in cm⁻¹ per THz of (not angular) frequency."""

DEGENERATE_CM1 = 0.05
"""Rounding and the finite displacements split degenerate modes by less."""

IMAGINARY_THRESHOLD_CM1 = 5.0
"""Acoustic modes close to Γ come out this far below zero by rounding and interpolation alone."""


def frequencies_of_squares(squares: ArrayLike, cm1_per_root: float = CM1_PER_THZ) -> NDArray[np.float64]:
    """Return frequencies (cm⁻¹), negative where imaginary, of their squares.

    :param cm1_per_root: cm⁻¹ per root of the unit of the squares, by default THz².
    """
    values = np.asarray(squares, dtype=float)
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)) * cm1_per_root)


def steps_of(frequencies_cm1: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices at which ascending frequencies are no longer those of degenerate modes."""
    return np.flatnonzero(np.diff(frequencies_cm1) > DEGENERATE_CM1) + 1
