"""Matching snapshots by their geometry, never by their index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.snapshots import Snapshots, SnapshotsError

_ENERGY_TOLERANCE = 1e-9


class AmbiguousPairing(ValueError):
    """Frames that describe one structure but disagree about its energy."""


@dataclass(frozen=True)
class Pairing:
    """Which frames of two sets describe the same structures.

    :param indices: index into the other set for each frame of the reference, -1 where none, shape (n_reference,).
    :param unmatched: the frames of the other set left over, ascending.
    """

    indices: NDArray[np.int64]
    unmatched: NDArray[np.int64]

    @property
    def matched(self) -> NDArray[np.int64]:
        """The frames of the reference that have a partner, ascending."""
        return np.flatnonzero(self.indices >= 0)


def pair_by_geometry(reference: Snapshots, other: Snapshots, tolerance: float = 1e-4) -> Pairing:
    """Match the frames of two sets that describe the same structures, in whatever order they come.

    Two frames match when lattice, species and wrapped positions agree to `tolerance` (Å).

    :returns: index into `other` for each frame of `reference` (-1 where none), and the frames of `other` left over.
    :raises AmbiguousPairing: where two frames of `other` match the same frame with different energies.
    :raises SnapshotsError: where the two sets hold other species, or the same in another order.
    """
    if reference.symbols != other.symbols:
        raise SnapshotsError('the two sets hold other species, or the same in another order: they cannot be paired')
    indices = np.full(reference.n_frames, -1, dtype=np.int64)
    taken = np.zeros(other.n_frames, dtype=bool)
    for frame in range(reference.n_frames):
        same = _same_structure(reference, frame, other, tolerance)
        if len(same) == 0:
            continue
        _check_energies(other, same, frame)
        taken[same] = True
        # Of equal structures, the one with the most labels.
        labels = sum((np.isfinite(label.energies[same]) for label in other.labels.values()), np.zeros(len(same)))
        indices[frame] = same[np.argmax(labels)]
    return Pairing(indices, np.flatnonzero(~taken))


def repeated_frames(snapshots: Snapshots, tolerance: float = 1e-4) -> list[NDArray[np.int64]]:
    """Return, for each structure that more than one frame describes, those frames in ascending order.

    :param tolerance: Å, as in :func:`pair_by_geometry`.
    """
    groups: list[NDArray[np.int64]] = []
    grouped = np.zeros(snapshots.n_frames, dtype=bool)
    for frame in range(snapshots.n_frames):
        if grouped[frame]:
            continue
        same = _same_structure(snapshots, frame, snapshots, tolerance)
        if len(same) > 1:
            groups.append(same)
            grouped[same] = True
    return groups


def distance_to_nearest(reference: Snapshots, other: Snapshots, frame: int) -> float:
    """Return how far the atoms of one frame of `other` are from those of the frame of `reference` most like it, Å.

    It is the distance of the atom that is farthest off; positions are compared in the cell of `other`.
    """
    return float(_farthest_atom(other, frame, reference.positions).min())


def _same_structure(reference: Snapshots, frame: int, other: Snapshots, tolerance: float) -> NDArray[np.int64]:
    cell = reference.cells[frame]
    candidates = np.flatnonzero(np.abs(other.cells - cell).max(axis=(1, 2)) <= tolerance)
    # One atom rules out nearly every frame, and spares the memory of comparing all atoms of all frames.
    for atoms in (slice(0, 1), slice(None)):
        apart = _farthest_atom(reference, frame, other.positions[candidates], atoms)
        candidates = candidates[apart <= tolerance]
    return candidates


def _farthest_atom(
    reference: Snapshots, frame: int, positions: NDArray[np.float64], atoms: slice = slice(None)
) -> NDArray[np.float64]:
    """Return the largest distance of an atom of each of `positions` (n, n_atoms, 3) from its place in `frame`, Å."""
    cell = reference.cells[frame]
    fractions = (positions[:, atoms] - reference.positions[frame, atoms]) @ np.linalg.inv(cell)
    apart: NDArray[np.float64] = np.linalg.norm((fractions - np.rint(fractions)) @ cell, axis=2).max(axis=1)
    return apart


def _check_energies(other: Snapshots, same: NDArray[np.int64], frame: int) -> None:
    for method, label in other.labels.items():
        energies = label.energies[same]
        energies = energies[np.isfinite(energies)]
        if len(energies) > 1 and np.ptp(energies) > _ENERGY_TOLERANCE:
            raise AmbiguousPairing(
                f'frames {", ".join(map(str, same))} of the other set all match frame {frame}, '
                f'but their {method} energies differ by {np.ptp(energies):.3g} eV'
            )
