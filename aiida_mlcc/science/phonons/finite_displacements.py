"""Force constants of a crystal at rest by finite displacements of one atom of each site."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap

DISPLACEMENT = 0.01
"""Å, both ways: odd orders beyond the second cancel."""

NET_FORCE = 'net_force'
"""The key of a calculator's results with the net force (eV/Å, shape (3,)) that it has subtracted in equal shares."""

_SAME = 1e-6


def rows_at_rest(
    forces_of: Callable[[Atoms], NDArray[np.float64]], atoms: Atoms, site_map: SiteMap
) -> dict[int, NDArray[np.float64]]:
    """Return one atom of each site → Φ between it and all atoms of a supercell, eV/Å², shape (3, n_atoms, 3).

    :param forces_of: forces of displaced atoms, eV/Å, shape (n_atoms, 3).
    :param site_map: of `atoms`, from :func:`~aiida_mlcc.science.crystal.cells.map_onto_crystal`.
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


def displaced_atom(positions: NDArray[np.float64], at_rest: NDArray[np.float64]) -> int | None:
    """Return the one atom that is displaced from the crystal at rest; None where there are none or several.

    :param positions: and `at_rest`: Å, shape (n_atoms, 3).
    """
    moved = np.flatnonzero(np.abs(positions - at_rest).max(axis=1) > _SAME)
    return int(moved[0]) if len(moved) == 1 else None


def by_the_sum_rule(forces: NDArray[np.float64], net_force: NDArray[np.float64], atom: int) -> NDArray[np.float64]:
    """Return the forces where the displaced atom alone makes up for the net force that a program has found.

    A mesh in real space gives a net force to an atom that lies between its points, and next to none to the others. The
    force on the displaced atom is then minus the sum of the others': the acoustic sum rule.

    :param forces: eV/Å, from which the net force has been subtracted in equal shares, shape (n_atoms, 3).
    :param net_force: eV/Å, shape (3,).
    """
    found = forces + net_force / len(forces)
    found[atom] -= net_force
    return found


def one_atom_of_each_site(site_map: SiteMap) -> list[int]:
    """Return the first atom on each site of the primitive cell."""
    return [int(np.flatnonzero(site_map.sites == site)[0]) for site in range(int(site_map.sites.max()) + 1)]
