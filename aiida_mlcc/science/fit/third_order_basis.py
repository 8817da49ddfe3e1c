"""The third-order force constants that symmetry allows within a cutoff, and their features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from numpy.typing import NDArray
from scipy.sparse import csr_array

from aiida_mlcc.science.crystal import CrystalError, SiteMap, map_onto_crystal, shortest_distance, supercell
from aiida_mlcc.science.fit.force_constants_basis import isotropic_multiples, shells, unpacked
from aiida_mlcc.science.force_field.third_order import BoundThirdOrder, Triplets

_NEGLIGIBLE = 1e-10
_SEARCHED = 3.0
_COMPONENTS = 27


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
        bound = [BoundThirdOrder(self.triplets, block, site_map) for block in self.blocks]
        features = np.zeros((len(displacements), 3 * len(site_map.sites), self.n_third))
        for number, moved in enumerate(displacements):
            for column, one in enumerate(bound):
                features[number, :, column] = one.energy_forces(moved)[1].ravel()
        return features


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
    basis = FCBasisSetO3(cell, cutoff=cutoff).run()
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
