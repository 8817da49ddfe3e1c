"""Conversions between the units of this package and those of others."""

from scipy import constants

CM1_PER_THZ = constants.tera / (constants.c * 100)
"""Wavenumbers in cm⁻¹ per THz of (not angular) frequency."""
