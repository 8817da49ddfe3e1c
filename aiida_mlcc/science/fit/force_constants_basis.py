"""The force constants that symmetry allows: a basis of Φ(i, j, lattice vector) within a cutoff, and its features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import find_mic, minkowski_reduce
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from aiida_mlcc.science.crystal.cells import CrystalError, SiteMap, map_onto_crystal, shortest_distance, supercell
from aiida_mlcc.science.crystal.symmetry import SymmetryError, operations
from aiida_mlcc.science.force_field.force_constants import fold

MAX_CUTOFF = 8.0
"""Longest cutoff in Å that is chosen without being asked for."""

_LARGEST_MULTIPLE = 24
_SHELL_WIDTH = 1e-3
_DECAY = 2
_MOST_DENSE = 10**7

_RANKS: dict[tuple[bytes | float, ...], int] = {}
"""How many directions cells tell apart: every fit of a job asks again."""


@dataclass(frozen=True)
class ForceConstantsBasis:
    """Symmetry-adapted force constants: Φ = Σ_k θ_k B_k, and gradients where symmetry leaves sites some freedom.

    :param pairs: sites (i, j), shape (n_pairs, 2), every pair both ways.
    :param lattice_vectors: the cell of j in units of the primitive vectors, shape (n_pairs, 3).
    :param blocks: B_k, orthonormal, shape (n_second, n_pairs, 3, 3).
    :param gradients: allowed ∂E/∂u, orthonormal, shape (n_first, n_sites, 3).
    """

    primitive: Atoms
    cutoff: float
    pairs: NDArray[np.int64]
    lattice_vectors: NDArray[np.int64]
    blocks: NDArray[np.float64]
    gradients: NDArray[np.float64]

    @property
    def n_second(self) -> int:
        """How many parameters of second order there are."""
        return len(self.blocks)

    @property
    def n_first(self) -> int:
        """How many gradients at the sites there are."""
        return len(self.gradients)

    def features(self, site_map: SiteMap, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the energy of every basis function: ½ u·B_k·u (Å²), then the gradients' f·u (Å).

        :param displacements: Å, shape (n_frames, n_atoms, 3).
        :returns: shape (n_frames, n_second + n_first).
        """
        flat = displacements.reshape(len(displacements), -1)
        second = [0.5 * np.sum(flat * (folded @ flat.T).T, axis=1) for folded in self._folded(site_map)]
        first = np.einsum('fia,kia->fk', displacements, self.gradients[:, site_map.sites])
        return np.column_stack([*second, first])

    def force_features(self, site_map: SiteMap, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the forces of every basis function: −B_k·u (Å), then −f, shape (n_frames, 3·n_atoms, n_parameters)."""
        return self.bind(site_map).force_features(displacements)

    def bind(self, site_map: SiteMap) -> BoundForceConstantsBasis:
        """Prepare for one supercell and any number of frames."""
        return BoundForceConstantsBasis(self._folded(site_map), -self.gradients[:, site_map.sites])

    def _folded(self, site_map: SiteMap) -> list[csr_array]:
        return [fold(self.pairs, self.lattice_vectors, block, site_map) for block in self.blocks]

    def folded_rank(self, *site_maps: SiteMap) -> int:
        """Return how many of the `n_second` directions supercells can tell apart, whatever their displacements."""
        if not self.n_second:
            return 0
        overlaps = np.zeros((self.n_second, self.n_second))
        for site_map in site_maps:
            rows = vstack([one.reshape(1, -1) for one in self._folded(site_map)], format='csr')
            overlaps += (rows @ rows.T).toarray()
        tolerance = 1e-8 * sum(site_map.n_cells for site_map in site_maps)
        return int(np.linalg.matrix_rank(overlaps, tol=tolerance, hermitian=True))


class BoundForceConstantsBasis:
    """A basis on one supercell.

    :param folded: each basis function on the supercell, (3·n_atoms, 3·n_atoms).
    :param gradients: forces of those of first order, shape (n_first, n_atoms, 3).
    """

    def __init__(self, folded: Sequence[csr_array], gradients: NDArray[np.float64]) -> None:
        self._gradients = gradients.reshape(len(gradients), 3 * gradients.shape[1])
        self._folded = folded
        dense = len(folded) and len(folded) * folded[0].shape[0] ** 2 <= _MOST_DENSE
        self._dense = np.concatenate([one.toarray() for one in folded]) if dense else None

    def force_features(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what :meth:`ForceConstantsBasis.force_features` does."""
        n_frames = len(displacements)
        flat = displacements.reshape(n_frames, -1)
        n_second, size = len(self._folded), flat.shape[1]
        found = np.empty((n_frames, size, n_second + len(self._gradients)))
        found[:, :, n_second:] = self._gradients.T
        if self._dense is not None:
            found[:, :, :n_second] = -np.swapaxes((flat @ self._dense.T).reshape(n_frames, n_second, size), 1, 2)
        else:
            for number, one in enumerate(self._folded):
                found[:, :, number] = -(one @ flat.T).T
        return found


def force_constants_basis(primitive: Atoms, cutoff: float) -> ForceConstantsBasis:
    """Build the basis with symfc, in a supercell so large that no pair within `cutoff` meets its own image.

    :param cutoff: Å; pairs at less than this distance interact.
    :raises CrystalError: where `primitive` is not primitive, or the cutoff does not reach the nearest neighbours or
        asks for too large a supercell.
    """
    return _force_constants_basis(*_key(primitive), float(cutoff))


def _key(primitive: Atoms) -> tuple[bytes, bytes, bytes]:
    return primitive.numbers.tobytes(), primitive.cell.array.tobytes(), primitive.positions.tobytes()


@lru_cache(maxsize=64)
def _force_constants_basis(numbers: bytes, lattice: bytes, positions: bytes, cutoff: float) -> ForceConstantsBasis:
    """Build a basis, once for all fits of a job."""
    from symfc.basis_sets import FCBasisSetO2
    from symfc.utils.utils import SymfcAtoms

    primitive = unpacked(numbers, lattice, positions)
    if cutoff <= (nearest := shortest_distance(primitive)):
        raise CrystalError(f'no two atoms are within the cutoff of {cutoff} Å: the nearest are {nearest:.3f} Å apart')
    large = supercell(primitive, isotropic_multiples(primitive, cutoff))
    cell = SymfcAtoms(cell=large.cell.array, scaled_positions=large.get_scaled_positions(), numbers=large.numbers)
    basis = FCBasisSetO2(cell, spacegroup_operations=coset_operations(cell), cutoff=cutoff).run()
    independent = np.asarray(basis.p2s_map)
    if len(independent) != len(primitive):
        raise CrystalError(
            f'the cell of {len(primitive)} atoms is not primitive: {len(independent)} atoms repeat to give this crystal'
        )
    compact = (basis.compact_compression_matrix @ basis.basis_set).T
    # Orthonormal over all pairs of one primitive cell, so that a ridge does not depend on how symfc chose the basis.
    compact = np.linalg.qr(compact.T)[0].T
    blocks = compact.reshape(-1, len(independent), len(large), 3, 3)
    used = np.any(np.abs(blocks) > 1e-10, axis=(0, 3, 4)) if len(blocks) else np.zeros(blocks.shape[1:3], dtype=bool)
    rows, columns = np.nonzero(used)
    pairs, lattice_vectors = _locate(primitive, large, independent[rows], columns)
    return ForceConstantsBasis(
        primitive, cutoff, pairs, lattice_vectors, blocks[:, rows, columns], allowed_gradients(primitive)
    )


def coset_operations(cell: Any) -> dict[str, NDArray[Any]]:
    """Return the pure translations of a supercell and one operation of each rotation, as symfc takes them.

    symfc uses no others, but compares all that it is given: of a supercell of 128 atoms that takes most of its time.

    :param cell: symfc's kind of atoms.
    """
    import spglib

    symmetry = spglib.get_symmetry((cell.cell, cell.scaled_positions, cell.numbers))
    if symmetry is None:
        raise CrystalError('no symmetry found in a supercell: do two atoms share a place?')
    rotations = symmetry['rotations']
    kept = (rotations == np.eye(3, dtype=int)).all(axis=(1, 2))
    kept[np.unique(rotations.reshape(-1, 9), axis=0, return_index=True)[1]] = True
    return {'rotations': rotations[kept], 'translations': symmetry['translations'][kept]}


def unpacked(numbers: bytes, lattice: bytes, positions: bytes) -> Atoms:
    """Return the crystal whose arrays these are."""
    return Atoms(
        np.frombuffer(numbers, dtype=np.int64),
        cell=np.frombuffer(lattice).reshape(3, 3),
        positions=np.frombuffer(positions).reshape(-1, 3),
        pbc=True,
    )


def decaying_basis(basis: ForceConstantsBasis) -> ForceConstantsBasis:
    """Return the same force constants in another basis, in which equal parameters fall off with the distance.

    A ridge that treats all parameters of it alike expects force constants between atoms at a distance d to be of the
    order (d₀/d)², with d₀ that of nearest neighbours; those of an atom with itself follow from the others by the
    acoustic sum rule and are left alone. A few labels then go into the short bonds first.
    """
    if not basis.n_second:
        return basis
    apart = basis.primitive.positions[basis.pairs[:, 1]] - basis.primitive.positions[basis.pairs[:, 0]]
    distances = np.linalg.norm(apart + basis.lattice_vectors @ basis.primitive.cell.array, axis=1)
    other = distances > _SHELL_WIDTH
    stiffness = np.where(other, (distances / distances[other].min()) ** _DECAY, 0.0)
    weighted = basis.blocks * stiffness[:, None, None]
    precision = np.einsum('kpab,lpab->kl', weighted, weighted)
    rotation = np.linalg.inv(np.linalg.cholesky(precision))
    return replace(basis, blocks=np.einsum('kl,lpab->kpab', rotation, basis.blocks))


def allowed_gradients(primitive: Atoms, symprec: float = 1e-5) -> NDArray[np.float64]:
    """Return the site gradients that symmetry and translation allow, orthonormal, shape (n_first, n_sites, 3)."""
    n_sites = len(primitive)
    lattice, fractions = primitive.cell.array, primitive.get_scaled_positions(wrap=False)
    rotations, translations = symmetry_operations(primitive, symprec)
    projector = np.zeros((n_sites, 3, n_sites, 3))
    for rotation, translation in zip(rotations, translations, strict=True):
        apart = (fractions @ rotation.T + translation)[:, None] - fractions
        images = np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=2).argmin(axis=1)
        cartesian = lattice.T @ rotation @ np.linalg.inv(lattice.T)
        for site, image in enumerate(images):
            projector[image, :, site] += cartesian / len(rotations)
    shift = np.einsum('ij,ab->iajb', np.ones((n_sites, n_sites)) / n_sites, np.eye(3)).reshape(3 * n_sites, -1)
    values, vectors = np.linalg.eigh(projector.reshape(3 * n_sites, -1) @ (np.eye(3 * n_sites) - shift))
    return vectors[:, values > 0.5].T.reshape(-1, n_sites, 3)


def isotropic_multiples(primitive: Atoms, cutoff: float) -> NDArray[np.int64]:
    """Return the smallest diagonal supercell matrix that keeps the crystal's symmetry and has room for `cutoff`.

    Its shortest lattice vector is longer than twice the cutoff, so each pair within it has one nearest image.

    :raises CrystalError: where that takes more than 24 primitive cells along a vector.
    """
    rotations = symmetry_operations(primitive, 1e-5)[0]
    for multiples in _by_volume(np.linalg.norm(primitive.cell.array, axis=1), cutoff):
        # W n = diag(n): a rotation maps the supercell onto itself where n_j·W_ij/n_i is whole.
        scaled = rotations * multiples[None, None, :] / multiples[None, :, None]
        if np.abs(scaled - np.rint(scaled)).max() > 1e-9:
            continue
        reduced = minkowski_reduce(primitive.cell.array * multiples[:, None])[0]
        if np.linalg.norm(reduced, axis=1).min() > 2 * cutoff + _SHELL_WIDTH:
            return np.diag(multiples)
    raise CrystalError(f'a cutoff of {cutoff} Å needs more than {_LARGEST_MULTIPLE} primitive cells along a vector')


def shells(primitive: Atoms, longest: float) -> NDArray[np.float64]:
    """Return the distances between atoms up to `longest`, one for each shell of neighbours, Å, ascending."""
    return _shells(*_key(primitive), float(longest)).copy()


@lru_cache(maxsize=64)
def _shells(numbers: bytes, lattice: bytes, positions: bytes, longest: float) -> NDArray[np.float64]:
    distances = np.sort(neighbor_list('d', unpacked(numbers, lattice, positions), longest))
    new_shell = np.diff(distances, prepend=-np.inf) > _SHELL_WIDTH
    found: NDArray[np.float64] = distances[new_shell]
    return found


def resolved_bases(
    primitive: Atoms, *site_maps: SiteMap, longest: float = MAX_CUTOFF
) -> list[tuple[ForceConstantsBasis, int]]:
    """Return the basis of the longest cutoff that a cell resolves in full, then longer ones, each with its rank.

    Several cells resolve together what one of them does.

    The cell tells every parameter of the first apart. Of the others it sees some combinations only; they go on as long
    as each shell of neighbours brings a new combination, so the last one describes every commensurate mode.

    :param longest: Å.
    """
    found: list[tuple[ForceConstantsBasis, int]] = []
    for basis, rank in _with_ranks(primitive, site_maps, longest):
        if found and rank == found[-1][1]:
            break
        found = [(basis, rank)] if rank == basis.n_second else [*found, (basis, rank)]
    return found


def resolved_basis(primitive: Atoms, *site_maps: SiteMap, longest: float = MAX_CUTOFF) -> ForceConstantsBasis:
    """Return the basis of the longest cutoff that a cell resolves in full, the first of :func:`resolved_bases`."""
    ranked = _with_ranks(primitive, site_maps, longest)
    found, before = next(ranked)
    for basis, rank in ranked:
        if rank < basis.n_second or rank == before:
            break
        found, before = basis, rank
    return found


def _with_ranks(
    primitive: Atoms, site_maps: Sequence[SiteMap], longest: float
) -> Iterator[tuple[ForceConstantsBasis, int]]:
    """Give the bases of growing cutoff, each with the number of its directions that the cells tell apart."""
    distances = shells(primitive, longest)
    # Halfway to the next shell: no rounding decides which atoms interact.
    candidates = (distances[:-1] + distances[1:]) / 2
    for cutoff in candidates if len(candidates) else [1.1 * shortest_distance(primitive)]:
        basis = force_constants_basis(primitive, float(cutoff))
        # The rank follows from crystal, cutoff and cells, whichever atom sits where.
        key: tuple[bytes | float, ...] = (
            *_key(primitive),
            float(cutoff),
            *(site_map.multiples.tobytes() for site_map in site_maps),
        )
        if key not in _RANKS:
            _RANKS[key] = basis.folded_rank(*site_maps)
        yield basis, _RANKS[key]


def symmetry_operations(primitive: Atoms, symprec: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return rotations (n, 3, 3) and translations (n, 3) of the space group, in units of the lattice vectors."""
    try:
        return operations(primitive, symprec)
    except SymmetryError as error:
        raise CrystalError(str(error)) from error


def _by_volume(lengths: NDArray[np.float64], cutoff: float) -> Iterator[NDArray[np.int64]]:
    # A lattice vector of the supercell is one of its vectors, so none of them may be shorter than the shortest.
    least = np.floor(2 * cutoff / lengths).astype(int) + 1
    ranges = [np.arange(n, _LARGEST_MULTIPLE + 1) for n in least]
    found = np.stack(np.meshgrid(*ranges, indexing='ij'), axis=-1).reshape(-1, 3)
    order = np.lexsort((*found.T[::-1], found.max(axis=1), found.prod(axis=1)))
    yield from found[order]


def _locate(
    primitive: Atoms, large: Atoms, first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sites of pairs of atoms of `large`, and the cell of the second seen from the first."""
    sites = map_onto_crystal(primitive, large).sites
    pairs = np.column_stack([sites[first], sites[second]])
    apart = find_mic(large.positions[second] - large.positions[first], large.cell, pbc=True)[0]
    within_cell = primitive.positions[pairs[:, 1]] - primitive.positions[pairs[:, 0]]
    vectors = np.rint((apart - within_cell) @ np.linalg.inv(primitive.cell.array)).astype(np.int64)
    return pairs, vectors
