"""Born charges and dielectric tensor from Quantum ESPRESSO: what ``ph.x`` prints, or the head of a ``q2r.x`` file."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.units import Bohr
from numpy.typing import NDArray

from aiida_mlcc.science.phonons.born import BornError

_NUMBER = r'[-+]?\d+\.\d*(?:[EeDd][-+]?\d+)?'
_ALAT = re.compile(rf'lattice parameter \(alat\)\s*=\s*({_NUMBER})')
_AXIS = re.compile(rf'^\s*a\(\d\)\s*=\s*\(\s*({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})', re.MULTILINE)
_SITE = re.compile(
    rf'^\s*\d+\s+([A-Z][a-z]?)\w*\s+{_NUMBER}\s+tau\(\s*\d+\)\s*=\s*\(\s*({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})',
    re.MULTILINE,
)
_ROW = re.compile(rf'^\s*(?:[EP][xyz]\s*)?\(\s*({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s*\)', re.MULTILINE)
_DIELECTRIC = 'Dielectric constant in cartesian axis'
_CHARGES = 'Effective charges (d Force / dE) in cartesian axis'
_CHARGES_WITH_SUM_RULE = 'Effective charges (d Force / dE) in cartesian axis with asr applied:'


def is_quantum_espresso(text: str) -> bool:
    """Tell whether `text` is an output of ``ph.x`` or a file of ``q2r.x``, and not another file of Born charges."""
    return _is_ph(text) or _is_q2r(text)


def charges_from_quantum_espresso(text: str) -> dict[str, NDArray[Any]]:
    """Return the charges with their cell, as :func:`~aiida_mlcc.science.phonons.born.born_from_arrays` reads them.

    :returns: ``numbers`` (n_atoms,), ``cell`` (Å, rows) and ``positions`` (Å) of the cell, ``born_charges`` (e, n_atoms
        × 3 × 3, the first index being the direction of the field) and ``dielectric`` (3 × 3).
    :raises BornError: where the file holds no charges, or ended early.
    """
    return _from_ph(text) if _is_ph(text) else _from_q2r(text)


def _is_ph(text: str) -> bool:
    return 'Program PHONON' in text or _DIELECTRIC in text or _ALAT.search(text) is not None


def _is_q2r(text: str) -> bool:
    words = text.split('\n', 1)[0].split()
    return len(words) == 9 and all(word.lstrip('-').isdigit() for word in words[:3])


def _from_ph(text: str) -> dict[str, NDArray[Any]]:
    alat, axes, sites = _ALAT.search(text), _AXIS.findall(text)[:3], _SITE.findall(text)
    if alat is None or len(axes) < 3 or not sites:
        raise BornError('the output of ph.x does not show its cell and atoms: give the whole of it')
    length = _value(alat.group(1)) * Bohr
    numbers = np.array([_number_of(symbol) for symbol, *_ in sites])
    dielectric = _rows_after(text, _DIELECTRIC, 3)
    title = _CHARGES_WITH_SUM_RULE if _CHARGES_WITH_SUM_RULE in text else _CHARGES
    charges = _rows_after(text, title, 3 * len(sites))
    if dielectric is None or charges is None:
        what = 'dielectric tensor' if dielectric is None else 'Born charges (`zeu=.true.`)'
        raise BornError(f'the output of ph.x holds no {what}: it needs `epsil=.true.` at q = 0, and must have finished')
    return {
        'numbers': numbers,
        'cell': length * np.array([[_value(word) for word in axis] for axis in axes]),
        'positions': length * np.array([[_value(word) for word in site[1:]] for site in sites]),
        'dielectric': dielectric,
        'born_charges': charges.reshape(-1, 3, 3),
    }


def _from_q2r(text: str) -> dict[str, NDArray[Any]]:
    lines = iter(text.splitlines())
    try:
        words = next(lines).split()
        n_types, n_atoms, ibrav = (int(word) for word in words[:3])
        celldm = [_value(word) for word in words[3:9]]
        if ibrav == 0:
            cell = celldm[0] * Bohr * np.array([_values(next(lines)) for _ in range(3)])
        else:
            cell = celldm[0] * Bohr * _lattice(ibrav, celldm)
        symbols = [re.findall(r"'\s*([A-Z][a-z]?)", next(lines))[0] for _ in range(n_types)]
        sites = [next(lines).split() for _ in range(n_atoms)]
        if next(lines).strip() != 'T':
            raise BornError('the file of q2r.x holds no Born charges: ph.x computes them with `epsil=.true.`')
        dielectric = np.array([_values(next(lines)) for _ in range(3)])
        charges = []
        for _ in range(n_atoms):
            next(lines)
            charges.append([_values(next(lines)) for _ in range(3)])
    except (StopIteration, IndexError, ValueError) as error:
        if isinstance(error, BornError):
            raise
        raise BornError(f'the head of the file of q2r.x cannot be read: {error or "it ends early"}') from None
    return {
        'numbers': np.array([_number_of(symbols[int(site[1]) - 1]) for site in sites]),
        'cell': np.asarray(cell),
        'positions': celldm[0] * Bohr * np.array([[_value(word) for word in site[2:5]] for site in sites]),
        'dielectric': dielectric,
        'born_charges': np.array(charges),
    }


def _lattice(ibrav: int, celldm: list[float]) -> NDArray[np.float64]:
    """Return the lattice vectors (rows, in units of celldm(1)) of the orthogonal and hexagonal ``ibrav`` of pw.x."""
    b, c = celldm[1] or 1.0, celldm[2] or 1.0
    vectors = {
        1: np.eye(3),
        2: np.array([[-1, 0, 1], [0, 1, 1], [-1, 1, 0]]) / 2,
        3: np.array([[1, 1, 1], [-1, 1, 1], [-1, -1, 1]]) / 2,
        -3: np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2,
        4: np.array([[1, 0, 0], [-1 / 2, np.sqrt(3) / 2, 0], [0, 0, c]]),
        6: np.diag([1, 1, c]),
        7: np.array([[1, -1, c], [1, 1, c], [-1, -1, c]]) / 2,
        8: np.diag([1, b, c]),
    }
    if ibrav not in vectors:
        raise BornError(
            f'the file of q2r.x has ibrav = {ibrav}, whose cell is not known here: give the output of ph.x, which '
            'shows its cell, or run with ibrav = 0'
        )
    return np.asarray(vectors[ibrav], dtype=float)


def _rows_after(text: str, title: str, n_rows: int) -> NDArray[np.float64] | None:
    """Return the rows of three numbers in brackets behind the last place of a title, None where there are too few."""
    start = text.rfind(title)
    if start < 0:
        return None
    rows = _ROW.findall(text, start)[:n_rows]
    return np.array([[_value(word) for word in row] for row in rows]) if len(rows) == n_rows else None


def _number_of(symbol: str) -> int:
    if symbol not in chemical_symbols[1:]:
        raise BornError(f'the Born charges are of an atom {symbol!r}, which is not an element')
    return chemical_symbols.index(symbol)


def _values(line: str) -> list[float]:
    values = [_value(word) for word in line.split()]
    if len(values) != 3:
        raise ValueError(f'{line.strip()!r} is not a row of three numbers')
    return values


def _value(word: str) -> float:
    return float(word.replace('D', 'E').replace('d', 'e'))
