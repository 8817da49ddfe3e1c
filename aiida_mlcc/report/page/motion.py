"""Modes at the special points as the page animates them, from the eigenvectors of the dynamical matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors

from aiida_mlcc.report.data.arrays import Curves, Dispersion
from aiida_mlcc.report.text import PRETTY
from aiida_mlcc.science.crystal.cells import from_phonopy
from aiida_mlcc.science.phonons.dispersion import at_gamma
from aiida_mlcc.science.units import CM1_PER_THZ

if TYPE_CHECKING:
    from phonopy import Phonopy

MOST_ATOMS = 16
"""Atoms in the cell of the phonons, above which the page would grow by megabytes."""

_SHOWN_ATOMS = 64


class MovingMode(TypedDict):
    """A mode: its frequency (cm⁻¹), and real and imaginary parts of the displacement of each atom."""

    frequency: float
    u: list[list[float]]


class MovingPoint(TypedDict):
    """The modes at a special point."""

    label: str
    q: list[float]
    modes: list[MovingMode]


class Motions(TypedDict):
    """The crystal and, method by method, the modes at the special points; see :func:`motions_of`."""

    cell: list[list[float]]
    scaled: list[list[float]]
    symbols: list[str]
    colours: list[str]
    radii: list[float]
    repeats: int
    methods: dict[str, list[MovingPoint]]


def motions_of(curves: Curves, phonons: Mapping[str, Phonopy]) -> Motions | None:
    """Return the crystal and, method by method, the modes at the special points; None where there are none.

    ``cell`` (Å), ``scaled`` (fractional positions), ``symbols``, ``colours``, ``radii`` (Å), ``repeats``, and
    ``methods`` → METHOD → points: ``label``, ``q``, and ``modes``: ``frequency`` (cm⁻¹) and ``u``, real and imaginary
    parts of the displacement of each atom, shape (n_atoms, 6), the largest of length 1. The atom at the fractional
    position x moves by Re[u·exp(2πi·q·x − iωt)], which is phonopy's convention of phases.

    :param phonons: METHOD → phonopy's phonons, of the mean force constants of the members.
    """
    methods = {
        method: _points(phonons[method], curve) for method, curve in curves.dispersion.items() if method in phonons
    }
    if not methods:
        return None
    atoms = from_phonopy(next(iter(phonons.values())).primitive)
    if len(atoms) > MOST_ATOMS:
        return None
    repeats = max(n for n in (1, 2, 3) if n == 1 or n**3 * len(atoms) <= _SHOWN_ATOMS)
    return {
        'cell': np.round(atoms.cell.array, 5).tolist(),
        'scaled': np.round(atoms.get_scaled_positions(), 6).tolist(),
        'symbols': atoms.get_chemical_symbols(),
        'colours': [_hex(jmol_colors[number]) for number in atoms.numbers],
        'radii': [round(float(covalent_radii[number]), 2) for number in atoms.numbers],
        'repeats': repeats,
        'methods': methods,
    }


def _points(phonon: Phonopy, curve: Dispersion) -> list[MovingPoint]:
    found: dict[str, MovingPoint] = {}
    for index, label in curve.labels:
        if label in found or len(phonon.primitive) > MOST_ATOMS:
            continue
        q = curve.qpoints[index]
        # Dipoles part LO from TO along the direction in which the path leaves Γ.
        neighbour = curve.qpoints[index + 1 if index + 1 < len(curve.qpoints) else index - 1]
        direction = neighbour - q if at_gamma(q)[0] else None
        phonon.run_qpoints([q], with_eigenvectors=True, nac_q_direction=direction)
        found_there: Any = phonon.qpoints
        frequencies, vectors = found_there.frequencies[0] * CM1_PER_THZ, found_there.eigenvectors[0]
        modes: list[MovingMode] = []
        for mode, frequency in enumerate(frequencies):
            moved = vectors[:, mode].reshape(-1, 3) / np.sqrt(phonon.primitive.masses)[:, None]
            moved = moved / np.linalg.norm(moved, axis=1).max()
            parts = np.concatenate([moved.real, moved.imag], axis=1)
            modes.append({'frequency': round(float(frequency), 1), 'u': np.round(parts, 4).tolist()})
        pretty = PRETTY.get(label, label.replace('_', ''))
        found[label] = {'label': pretty, 'q': np.round(q, 6).tolist(), 'modes': modes}
    return list(found.values())


def _hex(colour: Any) -> str:
    return '#' + ''.join(f'{round(255 * float(part)):02x}' for part in colour)
