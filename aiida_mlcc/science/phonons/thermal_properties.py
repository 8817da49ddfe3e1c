"""Free energy, entropy and heat capacity of harmonic phonons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

QUANTITIES = ('free_energy_kJ_mol', 'entropy_J_K_mol', 'heat_capacity_J_K_mol')
"""Of one mole of the cells of the phonons, as phonopy has them."""


def thermal_properties(phonon: Any, mesh: ArrayLike, temperatures_K: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Return :data:`QUANTITIES` over temperature, each of shape (n_temperatures,).

    The three acoustic modes at Γ, whose frequencies are zero but for rounding, do not count, nor do imaginary modes:
    as ``phonopy --exclude-gamma-acoustic`` has it.
    :func:`~aiida_mlcc.science.phonons.mean_square_displacements.imaginary_share` says how many these are.

    :param phonon: a phonopy instance with force constants.
    :param mesh: three numbers of divisions, Γ among the points.
    """
    phonon.run_mesh([int(n) for n in np.asarray(mesh)], is_gamma_center=True)
    phonon.run_thermal_properties(temperatures=np.asarray(temperatures_K, dtype=float), exclude_gamma_acoustic=True)
    found = phonon.thermal_properties
    return dict(zip(QUANTITIES, (found.free_energy, found.entropy, found.heat_capacity), strict=True))
