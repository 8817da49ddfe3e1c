"""Positions and velocities in a CONTCAR of VASP's molecular dynamics, and a POSCAR that has velocities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

_LATTICE_BLOCK = 8
"""Lines of the block of lattice velocities: its title, the state, three velocities, three vectors."""


def parse_contcar(text: str, time_step_fs: float) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return positions (fractional) and velocities (Å/fs), shape (n_atoms, 3) each; None where it has no velocities.

    :param time_step_fs: velocities in direct coordinates are per time step.
    :raises ValueError: where the file is cut off or is none.
    """
    lines = text.splitlines()
    try:
        cell = float(lines[1]) * _block(lines, 2, 3)
        n_atoms = sum(int(word) for word in lines[6].split())
        begin = 8 + int(lines[7].strip()[:1].lower() == 's')
        direct = lines[begin - 1].strip()[:1].lower() == 'd'
        positions = _block(lines, begin, n_atoms)
    except (IndexError, ValueError) as error:
        raise ValueError(f'CONTCAR is cut off or none: {error}') from error
    fractional = positions if direct else float(lines[1]) * positions @ np.linalg.inv(cell)
    begin += n_atoms
    rest = [index for index in range(begin, len(lines)) if lines[index].strip().lower().startswith('lattice')]
    if rest and all(not line.strip() for line in lines[begin : rest[0]]):
        begin = rest[0] + _LATTICE_BLOCK
    try:
        kind = lines[begin].strip()[:1].lower()
        velocities = _block(lines, begin + 1, n_atoms)
    except (IndexError, ValueError):
        return fractional, None
    return fractional, velocities @ cell / time_step_fs if kind == 'd' else velocities


def write_poscar(
    symbols: Sequence[str],
    cell: NDArray[np.float64],
    positions: NDArray[np.float64],
    velocities: NDArray[np.float64],
) -> str:
    """Return a POSCAR of atoms sorted by species, with positions in Å and velocities in Å/fs."""
    groups = [(symbol, len(list(group))) for symbol, group in groupby(symbols)]
    fractional = positions @ np.linalg.inv(cell)
    lines = ['start of the dynamics', '1.0', *_rows(cell)]
    lines += [' '.join(symbol for symbol, _ in groups), ' '.join(str(count) for _, count in groups)]
    lines += ['Direct', *_rows(fractional), 'Cartesian', *_rows(velocities)]
    return '\n'.join(lines) + '\n'


def _block(lines: Sequence[str], begin: int, count: int) -> NDArray[np.float64]:
    rows = [[float(word) for word in lines[begin + row].split()[:3]] for row in range(count)]
    if any(len(row) != 3 for row in rows):
        raise ValueError('a line holds no three numbers')
    return np.array(rows)


def _rows(vectors: NDArray[np.float64]) -> list[str]:
    return [' '.join(f'{value:.16f}' for value in vector) for vector in vectors]
