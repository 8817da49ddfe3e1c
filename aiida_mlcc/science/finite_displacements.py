"""Force constants of a crystal at rest by finite displacements of one atom of each site."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal import SiteMap

DISPLACEMENT = 0.01
"""Å, both ways: odd orders beyond the second cancel."""


def rows_at_rest(
    forces_of: Callable[[Atoms], NDArray[np.float64]], atoms: Atoms, site_map: SiteMap
) -> dict[int, NDArray[np.float64]]:
    """Return one atom of each site → Φ between it and all atoms of a supercell, eV/Å², shape (3, n_atoms, 3).

    :param forces_of: forces of displaced atoms, eV/Å, shape (n_atoms, 3).
    :param site_map: of `atoms`, from :func:`~aiida_mlcc.science.crystal.map_onto_crystal`.
    """
    rows = {}
    for atom in one_atom_of_each_site(site_map):
        row = np.zeros((3, len(atoms), 3))
        for axis in range(3):
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[atom, axis] += sign * DISPLACEMENT
                row[axis] -= sign * forces_of(moved) / (2 * DISPLACEMENT)
        rows[atom] = row
    return rows


def one_atom_of_each_site(site_map: SiteMap) -> list[int]:
    """Return the first atom on each site of the primitive cell."""
    return [int(np.flatnonzero(site_map.sites == site)[0]) for site in range(int(site_map.sites.max()) + 1)]
