"""What a structure may hold that no calculation here can take, and what it should be looked at for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, vdw_radii
from ase.geometry import minkowski_reduce

_WHOLE = 1e-3
_LARGEST_MOMENT = 1e-3
"""µB: smaller moments are taken for zero."""

_EMPTY_ANGSTROM = 4.0
"""Between van der Waals spheres: layered and molecular crystals have none of it, a slab has more."""

_UNKNOWN_RADIUS = 2.0


def refuse_contents(atoms: Atoms) -> str | None:
    """Return what a structure file says that would be lost, in a sentence, or None.

    :param atoms: as ASE reads it: occupancies in ``info``, magnetic moments in an array.
    """
    return _refuse_occupancies(atoms) or _refuse_moments(atoms)


def refuse_vacuum(atoms: Atoms) -> str | None:
    """Return that a periodic structure is a slab, a wire or a molecule with vacuum about it, in a sentence, or None."""
    if (gap := max(_gaps(atoms))) <= _EMPTY_ANGSTROM:
        return None
    return (
        f'the structure has {gap:.1f} Å of vacuum in one direction: give a crystal in three dimensions, not a slab '
        'or a molecule'
    )


def open_shell_remark(symbols: Iterable[str]) -> str | None:
    """Return which elements may have an open d or f shell, in a sentence, or None.

    None where charges that leave every d and f shell empty or full add up with the usual charges of the other elements:
    Zn²⁺, Ti⁴⁺, Cu⁺. The electrons of a closed-shell calculation are paired in any case.
    """
    counts = {symbol: list(symbols).count(symbol) for symbol in symbols}
    suspects = [symbol for symbol in counts if symbol in _CLOSED or _is_inner(symbol)]
    if not suspects:
        return None
    if all(_CLOSED.get(symbol) for symbol in suspects) and _is_neutral(counts, suspects):
        return None
    named = ', '.join(suspects)
    return (
        f'{named} may have an open {"f" if all(map(_has_f, suspects)) else "d or f"} shell: all methods here pair the '
        'electrons, so make sure that the crystal is not magnetic'
    )


def _refuse_occupancies(atoms: Atoms) -> str | None:
    kinds = atoms.arrays.get('spacegroup_kinds')
    for kind, site in atoms.info.get('occupancy', {}).items():
        if len(site) == 1 and abs(sum(site.values()) - 1) < _WHOLE:
            continue
        there = [] if kinds is None else np.flatnonzero(kinds == int(kind)).tolist()
        where = f' at {np.round(atoms.get_scaled_positions()[there[0]], 4).tolist()}' if there else ''
        shares = ', '.join(f'{symbol} {share:g}' for symbol, share in site.items())
        return (
            f'the site{where} is partly occupied ({shares}): no calculation can take that; give an ordered structure, '
            'such as a supercell with whole atoms'
        )
    return None


def _refuse_moments(atoms: Atoms) -> str | None:
    moments = atoms.arrays.get('initial_magmoms')
    if moments is None or np.abs(moments).max() <= _LARGEST_MOMENT:
        return None
    sizes = np.linalg.norm(np.reshape(moments, (len(atoms), -1)), axis=1)
    index = int(np.argmax(sizes))
    return (
        f'the structure has magnetic moments ({atoms.symbols[index]} {sizes[index]:g} µB), but all methods here pair '
        'the electrons: leave the moments out if the crystal is not magnetic'
    )


def _gaps(atoms: Atoms) -> list[float]:
    """Return, along each vector of the reduced cell, the largest gap between the planes of atoms (Å)."""
    reduced = atoms.copy()
    reduced.set_cell(minkowski_reduce(atoms.cell.array)[0])
    cell = reduced.cell.array
    radii = np.array([r if np.isfinite(r) else _UNKNOWN_RADIUS for r in vdw_radii[atoms.numbers]])
    found = []
    for axis in range(3):
        normal = np.cross(cell[axis - 2], cell[axis - 1])
        height = abs(np.linalg.det(cell)) / np.linalg.norm(normal)
        middles = reduced.get_scaled_positions()[:, axis] * height
        order = np.argsort(middles)
        # What lies lower may reach higher: the ends of all spheres so far count.
        starts, ends = (middles - radii)[order], np.maximum.accumulate((middles + radii)[order])
        gaps = np.append(starts[1:] - ends[:-1], starts[0] + height - ends[-1])
        found.append(float(gaps.max()))
    return found


def _is_inner(symbol: str) -> bool:
    number = atomic_numbers[symbol]
    return 21 <= number <= 30 or 39 <= number <= 48 or 57 <= number <= 80 or 89 <= number <= 112


def _has_f(symbol: str) -> bool:
    return 57 <= atomic_numbers[symbol] <= 71 or 89 <= atomic_numbers[symbol] <= 103


def _is_neutral(counts: dict[str, int], suspects: Sequence[str]) -> bool:
    """Tell whether charges of closed shells add up to nothing with the usual charges of the other elements."""
    choices: list[Collection[int]] = [_CLOSED[s] if s in suspects else _USUAL.get(s, ()) for s in counts]
    numbers = list(counts.values())
    return any(sum(n * q for n, q in zip(numbers, charges, strict=True)) == 0 for charges in product(*choices))


def _by_element(*tables: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return element → charges, from tables of elements, a group of them in one key."""
    found: dict[str, tuple[int, ...]] = {}
    for table in tables:
        for symbols, charges in table.items():
            for symbol in symbols.split():
                found[symbol] = (*found.get(symbol, ()), *charges)
    return found


_EMPTY = {
    'Sc Y La Ac': (3,),
    'Ti Zr Hf Ce Th': (4,),
    'V Nb Ta Pa': (5,),
    'Cr Mo W U': (6,),
    'Mn Tc Re': (7,),
    'Ru Os': (8,),
}
_FULL = {'Cu Ag Au': (1,), 'Zn Cd Hg Yb': (2,), 'Lu': (3,)}

_CLOSED = _by_element(_EMPTY, _FULL)
"""Element → charges that leave its d and f shells empty or full."""

_USUAL = _by_element(
    {
        'Li Na K Rb Cs Fr': (1,),
        'Be Mg Ca Sr Ba Ra': (2,),
        'B Al Ga In': (3,),
        'Tl': (1, 3),
        'C Si Ge Sn Pb': (-4, 4, 2),
        'N P As Sb Bi': (-3, 3, 5),
        'O': (-2,),
        'S Se Te': (-2, 4, 6),
        'F': (-1,),
        'Cl Br I': (-1, 5, 7),
        'H': (1, -1),
    }
)
"""Element → the charges that it usually has in a salt."""
