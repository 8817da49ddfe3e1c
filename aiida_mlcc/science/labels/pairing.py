"""Matching snapshots by their geometry, never by their index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from aiida_mlcc.science.labels.snapshots import Snapshots, SnapshotsError

_ENERGY_TOLERANCE = 1e-9
_NUMBERS, _SEED = 8, 7
_FRAMES_OF_A_BLOCK = 500


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
    near = _Near(other, tolerance, reference)
    for frame in range(reference.n_frames):
        same = _same_structure(reference, frame, other, tolerance, near.candidates(reference, frame))
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
    near = _Near(snapshots, tolerance, snapshots)
    for frame in range(snapshots.n_frames):
        if grouped[frame]:
            continue
        candidates = near.candidates(snapshots, frame)
        if len(candidates) == 1:
            continue
        same = _same_structure(snapshots, frame, snapshots, tolerance, candidates)
        if len(same) > 1:
            groups.append(same)
            grouped[same] = True
    return groups


def distance_to_nearest(reference: Snapshots, other: Snapshots, frame: int) -> float:
    """Return how far the atoms of one frame of `other` are from those of the frame of `reference` most like it, Å.

    It is the distance of the atom that is farthest off; positions are compared in the cell of `other`.
    """
    return float(_farthest_atom(other, frame, reference.positions).min())


class _Near:
    """Finds the few frames of a set that may be a given structure, without comparing all of them.

    Each frame has a few numbers, Σ_i a_i·cos(2π s_i + b_i) over its atoms, with one fractional coordinate s_i of each
    and random a and b: lattice vectors do not change them, and structures within the tolerance differ by a known amount
    at most. A tree finds the frames whose numbers are that close.
    """

    def __init__(self, snapshots: Snapshots, tolerance: float, queried: Snapshots) -> None:
        generator = np.random.default_rng(_SEED)
        self._amplitudes = generator.uniform(-1.0, 1.0, (_NUMBERS, snapshots.n_atoms))
        self._phases = generator.uniform(0.0, 2 * np.pi, (_NUMBERS, snapshots.n_atoms))
        self._axes = generator.integers(0, 3, (_NUMBERS, snapshots.n_atoms))
        # An atom may be `tolerance` off; so may the cell, which counts by how far the atoms lie from the origin.
        sets = (snapshots, queried)
        inverse = max(_largest_inverse(each) for each in sets)
        farthest = max(float(np.abs(each.positions).max(initial=0.0)) for each in sets)
        cells = [each.cells for each in sets if each.n_frames]
        strain = min(tolerance, 2 * max((float(np.abs(each - cells[0][0]).max()) for each in cells), default=0.0))
        apart = inverse * (tolerance + 9.0 * farthest * inverse * strain)
        self._radius = 1.001 * 2 * np.pi * apart * float(np.abs(self._amplitudes).sum(axis=1).max()) + 1e-9
        self._tree = cKDTree(self._numbers(snapshots))

    def candidates(self, snapshots: Snapshots, frame: int) -> NDArray[np.int64]:
        """Return the frames that may be this one, ascending."""
        numbers = self._numbers(snapshots, slice(frame, frame + 1))[0]
        return np.array(sorted(self._tree.query_ball_point(numbers, self._radius, p=np.inf)), dtype=np.int64)

    def _numbers(self, snapshots: Snapshots, frames: slice = slice(None)) -> NDArray[np.float64]:
        found = []
        positions, cells = snapshots.positions[frames], snapshots.cells[frames]
        for start in range(0, len(positions), _FRAMES_OF_A_BLOCK):
            block = slice(start, start + _FRAMES_OF_A_BLOCK)
            fractions = positions[block] @ np.linalg.inv(cells[block])
            along = fractions[:, np.arange(snapshots.n_atoms), self._axes]
            found.append(np.sum(self._amplitudes * np.cos(2 * np.pi * along + self._phases), axis=2))
        return np.concatenate(found) if found else np.zeros((0, _NUMBERS))


def _largest_inverse(snapshots: Snapshots) -> float:
    """Return the largest spectral norm of the inverse of a cell, 1/Å."""
    singular = np.linalg.svd(snapshots.cells, compute_uv=False)
    return float(1.0 / singular.min()) if len(singular) else 0.0


def _same_structure(
    reference: Snapshots, frame: int, other: Snapshots, tolerance: float, candidates: NDArray[np.int64]
) -> NDArray[np.int64]:
    cell = reference.cells[frame]
    candidates = candidates[np.abs(other.cells[candidates] - cell).max(axis=(1, 2)) <= tolerance]
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
