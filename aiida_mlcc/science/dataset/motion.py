"""How the atoms of a data set move: about which sites, with what drift, and whether from one frame to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import reach_of_sites, unwrap
from aiida_mlcc.science.dataset.crystal import Sites
from aiida_mlcc.science.labels.snapshots import Snapshots

_CLEARLY_CLOSER = 0.75
_FEWEST = 4
_PAIRS = 1000


@dataclass(frozen=True)
class Motion:
    """Displacements (Å) from the sites, free of the rigid shift of all atoms, and this shift.

    :param rms_displacement_angstrom: over all atoms and frames.
    :param largest_displacement_angstrom: of any atom, in the frame `largest_in_frame`.
    :param off_site: frames in which an atom is farther from its site than 0.4 of the shortest distance between sites.
    :param drift_angstrom: the largest distance of the centre of mass from where it is in the first frame, in the frame
        `drift_in_frame`; in a trajectory it is followed from frame to frame, so that it may exceed half the cell.
    :param successive_distance_angstrom: median root mean square distance of the atoms between a frame and the next, and
        `random_distance_angstrom` between any two frames; None for fewer than four frames.
    :param looks_like_trajectory: whether the first is less than three quarters of the second.
    """

    rms_displacement_angstrom: float
    largest_displacement_angstrom: float
    largest_in_frame: int
    off_site: tuple[int, ...]
    drift_angstrom: float
    drift_in_frame: int
    successive_distance_angstrom: float | None
    random_distance_angstrom: float | None
    looks_like_trajectory: bool


def describe_motion(snapshots: Snapshots, sites: Sites) -> Motion:
    """Describe how the atoms move about `sites`; all frames are of one cell."""
    cell = snapshots.cells[0]
    from_sites = snapshots.positions - sites.positions
    displacements = unwrap(from_sites, cell)
    lengths = np.linalg.norm(displacements, axis=2)
    farthest = lengths.max(axis=1)
    n_frames = snapshots.n_frames
    successive, random = _distances(displacements) if n_frames >= _FEWEST else (None, None)
    is_trajectory = successive is not None and random is not None and successive < _CLEARLY_CLOSER * random
    drift = _drift(snapshots, from_sites, displacements, is_trajectory)
    limit = np.inf if sites.primitive is None else reach_of_sites(sites.primitive)
    return Motion(
        rms_displacement_angstrom=float(np.sqrt(np.mean(lengths**2))),
        largest_displacement_angstrom=float(farthest.max()),
        largest_in_frame=int(np.argmax(farthest)),
        off_site=tuple(np.flatnonzero(farthest > limit).tolist()),
        drift_angstrom=float(drift.max()),
        drift_in_frame=int(np.argmax(drift)),
        successive_distance_angstrom=successive,
        random_distance_angstrom=random,
        looks_like_trajectory=is_trajectory,
    )


def _distances(displacements: NDArray[np.float64]) -> tuple[float, float]:
    """Return the median distance of successive frames and of random pairs, root mean square over the atoms, Å."""

    def median(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
        return float(np.median(np.sqrt(np.mean(np.sum((first - second) ** 2, axis=2), axis=1))))

    n_frames = len(displacements)
    generator = np.random.default_rng(0)
    one = generator.integers(0, n_frames, _PAIRS)
    other = (one + generator.integers(1, n_frames, _PAIRS)) % n_frames
    return median(displacements[1:], displacements[:-1]), median(displacements[one], displacements[other])


def _drift(
    snapshots: Snapshots,
    from_sites: NDArray[np.float64],
    displacements: NDArray[np.float64],
    is_trajectory: bool,
) -> NDArray[np.float64]:
    """Return the distance of the centre of mass of each frame from that of the first, Å, shape (n_frames,).

    A shift is known up to lattice vectors of the cell. In a trajectory the shortest step from each frame to the next
    is taken, elsewhere the shortest way from the first frame.
    """
    cell = snapshots.cells[0]
    masses = snapshots.atoms(0).get_masses()
    # What is left of any atom is the shift, up to lattice vectors.
    shifts = (from_sites - displacements)[:, 0] + masses @ displacements / masses.sum()
    steps = np.diff(shifts, axis=0) if is_trajectory else shifts - shifts[0]
    fractions = steps @ np.linalg.inv(cell)
    steps = (fractions - np.rint(fractions)) @ cell
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)]) if is_trajectory else steps
    distance: NDArray[np.float64] = np.linalg.norm(path, axis=1)
    return distance
