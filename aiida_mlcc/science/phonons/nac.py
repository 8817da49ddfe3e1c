"""The non-analytical correction (LO–TO splitting): which supercells allow it, and which modes depend on it.

Phonopy applies it, with the Born charges of :mod:`aiida_mlcc.science.phonons.born`: it is given them in
:mod:`aiida_mlcc.science.force_field.phonons` and in ``calculations/functions/phonopy_instance.py``. A force field has
it as a term (:mod:`aiida_mlcc.science.force_field.dipole`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.crystal.cells import expand_matrix
from aiida_mlcc.science.phonons.born import NacParams
from aiida_mlcc.science.phonons.branches import Branches
from aiida_mlcc.science.units import frequencies_of_squares

SHORTEST_PERIOD = 8.0
"""Å: of a supercell whose force constants the correction by Gonze and Lee leaves right, to 0.1 cm⁻¹."""

FEWEST_CELLS = 3
"""Along every direction, for the same."""

MOVED_CM1 = 1.0
"""A mode that the correction moves by less does not depend on it."""


def refuse_supercell(primitive: Atoms, supercell_matrix: ArrayLike) -> str | None:
    """Return why a supercell is too small for the correction; None where it is not.

    :param supercell_matrix: in multiples of `primitive`, as phonopy reads it.
    """
    lattice = primitive.cell.array
    reduced = minkowski_reduce(np.asarray(expand_matrix(supercell_matrix)).T @ lattice)[0]
    shortest = float(np.linalg.norm(reduced, axis=1).min())
    least = min(SHORTEST_PERIOD, FEWEST_CELLS * float(np.linalg.norm(minkowski_reduce(lattice)[0], axis=1).min()))
    if shortest > least - 1e-3:
        return None
    return (
        f'with Born charges the supercell needs a shortest period of {least:.1f} Å, and has {shortest:.1f} Å: give a '
        f'larger `supercell_matrix`, {FEWEST_CELLS}×{FEWEST_CELLS}×{FEWEST_CELLS} primitive cells for instance'
    )


def moved_modes(
    branches: Branches, corrected: NDArray[np.complex128], uncorrected: NDArray[np.complex128]
) -> NDArray[np.bool_]:
    """Tell which modes the correction moves by more than 1 cm⁻¹, branch by branch, shape (n_points, n_modes).

    :param corrected: dynamical matrices with the correction, THz², shape (n_points, n_modes, n_modes); `uncorrected`
        without it.
    """
    vectors = branches.vectors
    found = [
        frequencies_of_squares(np.einsum('pai,pab,pbi->pi', vectors.conj(), matrices, vectors, optimize=True).real)
        for matrices in (corrected, uncorrected)
    ]
    return np.asarray(np.abs(found[0] - found[1]) > MOVED_CM1)


def without_correction(phonon: Any) -> NacParams | None:
    """Switch the correction of a phonopy instance off and return what switches it on again."""
    parameters: NacParams | None = phonon.nac_params
    phonon.nac_params = None
    return parameters
