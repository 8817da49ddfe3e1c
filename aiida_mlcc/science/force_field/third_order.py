"""Third-order force constants as part of a force field: E = ⅙ Σ Ψ·u·u·u, on any supercell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap
from aiida_mlcc.science.force_field.kinds import ForceFieldError
from aiida_mlcc.science.force_field.neighbours import partner_atoms

_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Triplets:
    """Three sites that interact, every order of the three listed, with the first one in the cell 0.

    :param sites: (i, j, k) of the primitive cell, shape (n_triplets, 3).
    :param lattice_vectors: the cells of j and k in units of the primitive vectors, shape (n_triplets, 2, 3).
    """

    sites: NDArray[np.int64]
    lattice_vectors: NDArray[np.int64]

    def atoms(self, site_map: SiteMap) -> NDArray[np.int64]:
        """Return the three atoms of every triplet in every cell of a supercell, shape (3, n_triplets, n_cells)."""
        sites, vectors = self.sites, self.lattice_vectors
        found = [partner_atoms(sites[:, 0], sites[:, 0], 0 * vectors[:, 0], site_map)]
        found += [partner_atoms(sites[:, 0], sites[:, 1 + n], vectors[:, n], site_map) for n in (0, 1)]
        return np.array(found)


class BoundThirdOrder:
    """Third-order force constants on one supercell."""

    def __init__(self, triplets: Triplets, force_constants: NDArray[np.float64], site_map: SiteMap) -> None:
        """Prepare for a supercell.

        :param force_constants: Ψ = ∂³E/∂u∂u∂u, eV/Å³, shape (n_triplets, 3, 3, 3).
        """
        self._first, self._second, self._third = triplets.atoms(site_map)
        # Ψ_abc·u_b·u_c as one product of matrices per triplet: (n_cells, 9) times (9, 3).
        self._matrices = np.ascontiguousarray(force_constants.reshape(len(force_constants), 3, 9).swapaxes(1, 2))
        self._n_atoms = len(site_map.sites)

    def energy_forces(self, displacements: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return ⅙ Σ Ψ·u·u·u (eV) and the forces −½ Σ Ψ·u·u (eV/Å), shape (n_atoms, 3)."""
        second, third = displacements[self._second], displacements[self._third]
        pairs = (second[..., :, None] * third[..., None, :]).reshape(*second.shape[:2], 9)
        pulls = -0.5 * (pairs @ self._matrices)
        forces: NDArray[np.float64] = np.column_stack(
            [np.bincount(self._first.ravel(), pulls[..., axis].ravel(), self._n_atoms) for axis in range(3)]
        )
        # Euler: the energy is homogeneous of degree three, so Σ u·∂E/∂u = 3 E.
        return float(-np.vdot(forces, displacements) / 3.0), forces


def check_third_order(triplets: Triplets, force_constants: NDArray[np.float64], n_sites: int) -> None:
    """Check that Ψ is the third derivative of an energy that a shift of the whole crystal leaves alone.

    :raises ForceFieldError: where arrays do not fit together, the order of the three atoms counts, or a shift does.
    """
    sites, vectors = triplets.sites, triplets.lattice_vectors
    n_triplets = len(sites)
    shapes = (sites.shape, vectors.shape, force_constants.shape)
    if shapes != ((n_triplets, 3), (n_triplets, 2, 3), (n_triplets, 3, 3, 3)):
        raise ForceFieldError(f'the arrays of the third-order force constants do not fit together: {shapes}')
    if n_triplets and (sites.min() < 0 or sites.max() >= n_sites):
        raise ForceFieldError('the third-order force constants name a site that the primitive cell does not have')
    tolerance = _TOLERANCE * max(float(np.abs(force_constants).max(initial=0.0)), 1.0)
    known: dict[tuple[int, ...], NDArray[np.float64]] = {}
    sums: dict[tuple[int, ...], NDArray[np.float64]] = {}
    for number in range(n_triplets):
        pair = (*sites[number, :2].tolist(), *vectors[number, 0].tolist())
        known[(*pair, int(sites[number, 2]), *vectors[number, 1].tolist())] = force_constants[number]
        sums[pair] = sums.get(pair, np.zeros((3, 3, 3))) + force_constants[number]
    for number in range(n_triplets):
        i, j, k = sites[number].tolist()
        to_j, to_k = vectors[number]
        swapped = known.get((i, k, *to_k.tolist(), j, *to_j.tolist()))
        turned = known.get((j, i, *(-to_j).tolist(), k, *(to_k - to_j).tolist()))
        block = force_constants[number]
        if (
            swapped is None
            or turned is None
            or np.abs(block - swapped.swapaxes(1, 2)).max() > tolerance
            or np.abs(block - turned.swapaxes(0, 1)).max() > tolerance
        ):
            raise ForceFieldError(f'Ψ of the sites {i}, {j} and {k} depends on the order in which they are named')
    if len(known) < n_triplets:
        raise ForceFieldError('the third-order force constants list three atoms twice')
    if sums and max(np.abs(total).max() for total in sums.values()) > tolerance:
        raise ForceFieldError('the third-order force constants feel a shift of the whole crystal (acoustic sum rule)')
