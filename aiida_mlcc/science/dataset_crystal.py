"""The crystal behind a data set, given by a person or found in the mean structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.spacegroup.symmetrize import check_symmetry, refine_symmetry
from numpy.typing import NDArray

from aiida_mlcc.science.crystal import CrystalError, map_onto_crystal, primitive_cell, shortest_distance, unwrap
from aiida_mlcc.science.snapshots import Snapshots

# A frame of dynamics resembles the one before: of about ten, one counts.
_FRAMES_PER_INDEPENDENT = 10
_STANDARD_ERRORS = 3.0
_LOOSEST = 0.2
_TIGHTEST = 1e-4
_DIGITS = 10


@dataclass(frozen=True)
class Sites:
    """The places that the atoms of a data set move about.

    :param positions: Å, shape (n_atoms, 3): sites of the crystal, or the mean positions where no crystal is known.
    :param primitive: the primitive cell, or None.
    :param moved: how far mean positions are from the sites, at most, Å.
    """

    positions: NDArray[np.float64]
    primitive: Atoms | None
    moved: float


@dataclass(frozen=True)
class CrystalReport:
    """The crystal in a few words.

    :param given: whether a person gave it, or it was found in the mean structure.
    :param moved_onto_sites_angstrom: how far mean positions are from its sites, at most, Å.
    """

    formula: str
    space_group: str
    given: bool
    moved_onto_sites_angstrom: float


def find_sites(snapshots: Snapshots, primitive: Atoms | None = None) -> Sites:
    """Return the sites that the atoms move about; all frames are of one cell.

    Without `primitive` the crystal is sought in the mean structure: positions that symmetry makes equal within three
    standard errors of their mean are taken for equal.

    :raises CrystalError: where the frames are no supercells of `primitive`.
    """
    displacements = unwrap(snapshots.positions - snapshots.positions[0], snapshots.cells[0])
    mean = snapshots.atoms(0)
    mean.positions += displacements.mean(axis=0)
    if primitive is not None:
        try:
            return _onto(primitive, mean)
        except CrystalError:
            # The mean of two runs whose atoms sit on each other's sites is no crystal, though every frame is one.
            return _onto(primitive, snapshots.atoms(0))
    spread = float(np.sqrt(np.mean(np.sum((displacements - displacements.mean(axis=0)) ** 2, axis=2))))
    independent = max(1.0, snapshots.n_frames / _FRAMES_PER_INDEPENDENT)
    tolerance = _STANDARD_ERRORS * spread / np.sqrt(independent)
    symmetric = mean.copy()
    try:
        limit = _LOOSEST * shortest_distance(mean)
        refine_symmetry(symmetric, symprec=float(np.clip(tolerance, _TIGHTEST, limit)), verbose=False)
        found = primitive_cell(symmetric)
        return _onto(_tidy(found), mean)
    except (CrystalError, RuntimeError, TypeError, ValueError, AttributeError):
        # CrystalError where nothing fits; spglib and its callers fail in the other ways.
        return Sites(mean.positions, None, 0.0)


def describe_crystal(sites: Sites, given: bool) -> CrystalReport | None:
    """Return the crystal in a few words, None where there is none."""
    if sites.primitive is None:
        return None
    symmetry = check_symmetry(sites.primitive, symprec=_TIGHTEST)
    formula = str(sites.primitive.symbols.formula.format('metal'))
    return CrystalReport(formula, str(symmetry.international), given, sites.moved)


def _tidy(primitive: Atoms) -> Atoms:
    """Return a primitive cell with its first atom at the origin, and without the last digits of the arithmetic."""
    positions = primitive.positions - primitive.positions[0]
    cell = np.round(primitive.cell.array, _DIGITS) + 0.0
    return Atoms(primitive.symbols, positions=np.round(positions, _DIGITS) + 0.0, cell=cell, pbc=True)


def _onto(primitive: Atoms, mean: Atoms) -> Sites:
    positions = map_onto_crystal(primitive, mean).reference_positions
    return Sites(positions, primitive, float(np.linalg.norm(mean.positions - positions, axis=1).max()))
