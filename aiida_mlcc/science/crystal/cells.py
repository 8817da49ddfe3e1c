"""The crystal behind a structure: its primitive cell, its supercells, and which atom sits on which site."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NotRequired, TypedDict

import numpy as np
from ase import Atoms
from ase.data import atomic_masses
from ase.geometry import find_mic, minkowski_reduce
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.crystal.symmetry import (
    SYMPREC,
    SymmetryError,
    point_group,
    remembers_crystals,
    with_symmetry_within,
)

STRAIN_TOLERANCE = 1e-3
"""Largest strain between a cell and the supercell of the primitive cell that it is taken for."""

PRIMITIVE_CELLS = ('auto', 'as-given', 'standardised')
"""Which primitive cell of a crystal is meant, as :func:`primitive_cell` has it."""

LEFT_HANDED = (
    'the lattice vectors are left-handed: exchange two of them, or reverse one, and leave the atoms where they are'
)

_FRAMES_OF_A_BLOCK = 256
_SAME_MASS = 5e-4
"""Relative: tables of the masses of the elements differ by less, isotopes by more."""

_SAME_MASS_UNSTABLE = 2e-3
_WITHOUT_STABLE_ISOTOPE = (43, 61)
_LAST_STABLE = 83
"""Where no isotope is stable, some tables have the mass and others the whole number next to it."""

_WHOLE = 1e-6
_SAME_POINT = 1e-6
_ATOMS_TRIED = 8
_REACH = 0.4
_REFINEMENTS = 8


class CrystalError(ValueError):
    """A structure that is not a crystal, or another crystal than the one asked about."""


@dataclass(frozen=True)
class SiteMap:
    """Which atom of a supercell sits on which site of the crystal.

    :param sites: index into the primitive cell for each atom, shape (n_atoms,).
    :param lattice_vectors: the primitive lattice translation of each atom in units of the primitive vectors (rows),
        integers, shape (n_atoms, 3).
    :param multiples: the supercell's vectors as rows in units of the primitive vectors, integers, shape (3, 3).
    :param shift: rigid shift of all atoms from the ideal sites, Å, shape (3,).
    :param reference_positions: ideal positions including the shift, each within reach of its atom, Å, (n_atoms, 3).
    """

    sites: NDArray[np.int64]
    lattice_vectors: NDArray[np.int64]
    multiples: NDArray[np.int64]
    shift: NDArray[np.float64]
    reference_positions: NDArray[np.float64]

    @property
    def n_cells(self) -> int:
        """How many primitive cells the supercell holds."""
        return round(abs(float(np.linalg.det(self.multiples))))

    def find(self, sites: NDArray[np.int64], lattice_vectors: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the atoms on `sites` (n,) of the cells at `lattice_vectors` (n, 3), folded into the supercell."""
        size = self.n_cells**3
        own = self.sites * size + cell_keys(self.lattice_vectors, self.multiples)
        order = np.argsort(own)
        asked = sites * size + cell_keys(lattice_vectors, self.multiples)
        atoms: NDArray[np.int64] = order[np.searchsorted(own[order], asked)]
        return atoms


def expand_matrix(matrix: int | ArrayLike) -> NDArray[np.int64]:
    """Return a supercell matrix of shape (3, 3) from one number, three numbers (a diagonal) or nine.

    :raises CrystalError: for anything else, numbers that are not whole, or a determinant that is not positive.
    """
    given = np.asarray(matrix, dtype=float)
    whole = np.rint(given)
    if given.shape not in ((), (3,), (3, 3)) or not np.isfinite(given).all() or np.abs(given - whole).max() > 1e-6:
        raise CrystalError(f'supercell matrix {given.tolist()}: give 1, 3 or 3×3 whole numbers')
    expanded = whole if given.ndim == 2 else whole * np.eye(3)
    if round(np.linalg.det(expanded)) < 1:
        raise CrystalError(f'supercell matrix {given.tolist()}: its determinant must be positive')
    return expanded.astype(np.int64)


@remembers_crystals
def primitive_cell(atoms: Atoms, symprec: float = SYMPREC, kind: str = 'auto') -> Atoms:
    """Return a primitive cell of `atoms` in the same orientation, with the masses of its atoms.

    :param symprec: how far atoms may be from their symmetric places, Å. In the cell that is returned they are there.
    :param kind: one of :data:`PRIMITIVE_CELLS`: ``auto``, the cell as it is where it is primitive already, else that
        of phonopy's ``'auto'``; ``as-given``, the cell as it is, primitive or not; ``standardised``, the lattice
        vectors of seekpath (Hinuma et al., Comp. Mat. Sci. 128, 140), turned back to how the atoms lie.
    :raises CrystalError: where no symmetry can be found, the lattice vectors are left-handed, or `kind` is none.
    """
    from phonopy.structure.cells import get_primitive

    if kind not in PRIMITIVE_CELLS:
        raise CrystalError(f'no primitive cell {kind!r}: choose from {", ".join(PRIMITIVE_CELLS)}')
    unit_cell = to_phonopy(_crystal(atoms))
    if np.linalg.det(atoms.cell.array) < 0:
        raise CrystalError(LEFT_HANDED)
    if symprec > SYMPREC:
        try:
            atoms = with_symmetry_within(atoms, symprec)
        except SymmetryError as error:
            raise CrystalError(str(error)) from error
        unit_cell = to_phonopy(atoms)
    if kind == 'as-given':
        return from_phonopy(unit_cell)
    matrix = _standardised(atoms, symprec) if kind == 'standardised' else _guessed(unit_cell, symprec)
    if kind == 'auto' and round(1 / float(np.linalg.det(matrix))) == 1:
        return from_phonopy(unit_cell)
    return from_phonopy(get_primitive(unit_cell, matrix, symprec=symprec))


def supercell(atoms: Atoms, matrix: int | ArrayLike) -> Atoms:
    """Return the supercell of `atoms`, its atoms in phonopy's order (all images of the first atom, then the next).

    :param matrix: as phonopy's ``supercell_matrix``: its *columns* are the new vectors in units of the old ones.
    """
    from phonopy.structure.cells import get_supercell

    return from_phonopy(get_supercell(to_phonopy(_crystal(atoms)), expand_matrix(matrix)))


def conventional_matrix(atoms: Atoms, symprec: float = SYMPREC) -> NDArray[np.int64]:
    """Return the ``supercell_matrix`` that leads from a primitive cell to the conventional cell, shape (3, 3).

    The identity where `atoms` are not a primitive cell, where both cells are the same, or where there is no symmetry.
    The conventional cell is spglib's (International Tables for Crystallography, Vol. A), in the orientation of `atoms`.
    """
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(wrap=False), atoms.numbers)
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
    except Exception:  # Newer versions raise errors of their own.  # noqa: BLE001
        dataset = None
    identity = np.eye(3, dtype=np.int64)
    if dataset is None:
        return identity
    found = np.linalg.inv(dataset.transformation_matrix)
    whole = np.rint(found).astype(np.int64)
    is_larger = np.abs(found - whole).max() < _WHOLE and round(float(np.linalg.det(whole))) > 1
    return whole if is_larger else identity


def orthogonal_axes(cell: ArrayLike) -> NDArray[np.float64] | None:
    """Return the directions of the lattice vectors of an orthogonal cell, unit vectors as rows; None for other cells.

    :param cell: lattice vectors as rows, Å.
    """
    vectors = np.asarray(cell, dtype=float)
    axes = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return axes if np.abs(axes @ axes.T - np.eye(3)).max() < _WHOLE else None


def breaks_symmetry(atoms: Atoms, matrix: int | ArrayLike, symprec: float = SYMPREC) -> bool:
    """Tell whether some operation of the crystal takes a supercell of `atoms` to another one.

    :param matrix: as that of :func:`supercell`.
    """
    # A cell that is a supercell itself may have fewer operations than the crystal: its primitive cell has all.
    primitive = primitive_cell(atoms, symprec)
    multiples = np.rint(atoms.cell.array @ np.linalg.inv(primitive.cell.array))
    vectors = multiples.T @ expand_matrix(matrix)
    images = np.linalg.inv(vectors) @ point_group(primitive, symprec) @ vectors
    return bool(np.abs(images - np.rint(images)).max() > _WHOLE)


def map_onto_crystal(
    primitive: Atoms,
    atoms: Atoms,
    strain_tolerance: float = STRAIN_TOLERANCE,
    max_displacement: float | None = None,
) -> SiteMap:
    """Find the site of every atom of a supercell of `primitive`, displaced by thermal motion and shifted as a whole.

    The rigid shift is estimated first: each of several atoms is put on each site in turn, all atoms go to their nearest
    sites, the shift is refined to the mean displacement until nothing changes, and the origin with the smallest
    mean square displacement wins among those that fill every site once.

    :param strain_tolerance: largest strain between the cell and the supercell of `primitive`.
    :param max_displacement: how far an atom may be from its site, Å; default 0.4 of the shortest distance between
        sites.
    :raises CrystalError: for another crystal, another orientation, a strained or an incommensurate cell, or atoms that
        cannot be told apart by nearest sites.
    """
    _crystal(primitive)
    multiples, lattice = commensurate(primitive, _crystal(atoms), strain_tolerance)
    _check_composition(primitive, atoms, round(abs(float(np.linalg.det(multiples)))))
    limit = reach_of_sites(primitive) if max_displacement is None else max_displacement
    ideal = primitive.get_scaled_positions(wrap=False) @ lattice
    best: SiteMap | None = None
    least, farthest = np.inf, np.inf
    for origins in _origins(primitive, atoms, ideal):
        for origin in origins:
            found = _assign(primitive, atoms, ideal, lattice, multiples, origin)
            if found is None:
                continue
            displacements = np.linalg.norm(atoms.positions - found.reference_positions, axis=1)
            mean_square = float(np.mean(displacements**2))
            if mean_square < least - 1e-12:
                best, least, farthest = found, mean_square, float(displacements.max())
        if farthest < limit:
            break
    if best is None:
        raise CrystalError(
            'the atoms do not fill the sites of this crystal once each: another structure, or one that has melted'
        )
    if farthest > limit:
        raise CrystalError(f'an atom is {farthest:.2f} Å from its site, more than {limit:.2f} Å: another crystal?')
    return best


def commensurate(
    primitive: Atoms, atoms: Atoms, strain_tolerance: float = STRAIN_TOLERANCE
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the cell of `atoms` in units of the primitive vectors, and the primitive vectors (Å, rows) that fit it.

    :raises CrystalError: for a cell that is not a supercell of `primitive` within `strain_tolerance`.
    """
    cell = atoms.cell.array
    multiples = np.rint(cell @ np.linalg.inv(primitive.cell.array))
    if abs(np.linalg.det(multiples)) < 0.5:
        raise CrystalError(
            'the cell is not a supercell of this primitive cell: another crystal, or another orientation'
        )
    lattice = np.linalg.inv(multiples) @ cell
    strain = np.abs(np.linalg.inv(primitive.cell.array) @ lattice - np.eye(3)).max()
    if strain > strain_tolerance:
        raise CrystalError(
            f'the cell differs from the nearest supercell of this primitive cell by a strain of {strain:.2g} '
            f'(allowed {strain_tolerance:.2g}): strained, incommensurate, or in another orientation'
        )
    return multiples.astype(np.int64), lattice


def commensurate_qpoints(multiples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the wave vectors that a supercell holds, in [0, 1), Γ first, shape (n_cells, 3).

    :param multiples: the supercell's vectors as rows in units of the primitive vectors.
    """
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

    right_handed = multiples.T * (1 if np.linalg.det(multiples) > 0 else -1)
    points = wrapped(get_commensurate_points(right_handed))
    return np.array(sorted(points, key=lambda q: (np.abs(q).sum(), *q)))


def wrapped(qpoint: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the equivalent wave vector in [0, 1)."""
    point = qpoint - np.floor(qpoint + _SAME_POINT)
    return np.where(np.abs(point) < _SAME_POINT, 0.0, point)


def same_points(points: NDArray[np.float64], qpoint: ArrayLike, tolerance: float = _SAME_POINT) -> NDArray[np.bool_]:
    """Tell which of `points`, shape (…, 3), are a wave vector, but for reciprocal lattice vectors; shape (…)."""
    apart = points - np.asarray(qpoint, dtype=float)
    return np.asarray(np.abs(apart - np.rint(apart)).max(axis=-1) < tolerance)


def reach_of_sites(primitive: Atoms) -> float:
    """Return how far from its site (Å) an atom still clearly belongs to it."""
    return _REACH * shortest_distance(primitive)


def shortest_distance(atoms: Atoms) -> float:
    """Return the shortest distance between two atoms of a crystal, images included, Å."""
    return _shortest_distance(atoms.cell.array.tobytes(), atoms.positions.tobytes())


@lru_cache(maxsize=256)
def _shortest_distance(cell: bytes, positions: bytes) -> float:
    lattice = np.frombuffer(cell).reshape(3, 3)
    at = np.frombuffer(positions).reshape(-1, 3)
    lattice_vectors = np.linalg.norm(minkowski_reduce(lattice)[0], axis=1)
    first, second = np.triu_indices(len(at), 1)
    between = find_mic(at[second] - at[first], lattice, pbc=True)[1] if len(first) else np.zeros(0)
    return float(min([*lattice_vectors, *between]))


def cell_keys(lattice_vectors: NDArray[np.int64], multiples: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one integer for each lattice vector (…, 3), equal for two that differ by a supercell vector."""
    volume = round(float(np.linalg.det(multiples)))
    adjugate = np.rint(volume * np.linalg.inv(multiples)).astype(np.int64)
    # L·H⁻¹ mod 1, kept exact as integers in units of 1/det H.
    fractions = (lattice_vectors @ adjugate * np.sign(volume)) % abs(volume)
    key: NDArray[np.int64] = (fractions[..., 0] * abs(volume) + fractions[..., 1]) * abs(volume) + fractions[..., 2]
    return key


def unwrap(displacements: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return displacements (…, n_atoms, 3) free of lattice vectors and of the rigid shift of all atoms, Å.

    The shift is found as a mean angle along each vector of `cell`, which no jump across the boundary disturbs.
    """
    if displacements.ndim == 3 and len(displacements) > _FRAMES_OF_A_BLOCK:
        # The same frame by frame, without copies of all frames.
        found = np.empty(displacements.shape)
        for start in range(0, len(displacements), _FRAMES_OF_A_BLOCK):
            block = slice(start, start + _FRAMES_OF_A_BLOCK)
            found[block] = unwrap(displacements[block], cell)
        return found
    fractions = displacements @ np.linalg.inv(cell)
    angles = np.exp(2j * np.pi * fractions).mean(axis=-2, keepdims=True)
    fractions = fractions - np.angle(angles) / (2 * np.pi)
    fractions = fractions - np.rint(fractions)
    return (fractions - fractions.mean(axis=-2, keepdims=True)) @ cell


def to_phonopy(atoms: Atoms) -> Any:
    """Return `atoms` as phonopy's own kind, with their masses."""
    from phonopy.structure.atoms import PhonopyAtoms

    return PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(wrap=False),
        masses=atoms.get_masses(),
    )


def from_phonopy(cell: Any) -> Atoms:
    """Return phonopy's atoms as ASE's; masses that only another table of the elements has become those of ASE."""
    atoms = Atoms(list(cell.symbols), cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
    if cell.masses is not None and (special := _isotopes(atoms.numbers, cell.masses)).any():
        atoms.set_masses(np.where(special, cell.masses, atoms.get_masses()))
    return atoms


def isotopes(atoms: Atoms) -> dict[str, list[float]]:
    """Return the elements with masses that are not those of the natural element: symbol → masses, amu, ascending."""
    found: dict[str, set[float]] = {}
    masses = atoms.get_masses()
    for index in np.flatnonzero(_isotopes(atoms.numbers, masses)):
        found.setdefault(atoms[index].symbol, set()).add(float(masses[index]))
    return {symbol: sorted(values) for symbol, values in found.items()}


def _isotopes(numbers: NDArray[np.int64], masses: ArrayLike) -> NDArray[np.bool_]:
    """Tell of each atom whether its mass (amu) is not that of its element."""
    unstable = np.isin(numbers, _WITHOUT_STABLE_ISOTOPE) | (numbers > _LAST_STABLE)
    allowed = np.where(unstable, _SAME_MASS_UNSTABLE, _SAME_MASS)
    return np.asarray(np.abs(np.asarray(masses, dtype=float) / atomic_masses[numbers] - 1) > allowed)


def _guessed(unit_cell: Any, symprec: float) -> NDArray[np.float64]:
    """Return phonopy's ``primitive_matrix`` for ``'auto'``, shape (3, 3)."""
    from phonopy.structure.cells import guess_primitive_matrix

    try:
        return np.asarray(guess_primitive_matrix(unit_cell, symprec=symprec), dtype=float)
    except Exception as error:  # By version spglib raises errors of its own or returns nothing.
        raise CrystalError(_no_symmetry(symprec)) from error


def _standardised(atoms: Atoms, symprec: float) -> NDArray[np.float64]:
    """Return the ``primitive_matrix`` that leads to the lattice vectors of seekpath, shape (3, 3)."""
    try:
        found = standard_path(atoms, symprec)
    except Exception as error:  # As above, and seekpath has others.
        raise CrystalError(_no_symmetry(symprec)) from error
    return np.asarray(np.linalg.inv(multiples_of_standard(atoms, found, symprec)).T)


class StandardPath(TypedDict):
    """A path through reciprocal space: label → point, and pairs of labels; of seekpath also its primitive cell."""

    point_coords: dict[str, list[float]]
    path: list[tuple[str, str]]
    primitive_transformation_matrix: NotRequired[NDArray[np.float64]]
    primitive_lattice: NotRequired[NDArray[np.float64]]
    rotation_matrix: NotRequired[NDArray[np.float64]]


def standard_path(atoms: Atoms, symprec: float) -> StandardPath:
    """Return what ``seekpath.get_path`` says of a crystal (Hinuma et al., Comp. Mat. Sci. 128, 140).

    :raises Exception: where seekpath or spglib find no symmetry; each version has errors of its own.
    """
    import seekpath

    cell = (atoms.cell.array, atoms.get_scaled_positions(wrap=False), atoms.numbers)
    with warnings.catch_warnings():
        # seekpath 1.9 reads the results of spglib as a dictionary.
        warnings.simplefilter('ignore', DeprecationWarning)
        found: StandardPath = seekpath.get_path(cell, symprec=symprec)
    return found


def multiples_of_standard(atoms: Atoms, found: StandardPath, symprec: float) -> NDArray[np.float64]:
    """Return the whole numbers that lead from the primitive lattice vectors of seekpath to those of `atoms` (3, 3).

    :param found: what ``seekpath.get_path`` returned for `atoms`.
    """
    import spglib

    # Its cell is idealised and lies as conventions have it. seekpath before 2.0 does not say how it was turned.
    cell = atoms.cell.array
    rotation = found.get('rotation_matrix')
    if rotation is None:
        spglib_cell = (cell, atoms.get_scaled_positions(wrap=False), atoms.numbers)
        dataset = spglib.get_symmetry_dataset(spglib_cell, symprec=symprec)
        assert dataset is not None, 'seekpath found it'
        rotation = dataset.std_rotation_matrix
    return np.rint(cell @ np.linalg.inv(found['primitive_lattice'] @ rotation))


def _no_symmetry(symprec: float) -> str:
    return f'no symmetry found within {symprec} Å: do two atoms share a place?'


def _crystal(atoms: Atoms) -> Atoms:
    if len(atoms) == 0 or not atoms.pbc.all() or atoms.cell.rank < 3:
        raise CrystalError('no crystal: it needs atoms and three lattice vectors, all periodic')
    return atoms


def _check_composition(primitive: Atoms, atoms: Atoms, n_cells: int) -> None:
    expected = sorted(primitive.get_chemical_symbols() * n_cells)
    if sorted(atoms.get_chemical_symbols()) != expected:
        raise CrystalError(
            f'{atoms.get_chemical_formula()} in a cell of {n_cells} primitive cells of '
            f'{primitive.get_chemical_formula()}: atoms are missing, or it is another crystal'
        )


def _origins(primitive: Atoms, atoms: Atoms, ideal: NDArray[np.float64]) -> Iterator[list[NDArray[np.float64]]]:
    """For several atoms, the shifts that put it on each site of its element: the rarest element gives the fewest.

    One atom reaches every origin there is; the others help only where that one has moved far.
    """
    numbers, counts = np.unique(primitive.numbers, return_counts=True)
    rarest = numbers[np.argmin(counts)]
    candidates = np.flatnonzero(atoms.numbers == rarest)
    for index in np.unique(np.linspace(0, len(candidates) - 1, _ATOMS_TRIED).astype(int)):
        position = atoms.positions[candidates[index]]
        yield [position - ideal[site] for site in np.flatnonzero(primitive.numbers == rarest)]


def _assign(
    primitive: Atoms,
    atoms: Atoms,
    ideal: NDArray[np.float64],
    lattice: NDArray[np.float64],
    multiples: NDArray[np.int64],
    shift: NDArray[np.float64],
) -> SiteMap | None:
    """Put every atom on its nearest site for a first guess of the shift; None where two share a site."""
    sites = np.zeros(len(atoms), dtype=np.int64)
    displacements = np.zeros((len(atoms), 3))
    previous: NDArray[np.int64] | None = None
    for _ in range(_REFINEMENTS):
        for number in np.unique(primitive.numbers):
            of_element = np.flatnonzero(primitive.numbers == number)
            members = np.flatnonzero(atoms.numbers == number)
            vectors = atoms.positions[members, None] - ideal[None, of_element] - shift
            short, distances = find_mic(vectors.reshape(-1, 3), lattice, pbc=True)
            nearest = distances.reshape(len(members), -1).argmin(axis=1)
            sites[members] = of_element[nearest]
            displacements[members] = short.reshape(len(members), -1, 3)[np.arange(len(members)), nearest]
        shift = shift + displacements.mean(axis=0)
        displacements = displacements - displacements.mean(axis=0)
        if previous is not None and np.array_equal(previous, sites):
            break
        previous = sites.copy()
    reference = atoms.positions - displacements
    lattice_vectors = np.rint((reference - shift - ideal[sites]) @ np.linalg.inv(lattice)).astype(np.int64)
    occupied = {*zip(sites.tolist(), cell_keys(lattice_vectors, multiples).tolist(), strict=True)}
    if len(occupied) < len(atoms):
        return None
    return SiteMap(sites, lattice_vectors, multiples, shift, ideal[sites] + lattice_vectors @ lattice + shift)
