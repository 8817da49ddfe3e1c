"""Whether symmetry leaves the atoms of a crystal any freedom, and the primitive cell of a relaxed supercell."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.crystal.cells import expand_matrix
from aiida_mlcc.science.fit.force_constants_basis import symmetry_operations


def free_positions(primitive: Atoms, symprec: float = 1e-5) -> int:
    """Return how many coordinates of the atoms symmetry leaves free, shifts of the whole crystal left out.

    It is the number of independent displacements that all operations of the space group leave as they are.
    """
    rotations, translations = symmetry_operations(primitive, symprec)
    lattice, fractions = primitive.cell.array.T, primitive.get_scaled_positions(wrap=False)
    n_atoms = len(primitive)
    projector = np.zeros((3 * n_atoms, 3 * n_atoms))
    for rotation, translation in zip(rotations, translations, strict=True):
        apart = (fractions @ rotation.T + translation)[:, None] - fractions
        distances = np.linalg.norm((apart - np.rint(apart)) @ primitive.cell.array, axis=2)
        images = distances.argmin(axis=1)
        cartesian = lattice @ rotation @ np.linalg.inv(lattice)
        projector += np.kron(np.eye(n_atoms)[images].T, cartesian)
    projector /= len(rotations)
    shifts = np.kron(np.ones((n_atoms, 1)), np.eye(3)) / np.sqrt(n_atoms)
    return round(float(np.trace(projector) - np.trace(shifts.T @ projector @ shifts)))


def primitive_of_relaxed(primitive: Atoms, matrix: ArrayLike, ideal: Atoms, relaxed: Atoms) -> Atoms:
    """Return the primitive cell whose supercell is `relaxed`, the mean over all repetitions.

    :param matrix: as phonopy's ``supercell_matrix``.
    :param ideal: the supercell of `primitive` before, in phonopy's order of atoms, and `relaxed` in the same.
    """
    expanded = expand_matrix(np.asarray(matrix).tolist())
    n_repetitions = round(float(np.linalg.det(expanded)))
    moved = relaxed.get_scaled_positions(wrap=False) - ideal.get_scaled_positions(wrap=False)
    moved -= np.rint(moved)
    by_site: NDArray[np.float64] = moved.reshape(len(primitive), n_repetitions, 3).mean(axis=1)
    cell = np.linalg.inv(expanded.T) @ relaxed.cell.array
    fractions = primitive.get_scaled_positions(wrap=False)
    positions = fractions @ cell + (by_site - by_site.mean(axis=0)) @ relaxed.cell.array
    at_rest = primitive.copy()
    at_rest.set_cell(cell)
    at_rest.set_positions(positions)
    return at_rest
