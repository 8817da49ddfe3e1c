"""The crystal behind a data set, given by a person or found in the mean structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.spacegroup.symmetrize import check_symmetry, refine_symmetry
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import CrystalError, map_onto_crystal, primitive_cell, shortest_distance, unwrap
from aiida_mlcc.science.labels.snapshots import Snapshots

# A frame of dynamics resembles the one before: of about ten, one counts.
_FRAMES_PER_INDEPENDENT = 10
_STANDARD_ERRORS = 3.0
_LOOSEST = 0.2
_TIGHTEST = 1e-4
_DIGITS = 10
_FEWEST_BLOCKS = 4
_OF_A_REFLECTION = 3.0


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
    standard errors of their mean are taken for equal. All atoms of a sublattice together say more than each of them: a
    sublattice that is off its symmetric place by three standard errors of its own stays where it is.

    :raises CrystalError: where the frames are not supercells of `primitive`.
    """
    displacements = unwrap(snapshots.positions - snapshots.positions[0], snapshots.cells[0])
    mean = snapshots.atoms(0)
    mean.positions += displacements.mean(axis=0)
    if primitive is not None:
        try:
            return _onto(primitive, mean)
        except CrystalError:
            # The mean of two runs whose atoms sit on each other's sites is not a crystal, though every frame is one.
            return _onto(primitive, snapshots.atoms(0))
    spread = float(np.sqrt(np.mean(np.sum((displacements - displacements.mean(axis=0)) ** 2, axis=2))))
    independent = max(1.0, snapshots.n_frames / _FRAMES_PER_INDEPENDENT)
    tolerance = _STANDARD_ERRORS * spread / np.sqrt(independent)
    try:
        limit = _LOOSEST * shortest_distance(mean)
        symmetric = _symmetric(mean, float(np.clip(tolerance, _TIGHTEST, limit)))
        found = _off_centre(_tidy(primitive_cell(symmetric)), mean, displacements - displacements.mean(axis=0))
        return _onto(found, mean)
    except Exception:  # CrystalError where nothing fits; spglib and its callers have errors of all kinds.  # noqa: BLE001
        return Sites(mean.positions, None, 0.0)


def describe_crystal(sites: Sites, given: bool) -> CrystalReport | None:
    """Return the crystal in a few words, None where there is none."""
    if sites.primitive is None:
        return None
    formula = str(sites.primitive.symbols.formula.format('metal'))
    try:
        space_group = str(check_symmetry(sites.primitive, symprec=_TIGHTEST).international)
    except Exception:  # spglib has errors of its own  # noqa: BLE001
        space_group = 'no space group found'
    return CrystalReport(formula, space_group, given, sites.moved)


def _symmetric(atoms: Atoms, symprec: float) -> Atoms:
    symmetric = atoms.copy()
    refine_symmetry(symmetric, symprec=symprec, verbose=False)
    return symmetric


def _off_centre(primitive: Atoms, mean: Atoms, displacements: NDArray[np.float64]) -> Atoms:
    """Return a primitive cell whose sublattices are where their mean positions are, if that is clearly elsewhere.

    :param displacements: Å, from the mean, free of rigid shifts, shape (n_frames, n_atoms, 3).
    """
    site_map = map_onto_crystal(primitive, mean)
    members = [site_map.sites == site for site in range(len(primitive))]
    away = mean.positions - site_map.reference_positions
    shifts = np.array([away[own].mean(axis=0) for own in members])
    errors = np.array([_standard_error(displacements[:, own].mean(axis=1)) for own in members])
    if not (np.linalg.norm(shifts, axis=1) > np.maximum(_STANDARD_ERRORS * errors, _TIGHTEST)).any():
        return primitive
    moved = primitive.copy()
    moved.positions += shifts
    # A reflection takes the error of both sublattices twice; a shift that is clear at all is four times its own.
    symprec = float(max(_OF_A_REFLECTION * _STANDARD_ERRORS * errors.max(), _TIGHTEST))
    return _tidy(_symmetric(moved, min(symprec, _LOOSEST * shortest_distance(moved))))


def _standard_error(series: NDArray[np.float64]) -> float:
    """Return the standard error of the mean of a position in a trajectory, Å: the larger of two estimates.

    One takes the memory from one frame to the next, the other the scatter of means over stretches.

    :param series: deviations from the mean, Å, shape (n_frames, 3).
    """
    n_frames = len(series)
    variance = float(np.mean(np.sum(series**2, axis=1)))
    if n_frames < 2 or variance == 0:
        return np.inf
    memory = float(np.clip(np.mean(np.sum(series[1:] * series[:-1], axis=1)) / variance, 0.0, 0.99))
    found = [variance / (n_frames - 1) * (1 + memory) / (1 - memory)]
    n_blocks = n_frames // _FRAMES_PER_INDEPENDENT
    if n_blocks >= _FEWEST_BLOCKS:
        blocks = np.array([block.mean(axis=0) for block in np.array_split(series, n_blocks)])
        found.append(float(np.mean(np.sum(blocks**2, axis=1))) / (n_blocks - 1))
    return float(np.sqrt(max(found)))


def _tidy(primitive: Atoms) -> Atoms:
    """Return a primitive cell with its first atom at the origin, and without the last digits of the arithmetic."""
    positions = primitive.positions - primitive.positions[0]
    cell = np.round(primitive.cell.array, _DIGITS) + 0.0
    return Atoms(primitive.symbols, positions=np.round(positions, _DIGITS) + 0.0, cell=cell, pbc=True)


def _onto(primitive: Atoms, mean: Atoms) -> Sites:
    positions = map_onto_crystal(primitive, mean).reference_positions
    return Sites(positions, primitive, float(np.linalg.norm(mean.positions - positions, axis=1).max()))
