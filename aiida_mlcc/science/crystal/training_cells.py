"""Which supercells hold the wave vectors that are asked for, with few atoms: diagonal ones and all others.

A supercell holds a wave vector q where H·q is whole, with H its vectors as rows in units of the primitive ones. Every
supercell of n primitive cells has one H in Hermite normal form, so they can be listed. The smallest one that holds some
wave vectors is seldom diagonal: it takes as many primitive cells as the least common multiple of what each needs
(Lloyd-Williams and Monserrat, Phys. Rev. B 92, 184301 (2015)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import commensurate_qpoints, from_phonopy, same_points, to_phonopy, wrapped
from aiida_mlcc.science.crystal.spring_crystal import spring_model
from aiida_mlcc.science.fit.force_constants_basis import symmetry_operations
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel
from aiida_mlcc.science.phonons.dispersion import band_path
from aiida_mlcc.science.phonons.modes import star

LARGEST_DENOMINATOR = 24
"""Of a fractional coordinate of a wave vector that a supercell of a sensible size can hold."""

_SAME = 1e-6
_SAME_CURVATURE = 1e-6
_CLOSE_PACKED = 2 ** (1 / 6)
_LARGEST_SEARCH = 200
_ROUNDED = 1e6


class CellRequestError(ValueError):
    """Wave vectors that no supercell holds, or none that is small enough, as a sentence."""


@dataclass(frozen=True)
class HeldPoint:
    """All wave vectors that symmetry makes equal to one that a supercell holds.

    :param name: of a special point, or else its coordinates.
    :param qpoint: in units of the reciprocal vectors of the primitive cell.
    :param n_frequencies: how many distinct frequencies symmetry leaves there; the shifts of all atoms left out.
    """

    name: str
    qpoint: tuple[float, float, float]
    n_frequencies: int


@dataclass(frozen=True)
class TrainingCell:
    """A supercell, by its shape and by what it holds.

    :param multiples: its vectors as rows in units of the primitive vectors, as compact as they can be chosen, (3, 3).
    :param shortest: the distance of an atom from its nearest image, Å.
    :param compactness: that distance by the one of a close-packed lattice of the same volume: 1 at best.
    """

    primitive: Atoms
    multiples: NDArray[np.int64]
    points: tuple[HeldPoint, ...]
    shortest: float
    compactness: float

    @property
    def n_cells(self) -> int:
        """How many primitive cells it holds."""
        return round(abs(float(np.linalg.det(self.multiples))))

    @property
    def n_atoms(self) -> int:
        """How many atoms the cell has."""
        return self.n_cells * len(self.primitive)

    @property
    def n_frequencies(self) -> int:
        """How many distinct frequencies its labels determine."""
        return sum(point.n_frequencies for point in self.points)

    def supercell_matrix(self, structure: Atoms) -> NDArray[np.int64] | None:
        """Return phonopy's matrix (its columns are the new vectors) in units of a structure; None if it is none of it.

        :param structure: the same crystal in the same orientation, primitive or not.
        """
        of_structure = np.rint(structure.cell.array @ np.linalg.inv(self.primitive.cell.array))
        matrix = self.multiples @ np.linalg.inv(of_structure)
        return np.rint(matrix).astype(np.int64).T if np.abs(matrix - np.rint(matrix)).max() < _SAME else None

    def atoms(self) -> Atoms:
        """Return the undisplaced supercell."""
        from phonopy.structure.cells import get_supercell

        return from_phonopy(get_supercell(to_phonopy(self.primitive), self.multiples.T))


@dataclass(frozen=True)
class Points:
    """The wave vectors of a crystal by name, and what its symmetry makes of them."""

    primitive: Atoms
    symprec: float = 1e-5

    @cached_property
    def special(self) -> Mapping[str, tuple[float, float, float]]:
        """The special points of seekpath, in units of the reciprocal vectors of the primitive cell."""
        found: dict[str, tuple[float, float, float]] = {}
        for label, (a, b, c) in band_path(self.primitive, 2, self.symprec).points.items():
            found[label] = (float(a), float(b), float(c))
        return found

    @cached_property
    def rotations(self) -> NDArray[np.int64]:
        """The rotations of the crystal in units of its lattice vectors, shape (n, 3, 3)."""
        return symmetry_operations(self.primitive, self.symprec)[0]

    def read(self, text: str) -> NDArray[np.float64]:
        """Return the wave vector of a name, or of three numbers such as ``1/2 0 0.25``.

        :raises CellRequestError: for a name that the crystal has not, or numbers that are none.
        """
        asked = {'Γ': 'GAMMA', 'G': 'GAMMA'}.get(text.strip().upper(), text.strip().upper())
        if asked in self.special:
            return np.array(self.special[asked])
        parts = text.split()
        try:
            numbers = [Fraction(part) for part in parts]
        except (ValueError, ZeroDivisionError):
            numbers = []
        if len(numbers) != 3:
            raise CellRequestError(
                f'no wave vector {text.strip()!r}: this crystal has {", ".join(self.special)}; any other is three '
                'numbers in units of the reciprocal vectors of the primitive cell, such as "1/2 0 1/4"'
            )
        return np.array([float(number) for number in numbers])

    def name(self, qpoint: NDArray[np.float64]) -> str:
        """Return the name of the special point that a wave vector is by symmetry, or else its coordinates."""
        images = star(qpoint, self.rotations)
        for label, point in self.special.items():
            if same_points(images, point).any():
                return label
        smallest = min(np.round(images, 9).tolist(), key=lambda q: (sum(q), q[::-1]))
        return f'({" ".join(str(Fraction(x).limit_denominator(LARGEST_DENOMINATOR)) for x in smallest)})'

    def n_frequencies(self, qpoint: NDArray[np.float64]) -> int:
        """Return how many distinct frequencies symmetry leaves at a wave vector, without the shifts of all atoms."""
        values = np.linalg.eigvalsh(self._springs.dynamical_matrix(qpoint))
        if not np.abs(qpoint).max() > _SAME:
            values = values[3:]
        return int(
            np.sum(np.diff(values, prepend=-np.inf) > _SAME_CURVATURE * max(float(values.max(initial=0)), 1e-12))
        )

    @cached_property
    def _springs(self) -> HarmonicModel:
        return spring_model(self.primitive, self.primitive)

    @cached_property
    def _stars(self) -> dict[tuple[int, ...], HeldPoint]:
        return {}

    def held_by(self, multiples: NDArray[np.int64]) -> tuple[HeldPoint, ...]:
        """Return the stars of the wave vectors that a supercell holds, Γ first."""
        found: dict[HeldPoint, None] = {}
        for qpoint in commensurate_qpoints(multiples):
            key = _key(qpoint)
            if key not in self._stars:
                images = star(qpoint, self.rotations)
                # Of all arms the one with the smallest coordinates, whichever the cell holds.
                a, b, c = min(np.round(images, 9).tolist(), key=lambda q: (sum(q), q[::-1]))
                point = HeldPoint(self.name(qpoint), (a, b, c), self.n_frequencies(qpoint))
                self._stars.update({_key(image): point for image in images})
            found[self._stars[key]] = None
        return tuple(sorted(found, key=lambda point: (sum(point.qpoint), point.qpoint[::-1])))


def training_cells(
    primitive: Atoms, qpoints: Sequence[NDArray[np.float64]], max_atoms: int, symprec: float = 1e-5
) -> list[TrainingCell]:
    """Return the supercells that hold wave vectors, or such that symmetry makes equal to them.

    Of supercells with the same number of atoms that hold the same stars there is one, the most compact.

    :param qpoints: in units of the reciprocal vectors of `primitive`.
    :returns: by number of atoms, then compactness, the most compact first.
    :raises CellRequestError: naming the smallest cell, where it has more than `max_atoms`; for coordinates that are no
        fractions of small whole numbers.
    """
    points = Points(primitive, symprec)
    stars = [star(np.asarray(q, dtype=float), points.rotations) for q in qpoints]
    step = math.lcm(*(_order(np.asarray(q, dtype=float)) for q in qpoints)) if qpoints else 1
    found: list[TrainingCell] = []
    for n_cells in range(step, max_atoms // len(primitive) + 1, step):
        forms = _holding(n_cells, stars)
        shortest = _shortest(forms, primitive.cell.array) if len(forms) else np.zeros(0)
        best: dict[tuple[HeldPoint, ...], int] = {}
        for number in np.argsort(-np.round(shortest, 6), kind='stable').tolist():
            best.setdefault(points.held_by(forms[number]), number)
        found += [_described(primitive, forms[number], held) for held, number in best.items()]
    if found:
        return sorted(found, key=lambda cell: (cell.n_atoms, -round(cell.compactness, 6), -cell.n_frequencies))
    smallest = _smallest(stars, step, max_atoms // len(primitive) + 1)
    names = ', '.join(points.name(np.asarray(q, dtype=float)) for q in qpoints)
    raise CellRequestError(
        f'no supercell of at most {max_atoms} atoms holds {names}: '
        + (
            f'the smallest has {smallest * len(primitive)} atoms ({smallest} primitive cells)'
            if smallest is not None
            else f'none of up to {_LARGEST_SEARCH} primitive cells does'
        )
    )


def _order(qpoint: NDArray[np.float64]) -> int:
    """Return after how many cells a wave repeats.

    :raises CellRequestError: for a coordinate that is not a fraction of small whole numbers.
    """
    fractions = [Fraction(float(x)).limit_denominator(LARGEST_DENOMINATOR) for x in qpoint]
    if any(abs(float(fraction) - x) > _SAME for fraction, x in zip(fractions, qpoint, strict=True)):
        raise CellRequestError(
            f'the wave vector {np.round(qpoint, 6).tolist()} fits no small supercell: its coordinates must be '
            f'fractions with denominators up to {LARGEST_DENOMINATOR}'
        )
    return math.lcm(*(fraction.denominator for fraction in fractions))


def hermite_normal_forms(n_cells: int) -> NDArray[np.int64]:
    """Return one matrix for each supercell of `n_cells` primitive cells, its vectors as rows, shape (n, 3, 3)."""
    found = []
    for a in (n for n in range(1, n_cells + 1) if n_cells % n == 0):
        for d in (n for n in range(1, n_cells // a + 1) if n_cells // a % n == 0):
            f = n_cells // (a * d)
            found += [[[a, b, c], [0, d, e], [0, 0, f]] for b in range(d) for c in range(f) for e in range(f)]
    return np.array(found, dtype=np.int64)


def _holding(n_cells: int, stars: Sequence[NDArray[np.float64]]) -> NDArray[np.int64]:
    """Return the supercells that hold an arm of each star, shape (n, 3, 3)."""
    forms = hermite_normal_forms(n_cells)
    for images in stars:
        phases = np.einsum('nij,kj->nki', forms, images)
        forms = forms[(np.abs(phases - np.rint(phases)).max(axis=2) < _SAME).any(axis=1)]
    return forms


def _shortest(forms: NDArray[np.int64], lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the length (Å) of the shortest vector of each supercell, shape (n,)."""
    volume = abs(float(np.linalg.det(forms[0] @ lattice)))
    reach = _CLOSE_PACKED * float(np.cbrt(volume)) + _SAME
    # No lattice of this volume has a longer shortest vector; a component is at most that, times a reciprocal vector.
    largest = np.floor(reach * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int)
    vectors = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in largest], indexing='ij'), axis=-1).reshape(-1, 3)
    lengths = np.linalg.norm(vectors @ lattice, axis=1)
    order = np.argsort(lengths, kind='stable')
    order = order[(lengths[order] > _SAME) & (lengths[order] <= reach)]
    found = np.empty(len(forms))
    for number, inverse in enumerate(np.linalg.inv(forms)):
        phases = vectors[order] @ inverse
        found[number] = lengths[order[np.argmax(np.abs(phases - np.rint(phases)).max(axis=1) < _SAME)]]
    return found


def _smallest(stars: Sequence[NDArray[np.float64]], step: int, beyond: int) -> int | None:
    """Return the fewest primitive cells of a supercell that holds an arm of each star, and `beyond` at least."""
    for n_cells in range(step * -(-beyond // step), _LARGEST_SEARCH + 1, step):
        if len(_holding(n_cells, stars)):
            return n_cells
    return None


def _described(primitive: Atoms, multiples: NDArray[np.int64], points: tuple[HeldPoint, ...]) -> TrainingCell:
    lattice = primitive.cell.array
    reduced = np.rint(minkowski_reduce(multiples @ lattice)[0] @ np.linalg.inv(lattice)).astype(np.int64)
    if np.linalg.det(reduced) < 0:
        reduced = -reduced
    volume = abs(float(np.linalg.det(reduced @ lattice)))
    shortest = float(np.linalg.norm(reduced @ lattice, axis=1).min())
    return TrainingCell(primitive, reduced, points, shortest, shortest / (_CLOSE_PACKED * float(np.cbrt(volume))))


def _key(qpoint: NDArray[np.float64]) -> tuple[int, ...]:
    a, b, c = np.rint(wrapped(qpoint) * _ROUNDED).astype(int).tolist()
    return a, b, c
