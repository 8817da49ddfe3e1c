"""The space group of a crystal, the tolerance it is found with, and what breaks it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

SYMPREC = 1e-5
"""Å: the tolerance of a crystal whose numbers are exact."""

NEAR_MISS = 10
"""A higher symmetry within so many tolerances is worth a word."""

_ROUNDED = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""Å: tolerances that may fit a file with few digits, ascending."""

_MOST_DIGITS = 8
_FEWEST_DIGITS = 3
"""With fewer decimals, such as 0.25, positions are taken to be exact."""

_HALF_A_UNIT = 0.499
"""Of the last digit. Two different numbers of a file are half a unit from their mean: they stay different."""


_REMEMBERED = 64

Arguments = ParamSpec('Arguments')
Found = TypeVar('Found')


class SymmetryError(ValueError):
    """Atoms in which no symmetry can be found."""


def remembers_crystals(
    function: Callable[Concatenate[Atoms, Arguments], Found],
) -> Callable[Concatenate[Atoms, Arguments], Found]:
    """Keep what a function found of the crystals last asked about, by their lattice, positions, elements and masses.

    A search for symmetry takes tens of milliseconds, and the checks of a run ask about the same crystal many times.
    What is returned is a copy.
    """
    known: OrderedDict[tuple[Any, ...], Found] = OrderedDict()

    @wraps(function)
    def remembering(atoms: Atoms, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Found:
        key = (_key(atoms), *map(_key, args), *((name, _key(value)) for name, value in sorted(kwargs.items())))
        if key not in known:
            known[key] = function(atoms, *args, **kwargs)
            if len(known) > _REMEMBERED:
                known.popitem(last=False)
        known.move_to_end(key)
        return deepcopy(known[key])

    return remembering


@dataclass(frozen=True)
class SpaceGroup:
    """A space group as it was found.

    :param symbol: international short symbol.
    :param n_operations: of the cell that was given, its pure translations among them.
    :param symprec: the tolerance, Å.
    """

    symbol: str
    number: int
    n_operations: int
    symprec: float

    def __str__(self) -> str:
        return f'{self.symbol} ({self.number})'


def _key(value: Any) -> Any:
    if not isinstance(value, Atoms):
        return value
    arrays = (value.cell.array, value.positions, value.numbers, value.get_masses(), value.pbc)
    return tuple(array.tobytes() for array in arrays)


def space_group(atoms: Atoms, symprec: float = SYMPREC) -> SpaceGroup:
    """Return the space group of a crystal.

    :raises SymmetryError: where spglib finds none.
    """
    dataset = _dataset(atoms, symprec)
    return SpaceGroup(str(dataset.international), int(dataset.number), len(dataset.rotations), symprec)


def fitting_tolerance(atoms: Atoms) -> float:
    """Return the tolerance (Å) that fits the digits which the crystal is given with.

    A larger one than :data:`SYMPREC` is taken if it finds a higher symmetry, and if the crystal of that symmetry has,
    rounded, the numbers that are given: fractions or Å of the positions, lengths and angles of the lattice or the
    components of its vectors.

    :raises SymmetryError: where spglib finds no symmetry.
    """
    best, most = SYMPREC, space_group(atoms).n_operations
    for tolerance in _ROUNDED:
        try:
            found = space_group(atoms, tolerance).n_operations
            if found > most and _rounds_to(symmetrised(atoms, tolerance), atoms):
                best, most = tolerance, found
        except SymmetryError:
            break
    return best


def near_miss(atoms: Atoms, symprec: float = SYMPREC) -> SpaceGroup | None:
    """Return the higher symmetry within :data:`NEAR_MISS` times the tolerance or the last digits given, or None."""
    try:
        found = space_group(atoms, max(NEAR_MISS * symprec, _last_digit(atoms)))
    except SymmetryError:
        return None
    return found if found.n_operations > space_group(atoms, symprec).n_operations else None


def symmetrised(atoms: Atoms, symprec: float) -> Atoms:
    """Return the crystal with the symmetry that it has within `symprec` (Å), in the same orientation.

    :raises SymmetryError: where spglib finds no symmetry.
    """
    from ase.spacegroup.symmetrize import refine_symmetry

    refined = atoms.copy()
    try:
        refine_symmetry(refined, symprec=symprec, verbose=False)
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise SymmetryError(_none_found(symprec)) from error
    return refined


def with_symmetry_within(atoms: Atoms, symprec: float) -> Atoms:
    """Return the crystal itself if it has the symmetry within `symprec` (Å) exactly, else the symmetrised one."""
    if symprec <= SYMPREC or space_group(atoms, symprec).n_operations == space_group(atoms).n_operations:
        return atoms
    return symmetrised(atoms, symprec)


def point_group(atoms: Atoms, symprec: float = SYMPREC) -> NDArray[np.int64]:
    """Return the rotations of the space group in units of the lattice vectors, shape (n, 3, 3).

    :raises SymmetryError: where spglib finds none.
    """
    return np.asarray(_dataset(atoms, symprec).rotations, dtype=np.int64)


def _rounds_to(ideal: Atoms, given: Atoms) -> bool:
    """Tell whether a crystal, rounded, has the numbers of another one, up to a rigid shift."""
    angles, lengths = given.cell.angles(), given.cell.lengths()
    as_lengths = max(_digits(lengths), _digits(angles))
    as_vectors = _digits(given.cell.array)
    if as_vectors < as_lengths:
        lattice = _same(ideal.cell.array, given.cell.array, as_vectors)
    else:
        lattice = _same(ideal.cell.lengths(), lengths, _digits(lengths))
        lattice = lattice and _same(ideal.cell.angles(), angles, _digits(angles))
    fractions = given.get_scaled_positions(wrap=False)
    moved = ideal.get_scaled_positions(wrap=False) - fractions
    moved = moved - np.rint(moved)
    moved = moved - moved.mean(axis=0)
    if (digits := _digits(fractions)) < _MOST_DIGITS:
        return lattice and _same(moved, 0 * moved, digits)
    return lattice and _same(moved @ given.cell.array, 0 * moved, _digits(given.positions))


def _same(ours: NDArray[np.float64], theirs: NDArray[np.float64], digits: int) -> bool:
    return bool(np.abs(ours - theirs).max() <= _HALF_A_UNIT * 10.0**-digits)


def _last_digit(atoms: Atoms) -> float:
    """Return two units of the last digit of the positions (Å); 0 where there are too many or too few digits to tell."""
    fractions, positions = _digits(atoms.get_scaled_positions(wrap=False)), _digits(atoms.positions)
    units = {fractions: float(atoms.cell.lengths().max()), positions: 1.0}
    return max((2 * 0.1**n * unit for n, unit in units.items() if _FEWEST_DIGITS <= n < _MOST_DIGITS), default=0.0)


def _digits(values: NDArray[np.float64]) -> int:
    """Return with how many decimals values are given, :data:`_MOST_DIGITS` at most."""
    for digits in range(_MOST_DIGITS):
        if np.abs(values - np.round(values, digits)).max() < 0.1**_MOST_DIGITS:
            return digits
    return _MOST_DIGITS


def operations(atoms: Atoms, symprec: float = SYMPREC) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return rotations (n, 3, 3) and translations (n, 3) of the space group, in units of the lattice vectors.

    :raises SymmetryError: where spglib finds none.
    """
    dataset = _dataset(atoms, symprec)
    return np.asarray(dataset.rotations, dtype=np.int64), np.asarray(dataset.translations)


@remembers_crystals
def _dataset(atoms: Atoms, symprec: float) -> Any:
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(wrap=False), atoms.numbers)
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
    except Exception as error:  # By version spglib raises errors of its own or returns nothing.
        raise SymmetryError(_none_found(symprec)) from error
    if dataset is None:
        raise SymmetryError(_none_found(symprec))
    return dataset


def _none_found(symprec: float) -> str:
    return f'no symmetry found within {symprec:g} Å: do two atoms share a place?'
