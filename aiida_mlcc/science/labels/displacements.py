"""Reference displacements: a supercell at rest, and with one atom moved, as many as symmetry makes different."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from aiida_mlcc.science.crystal.cells import CrystalError, expand_matrix, primitive_cell, shortest_distance, to_phonopy
from aiida_mlcc.science.crystal.symmetry import SYMPREC
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.settings import Settings, setting

LARGEST_SHARE = 0.1
"""Of the shortest distance between atoms: what an atom that is moved farther shows is not harmonic."""


@dataclass(frozen=True)
class Displacements(Settings):
    """How atoms are moved to see the harmonic force constants."""

    TITLE = 'reference displacements'

    distance: float = setting(
        'How far an atom is moved, and where symmetry does not make both ways equal, back as far.',
        default=0.03,
        above=0,
        unit='Å',
    )
    second_amplitude: float | None = setting(
        'Factor of a second displacement of each atom, from which the fit tells what is harmonic; null for none.',
        default=None,
        above=0,
        below=1,
        required=False,
    )


def displaced_cells(
    crystal: Atoms, matrix: int | ArrayLike, settings: Displacements, symprec: float = SYMPREC
) -> Snapshots:
    """Return a supercell at rest, then with the displacements of phonopy, one atom moved in each, the longest first.

    :param crystal: a unit cell at rest.
    :param matrix: the supercell of `crystal`, as phonopy reads it: one whole number, three, or 3×3.
    :param settings: lengths of the displacements.
    :param symprec: how far atoms may be from their symmetric places, Å.
    :raises CrystalError: for a distance of more than a tenth of the shortest distance between atoms.
    """
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    limit = LARGEST_SHARE * shortest_distance(crystal)
    if settings.distance > limit:
        raise CrystalError(
            f'a displacement of {settings.distance:g} Å is more than {limit:.2g} Å, a tenth of the shortest distance '
            'between atoms: what it shows is not harmonic; take a smaller `distance`'
        )
    to_primitive = (primitive_cell(crystal, symprec).cell.array @ np.linalg.inv(crystal.cell.array)).T
    with warnings.catch_warnings():
        # A supercell of lower symmetry than the crystal has a remark of its own.
        warnings.filterwarnings('ignore', message='Warning: Point group')
        phonon = Phonopy(
            to_phonopy(crystal), supercell_matrix=expand_matrix(matrix), primitive_matrix=to_primitive, symprec=symprec
        )
    cells: list[PhonopyAtoms] = [phonon.supercell]
    for factor in (1.0,) if settings.second_amplitude is None else (1.0, settings.second_amplitude):
        phonon.generate_displacements(distance=factor * settings.distance)
        cells += phonon.supercells_with_displacements or ()
    return Snapshots(
        tuple(phonon.supercell.symbols),
        np.array([cell.cell for cell in cells]),
        np.array([cell.positions for cell in cells]),
    )
