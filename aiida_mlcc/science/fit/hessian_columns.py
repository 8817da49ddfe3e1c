"""Columns of the force constants of a supercell that symmetry makes different: they teach a network its curvature
(phonon fine-tuning, arXiv:2601.07742).

A displacement v of one atom asks for the forces −Φ·v. The mean squared error of Φ·v over all atoms and directions is a
sum over orbits of atoms, and within one atom over the subspaces that its site symmetry leaves invariant: one direction
of each subspace, weighted with how many columns it stands for, gives the same mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import CrystalError, to_phonopy
from aiida_mlcc.science.crystal.symmetry import SYMPREC
from aiida_mlcc.science.fit.reference import ReferenceForces
from aiida_mlcc.science.force_field import Term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.snapshots import SnapshotsError

_SUM_RULE = 1e-4
_SUM_RULE_OF_FORCES = 0.1
_SYMMETRY = 1e-3
_GENERIC = np.array([[0.31, 0.17, -0.42], [0.17, 1.13, 0.29], [-0.42, 0.29, 2.07]])
"""A symmetric matrix of which no rotation is special: its mean over a group has an eigenspace for each subspace that
the group leaves invariant."""


@dataclass(frozen=True)
class HessianColumns:
    """Columns of the force constants of a crystal at rest.

    :param atoms: the supercell at rest.
    :param directions: unit displacements v, each of one atom, shape (n_columns, n_atoms, 3).
    :param responses: Φ·v, eV/Å², of the same shape.
    :param shares: the share of all columns of Φ that each stands for, shape (n_columns,); they add up to 1.
    """

    atoms: Atoms
    directions: NDArray[np.float64]
    responses: NDArray[np.float64]
    shares: NDArray[np.float64]

    @classmethod
    def of_force_constants(
        cls, force_constants: NDArray[np.float64], atoms: Atoms, symprec: float = SYMPREC
    ) -> HessianColumns:
        """Take the columns that symmetry makes different.

        :param force_constants: Φ in phonopy's layout, eV/Å², shape (n_atoms, n_atoms, 3, 3).
        :param atoms: the supercell at rest, its atoms in the order of Φ.
        :raises CrystalError: for force constants of another cell, without the symmetry of this crystal, or that violate
            the acoustic sum rule.
        """
        phi, n_atoms = np.asarray(force_constants, dtype=float), len(atoms)
        if phi.shape != (n_atoms, n_atoms, 3, 3):
            raise CrystalError(
                f'the force constants have the shape {phi.shape}, but a cell of {n_atoms} atoms has '
                f'({n_atoms}, {n_atoms}, 3, 3): they belong to another cell'
            )
        scale = float(np.abs(phi).max())
        if not np.isfinite(phi).all() or scale == 0:
            raise CrystalError('the force constants are all zero, or not numbers')
        if (worst := float(np.abs(phi.sum(axis=1)).max())) > _SUM_RULE * scale:
            raise CrystalError(
                f'the force constants violate the acoustic sum rule by {worst:.3g} eV/Å², '
                f'{100 * worst / scale:.2g} % of the largest: impose it (phonopy: --fc-symmetry)'
            )
        if np.abs(phi - phi.transpose(1, 0, 3, 2)).max() > _SYMMETRY * scale:
            raise CrystalError('the force constants of two atoms depend on their order: symmetrise them first')
        symmetry = SupercellSymmetry.of(atoms, symprec)
        for atom, group in symmetry.site_groups.items():
            own = phi[atom, atom]
            turned = [np.abs(rotation @ own @ rotation.T - own).max() for rotation in group]
            if max(turned) > _SYMMETRY * scale:
                raise CrystalError(
                    f'the force constants of atom {atom} do not have the symmetry of its site: they belong to another '
                    'crystal, or their atoms are in another order'
                )
        directions, shares = symmetry.irreducible_directions()
        responses = np.einsum('ijab,cjb->cia', phi, directions)
        return cls(atoms, directions, responses, shares)

    @classmethod
    def from_reference(cls, seen: ReferenceForces, term: Term) -> HessianColumns:
        """Take them from the force constants that reference displacements show, in the cell of the displacements.

        :param term: fitted to them by :func:`~aiida_mlcc.science.fit.reference.fit_reference`.
        :raises SnapshotsError: where the forces of a displacement have a sum.
        """
        sums, largest = np.linalg.norm(seen.forces.sum(axis=1), axis=1), np.linalg.norm(seen.forces, axis=2).max(axis=1)
        worst = int(np.argmax(sums - _SUM_RULE_OF_FORCES * largest))
        if sums[worst] > _SUM_RULE_OF_FORCES * largest[worst]:
            raise SnapshotsError(
                f'the forces that reference displacement {worst + 1} changes add up to {sums[worst]:.3g} eV/Å, '
                f'{100 * sums[worst] / largest[worst]:.0f} % of the largest: they break the acoustic sum rule; '
                'converge them better (a finer grid, a higher cutoff)'
            )
        frame = seen.frames.atoms(0)
        rest = Atoms(frame.numbers, positions=seen.site_map.reference_positions, cell=frame.cell, pbc=True)
        return cls.of_force_constants(ForceConstantsModel(term).bind(rest).force_constants(), rest)


@dataclass(frozen=True)
class SupercellSymmetry:
    """The operations of a crystal that take a supercell to itself, as phonopy finds them.

    :param orbits: for each atom, one that symmetry makes equal to it, shape (n_atoms,).
    :param site_groups: of each of these, the Cartesian rotations that leave it where it is, shape (n, 3, 3).
    """

    orbits: NDArray[np.int64]
    site_groups: Mapping[int, NDArray[np.float64]]

    @classmethod
    def of(cls, atoms: Atoms, symprec: float = SYMPREC) -> SupercellSymmetry:
        """Find the operations of a supercell at rest.

        :raises CrystalError: where no symmetry can be found.
        """
        from phonopy.structure.symmetry import Symmetry

        try:
            symmetry = Symmetry(to_phonopy(atoms), symprec=symprec)
        except (RuntimeError, TypeError) as error:
            raise CrystalError(f'no symmetry found within {symprec} Å: do two atoms share a place?') from error
        lattice = atoms.cell.array.T
        groups = {
            int(atom): lattice @ symmetry.get_site_symmetry(atom) @ np.linalg.inv(lattice)
            for atom in symmetry.get_independent_atoms()
        }
        return cls(np.asarray(symmetry.get_map_atoms(), dtype=np.int64), groups)

    def irreducible_directions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the directions and shares of :class:`HessianColumns`."""
        n_atoms = len(self.orbits)
        directions, shares = [], []
        for atom, group in self.site_groups.items():
            orbit = int(np.sum(self.orbits == atom))
            for subspace in _invariant_subspaces(group):
                direction = np.zeros((n_atoms, 3))
                direction[atom] = _a_vector_of(subspace)
                directions.append(direction)
                shares.append(orbit * len(subspace) / (3 * n_atoms))
        return np.array(directions), np.array(shares)


def _invariant_subspaces(group: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return orthonormal bases (as rows) of subspaces that a group of rotations leaves invariant, none divisible."""
    mean = np.mean(group @ _GENERIC @ group.transpose(0, 2, 1), axis=0)
    values, vectors = np.linalg.eigh(mean)
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf) > 1e-6)
    return [part.T for part in np.split(vectors, starts[1:], axis=1)]


def _a_vector_of(subspace: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a unit vector of a subspace, along a Cartesian axis where it holds one."""
    projected = subspace.T @ subspace
    axis = int(np.argmax(np.diag(projected)))
    return np.asarray(projected[axis] / np.linalg.norm(projected[axis]))
