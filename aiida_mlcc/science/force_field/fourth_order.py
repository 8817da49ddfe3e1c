"""Fourth order along bonds: E = ½ Σ a·p⁴ + b·p²t² + c·t⁴, with p and t the parts of u_j − u_i along and across a bond.

All force constants of fourth order that symmetry allows are too many for a hundred energies. Along bonds they are three
a kind, and keep what is quartic from passing for harmonic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap
from aiida_mlcc.science.force_field.kinds import ForceFieldError
from aiida_mlcc.science.force_field.neighbours import partner_atoms

TERMS_OF_A_BOND = 3
_SAME_LENGTH = 1e-3
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Bonds:
    """Bonds between sites, every one listed both ways, the first atom in the cell 0.

    :param pairs: sites (i, j), shape (n_bonds, 2).
    :param lattice_vectors: the cell of j in units of the primitive vectors, shape (n_bonds, 3).
    :param kinds: bonds of one length between two elements are of one kind, shape (n_bonds,).
    """

    pairs: NDArray[np.int64]
    lattice_vectors: NDArray[np.int64]
    kinds: NDArray[np.int64]

    @property
    def n_kinds(self) -> int:
        """How many kinds of bond there are."""
        return int(self.kinds.max(initial=-1)) + 1

    def directions(self, primitive: Atoms) -> NDArray[np.float64]:
        """Return unit vectors from i to j, shape (n_bonds, 3)."""
        apart = primitive.positions[self.pairs[:, 1]] - primitive.positions[self.pairs[:, 0]]
        apart = apart + self.lattice_vectors @ primitive.cell.array
        return np.asarray(apart / np.linalg.norm(apart, axis=1)[:, None])


def bonds_within(primitive: Atoms, cutoff: float) -> Bonds:
    """Return all bonds shorter than `cutoff` (Å)."""
    first, second, vectors, lengths = neighbor_list('ijSd', primitive, cutoff)
    ascending = np.argsort(lengths)
    shells = np.empty(len(lengths), dtype=np.int64)
    # A gap divides two shells, not a rounded length: one bond may come out a hair longer than its like.
    shells[ascending] = np.cumsum(np.diff(lengths[ascending], prepend=0.0) > _SAME_LENGTH)
    elements = np.sort(primitive.numbers[np.column_stack([first, second])], axis=1)
    kinds = np.unique(np.column_stack([shells, elements]), axis=0, return_inverse=True)[1].ravel().astype(np.int64)
    return Bonds(np.column_stack([first, second]).astype(np.int64), vectors.astype(np.int64), kinds)


class BoundFourthOrder:
    """Bonds of fourth order on one supercell."""

    def __init__(self, bonds: Bonds, primitive: Atoms, site_map: SiteMap) -> None:
        self._bonds = bonds
        self._first = partner_atoms(bonds.pairs[:, 0], bonds.pairs[:, 0], 0 * bonds.lattice_vectors, site_map)
        self._second = partner_atoms(bonds.pairs[:, 0], bonds.pairs[:, 1], bonds.lattice_vectors, site_map)
        self._along = bonds.directions(primitive)[:, None, :]
        self._n_atoms = len(site_map.sites)

    def features(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ½ Σ p⁴, ½ Σ p²t², ½ Σ t⁴ of each kind of bond (Å⁴), shape (3·n_kinds,)."""
        along, across, _ = self._parts(displacements)
        sums = np.stack([along**4, along**2 * across, across**2], axis=-1).sum(axis=1)
        found = np.zeros((self._bonds.n_kinds, TERMS_OF_A_BOND))
        np.add.at(found, self._bonds.kinds, 0.5 * sums)
        return found.ravel()

    def energy_forces(
        self, displacements: NDArray[np.float64], coefficients: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the energy (eV) and the forces (eV/Å), shape (n_atoms, 3).

        :param coefficients: a, b, c of each kind of bond, eV/Å⁴, shape (n_kinds, 3).
        """
        along, across, sideways = self._parts(displacements)
        a, b, c = (coefficients[self._bonds.kinds, number][:, None] for number in range(TERMS_OF_A_BOND))
        energy = 0.5 * float(np.sum(a * along**4 + b * along**2 * across + c * across**2))
        by_length = 4 * a * along**3 + 2 * b * along * across
        by_side = 2 * b * along**2 + 4 * c * across
        # Both orders of a bond are listed, each with half of its energy: the first atom of each feels all of it.
        pulls = by_length[..., None] * self._along + by_side[..., None] * sideways
        forces: NDArray[np.float64] = np.column_stack(
            [np.bincount(self._first.ravel(), pulls[..., axis].ravel(), self._n_atoms) for axis in range(3)]
        )
        return energy, forces

    def force_features(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the forces of each coefficient (Å³), those of :meth:`features`.

        :param displacements: Å, shape (n_frames, n_atoms, 3).
        :returns: shape (n_frames, n_atoms, 3, 3·n_kinds).
        """
        n_frames, n_atoms = displacements.shape[:2]
        found = np.zeros((n_frames, n_atoms, self._bonds.n_kinds, TERMS_OF_A_BOND, 3))
        for number in range(len(self._first)):
            first, kind = self._first[number], self._bonds.kinds[number]
            apart = displacements[:, self._second[number]] - displacements[:, first]
            direction = self._along[number]
            along = np.sum(apart * direction, axis=2, keepdims=True)
            sideways = apart - along * direction
            across = np.sum(sideways**2, axis=2, keepdims=True)
            # Each cell has one atom of the site that the bond starts from.
            found[:, first, kind, 0] += 4 * along**3 * direction
            found[:, first, kind, 1] += 2 * along * across * direction + 2 * along**2 * sideways
            found[:, first, kind, 2] += 4 * across * sideways
        return np.moveaxis(found.reshape(n_frames, n_atoms, -1, 3), 2, 3)

    def _parts(
        self, displacements: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return p, t² and the vector t of every bond in every cell."""
        apart = displacements[self._second] - displacements[self._first]
        along = np.sum(apart * self._along, axis=2)
        sideways = apart - along[..., None] * self._along
        return along, np.sum(sideways**2, axis=2), sideways


def check_fourth_order(bonds: Bonds, coefficients: NDArray[np.float64], n_sites: int) -> None:
    """Check that the arrays are bonds, each listed both ways as one kind.

    :raises ForceFieldError: where they are not.
    """
    shapes = (bonds.pairs.shape, bonds.lattice_vectors.shape, bonds.kinds.shape, coefficients.shape)
    n_bonds = len(bonds.pairs)
    if shapes != ((n_bonds, 2), (n_bonds, 3), (n_bonds,), (bonds.n_kinds, TERMS_OF_A_BOND)):
        raise ForceFieldError(f'the arrays of the bonds do not fit together: {shapes}')
    if n_bonds and (min(bonds.pairs.min(), bonds.kinds.min()) < 0 or bonds.pairs.max() >= n_sites):
        raise ForceFieldError('the bonds name a site that the primitive cell does not have')
    rows = zip(bonds.pairs.tolist(), bonds.lattice_vectors.tolist(), bonds.kinds.tolist(), strict=True)
    known = {(i, j, *vector): kind for (i, j), vector, kind in rows}
    if len(known) < n_bonds:
        raise ForceFieldError('a bond is listed twice')
    if any(known.get((j, i, *(-v for v in vector))) != kind for (i, j, *vector), kind in known.items()):
        raise ForceFieldError('a bond is not listed both ways as one kind')
    if any(i == j and not any(vector) for (i, j, *vector) in known):
        raise ForceFieldError('an atom has a bond with itself')
