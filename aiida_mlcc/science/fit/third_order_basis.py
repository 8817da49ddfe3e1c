"""The third-order force constants that symmetry allows within a cutoff, and their features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from numpy.typing import NDArray
from scipy.sparse import csr_array

from aiida_mlcc.science.crystal.cells import CrystalError, SiteMap, map_onto_crystal, shortest_distance, supercell
from aiida_mlcc.science.fit.force_constants_basis import coset_operations, isotropic_multiples, shells, unpacked
from aiida_mlcc.science.force_field.third_order import Triplets

_NEGLIGIBLE = 1e-10
_SEARCHED = 3.0
_COMPONENTS = 27
_FRAMES_OF_A_BLOCK = 16


@dataclass(frozen=True)
class ThirdOrderBasis:
    """Symmetry-adapted third-order force constants: Ψ = Σ_k θ_k B_k.

    :param blocks: B_k, orthonormal, shape (n_third, n_triplets, 3, 3, 3).
    """

    primitive: Atoms
    cutoff: float
    triplets: Triplets
    blocks: NDArray[np.float64]

    @property
    def n_third(self) -> int:
        """How many parameters of third order there are."""
        return len(self.blocks)

    def features(self, site_map: SiteMap, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ⅙ Σ B_k·u·u·u (Å³) of every basis function, shape (n_frames, n_third).

        :param displacements: Å, shape (n_frames, n_atoms, 3).
        """
        first, second, third = self.triplets.atoms(site_map)
        flat = self.blocks.reshape(self.n_third, -1).T
        features = np.zeros((len(displacements), self.n_third))
        for number, moved in enumerate(displacements):
            pairs = np.einsum('tca,tcb->tcab', moved[first], moved[second]).reshape(*first.shape, 9)
            products = np.swapaxes(pairs, 1, 2) @ moved[third]
            features[number] = products.ravel() @ flat / 6.0
        return features

    def force_features(self, site_map: SiteMap, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the forces of every basis function (Å²), shape (n_frames, 3·n_atoms, n_third)."""
        return self.bind(site_map).force_features(displacements)

    def bind(self, site_map: SiteMap) -> BoundThirdOrderBasis:
        """Prepare for one supercell and any number of frames."""
        return BoundThirdOrderBasis(self, site_map)


class BoundThirdOrderBasis:
    """A basis on one supercell."""

    def __init__(self, basis: ThirdOrderBasis, site_map: SiteMap) -> None:
        self._n_third = basis.n_third
        self._sites = [_BoundSite(basis, site_map, int(site)) for site in np.unique(basis.triplets.sites[:, 0])]

    def force_features(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what :meth:`ThirdOrderBasis.force_features` does."""
        n_frames, n_atoms = displacements.shape[:2]
        features = np.zeros((n_frames, n_atoms, 3, self._n_third))
        for bound in self._sites:
            for start in range(0, n_frames, _FRAMES_OF_A_BLOCK):
                block = slice(start, start + _FRAMES_OF_A_BLOCK)
                features[block, bound.atoms] = bound.forces(displacements[block])
        return features.reshape(n_frames, 3 * n_atoms, self._n_third)


class _BoundSite:
    """The forces on all atoms of one site, −½ Σ B·u·u, with each product u·u of a pair of coordinates formed once."""

    def __init__(self, basis: ThirdOrderBasis, site_map: SiteMap, site: int) -> None:
        own = np.flatnonzero(basis.triplets.sites[:, 0] == site)
        first, second, third = basis.triplets.atoms(site_map)[:, own]
        self.atoms = first[0]
        partners, places = np.unique(np.concatenate([second, third]), axis=0, return_inverse=True)
        components = 3 * places.reshape(2, -1)[:, :, None] + np.arange(3)
        # Rows (triplet, b, c) of the matrix belong to the product of two coordinates of partners, in either order.
        one = np.broadcast_to(components[0][:, :, None], (len(own), 3, 3)).ravel()
        other = np.broadcast_to(components[1][:, None, :], (len(own), 3, 3)).ravel()
        low, high = np.minimum(one, other), np.maximum(one, other)
        pairs, rows = np.unique(low * (3 * len(partners)) + high, return_inverse=True)
        blocks = np.moveaxis(basis.blocks[:, own], (1, 3, 4, 2, 0), (0, 1, 2, 3, 4)).reshape(len(rows), -1)
        matrix = np.zeros((len(pairs), blocks.shape[1]))
        np.add.at(matrix, rows.ravel(), -0.5 * blocks)
        kept = np.abs(matrix).max(axis=1, initial=0.0) > 0
        self._partners, self._matrix = partners, matrix[kept]
        self._low, self._high = np.divmod(pairs[kept], 3 * len(partners))
        self._n_third = basis.n_third

    def forces(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the forces of every basis function, shape (n_frames, n_cells, 3, n_third)."""
        moved = np.swapaxes(displacements[:, self._partners], 1, 2)
        flat = moved.reshape(-1, 3 * len(self._partners))
        products = flat[:, self._low] * flat[:, self._high]
        return (products @ self._matrix).reshape(len(displacements), -1, 3, self._n_third)


def third_order_basis(primitive: Atoms, cutoff: float) -> ThirdOrderBasis:
    """Build the basis with symfc, in a supercell so large that no triplet within `cutoff` meets its own image.

    :param cutoff: Å; three atoms interact where all their distances are less.
    :raises CrystalError: where the cutoff does not reach the nearest neighbours or asks for too large a supercell.
    """
    numbers, cell, positions = primitive.numbers, primitive.cell.array, primitive.positions
    return _third_order_basis(numbers.tobytes(), cell.tobytes(), positions.tobytes(), float(cutoff))


@lru_cache(maxsize=16)
def _third_order_basis(numbers: bytes, lattice: bytes, positions: bytes, cutoff: float) -> ThirdOrderBasis:
    """Build a basis, once for all fits of a job."""
    from symfc.basis_sets import FCBasisSetO3
    from symfc.utils.utils import SymfcAtoms

    primitive = unpacked(numbers, lattice, positions)
    if cutoff <= (nearest := shortest_distance(primitive)):
        raise CrystalError(f'no two atoms are within the cutoff of {cutoff} Å: the nearest are {nearest:.3f} Å apart')
    # Longer than three cutoffs, or three atoms in a row around the cell would close a triangle.
    large = supercell(primitive, isotropic_multiples(primitive, 1.5 * cutoff))
    cell = SymfcAtoms(cell=large.cell.array, scaled_positions=large.get_scaled_positions(), numbers=large.numbers)
    basis = FCBasisSetO3(cell, spacegroup_operations=coset_operations(cell), cutoff=cutoff).run()
    independent = np.asarray(basis.p2s_map)
    if len(independent) != len(primitive):
        raise CrystalError(
            f'the cell of {len(primitive)} atoms is not primitive: {len(independent)} atoms repeat to give this crystal'
        )
    # Nearly all triplets are beyond the cutoff: only those within are ever made dense.
    compression = csr_array(basis.compact_compression_matrix)
    reached = np.unique(np.flatnonzero(np.diff(compression.indptr)) // _COMPONENTS)
    rows = (reached[:, None] * _COMPONENTS + np.arange(_COMPONENTS)).ravel()
    # Orthonormal over all triplets of one primitive cell, so that a ridge does not depend on how symfc chose the basis.
    compact = np.linalg.qr(np.asarray(compression[rows] @ basis.basis_set))[0]
    blocks = compact.T.reshape(-1, len(reached), 3, 3, 3)
    used = np.any(np.abs(blocks) > _NEGLIGIBLE, axis=(0, 2, 3, 4))
    first, second, third = np.unravel_index(reached[used], (len(independent), len(large), len(large)))
    return ThirdOrderBasis(
        primitive, cutoff, _locate(primitive, large, independent[first], second, third), blocks[:, used]
    )


def _locate(
    primitive: Atoms,
    large: Atoms,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    third: NDArray[np.int64],
) -> Triplets:
    """Return the sites of triplets of atoms of `large`, and the cells of the second and third seen from the first."""
    sites = map_onto_crystal(primitive, large).sites
    inverse = np.linalg.inv(primitive.cell.array)
    vectors = []
    for partner in (second, third):
        apart = find_mic(large.positions[partner] - large.positions[first], large.cell, pbc=True)[0]
        within_cell = primitive.positions[sites[partner]] - primitive.positions[sites[first]]
        vectors.append(np.rint((apart - within_cell) @ inverse).astype(np.int64))
    return Triplets(np.column_stack([sites[first], sites[second], sites[third]]), np.stack(vectors, axis=1))


def second_shell(primitive: Atoms) -> float:
    """Return a cutoff (Å) that takes in nearest and next-nearest neighbours: where most of the anharmonicity is."""
    searched = _SEARCHED * shortest_distance(primitive)
    # In a crystal of molecules the second and third neighbours are many bonds away.
    while len(distances := shells(primitive, searched)) < 3:
        searched *= 2
    return float((distances[1] + distances[2]) / 2)
