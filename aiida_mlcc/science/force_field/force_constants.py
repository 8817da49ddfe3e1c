"""Force constants of a crystal as a term of a force field: E = Σ f·u + ½ Σ u·Φ·u + …, on any supercell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.sparse import bsr_array, coo_array, csr_array

from aiida_mlcc.science.crystal.cells import SiteMap, map_onto_crystal, unwrap
from aiida_mlcc.science.force_field.fourth_order import Bonds, BoundFourthOrder, check_fourth_order
from aiida_mlcc.science.force_field.kinds import EnergyForces, ForceFieldError
from aiida_mlcc.science.force_field.neighbours import partner_atoms
from aiida_mlcc.science.force_field.sum import Term, TrainedOn
from aiida_mlcc.science.force_field.third_order import BoundThirdOrder, Triplets, check_third_order

KIND = 'force-constants'
_SYMMETRY_TOLERANCE = 1e-6


def force_constants_term(
    primitive: Atoms,
    pairs: NDArray[np.int64],
    lattice_vectors: NDArray[np.int64],
    force_constants: NDArray[np.float64],
    cutoff: float,
    first_order: NDArray[np.float64] | None = None,
    trained_on: TrainedOn | None = None,
    third_order: tuple[Triplets, NDArray[np.float64]] | None = None,
    fourth_order: tuple[Bonds, NDArray[np.float64]] | None = None,
) -> Term:
    """Describe force constants as a term of a force field.

    :param pairs: sites (i, j) of the primitive cell, shape (n_pairs, 2); every pair is listed both ways.
    :param lattice_vectors: the cell of j, that of i being 0, in units of the primitive vectors, shape (n_pairs, 3).
    :param force_constants: Φ = ∂²E/∂u_i∂u_j, eV/Å², shape (n_pairs, 3, 3).
    :param cutoff: the distance in Å beyond which Φ is zero, for the record.
    :param first_order: ∂E/∂u_i at the sites, eV/Å, shape (n_sites, 3), where symmetry leaves sites some freedom.
    :param third_order: triplets of atoms and Ψ = ∂³E/∂u∂u∂u, eV/Å³, shape (n_triplets, 3, 3, 3), if any.
    :param fourth_order: bonds and the three coefficients of each kind, eV/Å⁴, shape (n_kinds, 3), if any.
    """
    arrays = {
        'cell': np.array(primitive.cell.array, dtype=float),
        'positions': np.array(primitive.positions, dtype=float),
        'pairs': np.asarray(pairs, dtype=np.int64),
        'lattice_vectors': np.asarray(lattice_vectors, dtype=np.int64),
        'fc': np.asarray(force_constants, dtype=float),
    }
    if first_order is not None:
        arrays['first_order'] = np.asarray(first_order, dtype=float)
    if third_order is not None:
        arrays['triplets'] = np.asarray(third_order[0].sites, dtype=np.int64)
        arrays['triplet_vectors'] = np.asarray(third_order[0].lattice_vectors, dtype=np.int64)
        arrays['third_order'] = np.asarray(third_order[1], dtype=float)
    if fourth_order is not None:
        arrays['bonds'] = np.asarray(fourth_order[0].pairs, dtype=np.int64)
        arrays['bond_vectors'] = np.asarray(fourth_order[0].lattice_vectors, dtype=np.int64)
        arrays['bond_kinds'] = np.asarray(fourth_order[0].kinds, dtype=np.int64)
        arrays['fourth_order'] = np.asarray(fourth_order[1], dtype=float)
    settings = {'symbols': primitive.get_chemical_symbols(), 'cutoff': float(cutoff)}
    return Term(KIND, settings, arrays, trained_on=trained_on or {})


def add_up(terms: Sequence[Term]) -> list[Term]:
    """Return one term of weight 1 for the terms of each crystal, Σ_t w_t·E_t: one pass over the pairs, not many.

    Crystals are told apart by their symbols, lattice vectors and positions, bit by bit.
    """
    crystals: dict[tuple[Any, ...], list[Term]] = {}
    for term in terms:
        arrays = (term.arrays[name].tobytes() for name in ('cell', 'positions'))
        crystals.setdefault((*term.settings['symbols'], *arrays), []).append(term)
    return [_sum(alike) for alike in crystals.values()]


def _sum(terms: Sequence[Term]) -> Term:
    """Return Σ_t w_t·E_t of terms of one crystal as a term."""
    weighted = [(term.weight, ForceConstantsModel(term)) for term in terms]
    first = weighted[0][1]
    keys, constants = _united(
        [(np.column_stack([m.pairs, m.lattice_vectors]), w * m.force_constants) for w, m in weighted]
    )
    third = [(m.third_order, w) for w, m in weighted if m.third_order is not None]
    fourth = [(m.fourth_order, w) for w, m in weighted if m.fourth_order is not None]
    return force_constants_term(
        first.primitive,
        keys[:, :2],
        keys[:, 2:],
        constants,
        max(model.cutoff for _, model in weighted),
        np.sum([w * m.first_order for w, m in weighted], axis=0),
        terms[0].trained_on,
        _sum_of_triplets(third) if third else None,
        _sum_of_bonds(fourth) if fourth else None,
    )


def _sum_of_triplets(
    parts: Sequence[tuple[tuple[Triplets, NDArray[np.float64]], float]],
) -> tuple[Triplets, NDArray[np.float64]]:
    rows = [
        (np.column_stack([t.sites, t.lattice_vectors.reshape(-1, 6)]), weight * blocks) for (t, blocks), weight in parts
    ]
    keys, blocks = _united(rows)
    return Triplets(keys[:, :3], keys[:, 3:].reshape(-1, 2, 3)), blocks


def _sum_of_bonds(
    parts: Sequence[tuple[tuple[Bonds, NDArray[np.float64]], float]],
) -> tuple[Bonds, NDArray[np.float64]]:
    rows = [
        (np.column_stack([b.pairs, b.lattice_vectors]), weight * coefficients[b.kinds])
        for (b, coefficients), weight in parts
    ]
    keys, of_bonds = _united(rows)
    coefficients, kinds = np.unique(of_bonds, axis=0, return_inverse=True)
    return Bonds(keys[:, :2], keys[:, 2:], kinds.ravel().astype(np.int64)), coefficients


def _united(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the distinct keys (rows) of all parts, and the sums of what belongs to each."""
    keys, places = np.unique(np.concatenate([part[0] for part in parts]), axis=0, return_inverse=True)
    sums = np.zeros((len(keys), *parts[0][1].shape[1:]))
    np.add.at(sums, places.ravel(), np.concatenate([part[1] for part in parts]))
    return keys, sums


class ForceConstantsModel:
    """The energy surface of a ``force-constants`` term. Weight and constants belong to the force field, not to it."""

    def __init__(self, term: Term) -> None:
        """Take the term apart and check that it is an energy surface.

        :raises ForceFieldError: for another kind of term, arrays that do not fit together, force constants that are
            not symmetric under exchange of the two atoms, or ones that feel a shift of the whole crystal.
        """
        if term.kind != KIND:
            raise ForceFieldError(f'a term of kind {term.kind!r} holds no force constants')
        self.primitive = Atoms(
            term.settings['symbols'], cell=term.arrays['cell'], positions=term.arrays['positions'], pbc=True
        )
        self.cutoff = float(term.settings['cutoff'])
        self.pairs = np.asarray(term.arrays['pairs'], dtype=np.int64)
        self.lattice_vectors = np.asarray(term.arrays['lattice_vectors'], dtype=np.int64)
        self.force_constants = np.asarray(term.arrays['fc'], dtype=float)
        n_sites, n_pairs = len(self.primitive), len(self.pairs)
        self.first_order = np.asarray(term.arrays.get('first_order', np.zeros((n_sites, 3))), dtype=float)
        shapes = (self.pairs.shape, self.lattice_vectors.shape, self.force_constants.shape, self.first_order.shape)
        if shapes != ((n_pairs, 2), (n_pairs, 3), (n_pairs, 3, 3), (n_sites, 3)):
            raise ForceFieldError(f'the arrays of the force constants do not fit together: {shapes}')
        if n_pairs and (self.pairs.min() < 0 or self.pairs.max() >= n_sites):
            raise ForceFieldError('the force constants name a site that the primitive cell does not have')
        self._check_symmetry()
        self.third_order: tuple[Triplets, NDArray[np.float64]] | None = None
        if 'third_order' in term.arrays:
            triplets = Triplets(
                np.asarray(term.arrays['triplets'], dtype=np.int64),
                np.asarray(term.arrays['triplet_vectors'], dtype=np.int64),
            )
            self.third_order = triplets, np.asarray(term.arrays['third_order'], dtype=float)
            check_third_order(*self.third_order, n_sites)
        self.fourth_order: tuple[Bonds, NDArray[np.float64]] | None = None
        if 'fourth_order' in term.arrays:
            names = ('bonds', 'bond_vectors', 'bond_kinds')
            bonds = Bonds(*(np.asarray(term.arrays[name], dtype=np.int64) for name in names))
            self.fourth_order = bonds, np.asarray(term.arrays['fourth_order'], dtype=float)
            check_fourth_order(*self.fourth_order, n_sites)

    def bind(self, atoms: Atoms) -> BoundForceConstants:
        """Prepare for one supercell: atoms go to sites now, and keep them.

        :raises aiida_mlcc.science.crystal.cells.CrystalError: where `atoms` is not a supercell of this crystal.
        """
        site_map = map_onto_crystal(self.primitive, atoms)
        return BoundForceConstants(
            hessian=fold(self.pairs, self.lattice_vectors, self.force_constants, site_map),
            gradient=self.first_order[site_map.sites],
            site_map=site_map,
            cell=atoms.cell.array,
            beyond=self._beyond_harmonic(site_map),
        )

    def _beyond_harmonic(self, site_map: SiteMap) -> list[Callable[[NDArray[np.float64]], EnergyForces]]:
        """Return what gives energy and forces of the orders above the second, if any, on a supercell."""
        found: list[Callable[[NDArray[np.float64]], EnergyForces]] = []
        if self.third_order is not None:
            found.append(BoundThirdOrder(*self.third_order, site_map).energy_forces)
        if self.fourth_order is not None:
            bonds, coefficients = self.fourth_order
            bound = BoundFourthOrder(bonds, self.primitive, site_map)
            found.append(partial(bound.energy_forces, coefficients=coefficients))
        return found

    def _check_symmetry(self) -> None:
        scale = max(float(np.abs(self.force_constants).max(initial=0.0)), 1.0)
        forward = {
            (*pair, *vector): block
            for pair, vector, block in zip(
                self.pairs.tolist(), self.lattice_vectors.tolist(), self.force_constants, strict=True
            )
        }
        if len(forward) < len(self.pairs):
            raise ForceFieldError('the force constants list a pair of atoms twice')
        for (i, j, *vector), block in forward.items():
            mirrored = forward.get((j, i, *(-v for v in vector)))
            if mirrored is None or np.abs(block - mirrored.T).max() > _SYMMETRY_TOLERANCE * scale:
                raise ForceFieldError(f'Φ between sites {i} and {j} at {vector} is not that of the same pair reversed')
        shift = np.zeros((len(self.primitive), 3, 3))
        np.add.at(shift, self.pairs[:, 0], self.force_constants)
        if (
            max(np.abs(shift).max(initial=0.0), np.abs(self.first_order.sum(axis=0)).max())
            > _SYMMETRY_TOLERANCE * scale
        ):
            raise ForceFieldError('the force constants resist a shift of the whole crystal (acoustic sum rule)')


class BoundForceConstants:
    """Force constants on one supercell, ready for any number of steps."""

    def __init__(
        self,
        hessian: csr_array,
        gradient: NDArray[np.float64],
        site_map: SiteMap,
        cell: NDArray[np.float64],
        beyond: Sequence[Callable[[NDArray[np.float64]], EnergyForces]] = (),
    ) -> None:
        self.site_map = site_map
        self._cell = np.array(cell, dtype=float)
        self._gradient = gradient
        self._reference = site_map.reference_positions
        self._hessian = bsr_array(hessian, blocksize=(3, 3))
        self._beyond = tuple(beyond)

    def displacements(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Displacements from the sites, free of lattice vectors and of the rigid shift, Å, shape (n_atoms, 3)."""
        return unwrap(positions - self._reference, self._cell)

    def energy_forces(self, positions: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the energy (eV) and the forces (eV/Å, shape (n_atoms, 3)) at `positions` (Å), wrapped or not.

        Atoms keep the sites they had when bound. Nothing depends on the steps before, so a run that resumes finds the
        same numbers.
        """
        displaced = self.displacements(positions)
        response = (self._hessian @ displaced.ravel()).reshape(-1, 3)
        energy = float(np.vdot(self._gradient, displaced) + 0.5 * np.vdot(displaced, response))
        forces = -self._gradient - response
        for order in self._beyond:
            part, pull = order(displaced)
            energy, forces = energy + part, forces + pull
        return energy, forces

    def force_constants(self) -> NDArray[np.float64]:
        """Return Φ on this supercell in phonopy's layout, eV/Å², shape (n_atoms, n_atoms, 3, 3)."""
        n_atoms = len(self._reference)
        return self._hessian.toarray().reshape(n_atoms, 3, n_atoms, 3).transpose(0, 2, 1, 3)


def fold(
    pairs: NDArray[np.int64],
    lattice_vectors: NDArray[np.int64],
    force_constants: NDArray[np.float64],
    site_map: SiteMap,
) -> csr_array:
    """Return Φ on a supercell, shape (3·n_atoms, 3·n_atoms); pairs that meet around a small cell add up."""
    first = partner_atoms(pairs[:, 0], pairs[:, 0], 0 * lattice_vectors, site_map)
    second = partner_atoms(pairs[:, 0], pairs[:, 1], lattice_vectors, site_map)
    axes = np.arange(3)
    rows = (3 * first[:, :, None, None] + axes[:, None]) + 0 * axes
    columns = (3 * second[:, :, None, None] + axes) + 0 * axes[:, None]
    values = np.broadcast_to(force_constants[:, None], rows.shape)
    size = 3 * len(site_map.sites)
    return csr_array(coo_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=(size, size)))
