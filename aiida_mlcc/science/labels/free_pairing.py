"""Matching structures whose atoms come in another order, or lie elsewhere: energies know neither order nor origin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from aiida_mlcc.science.labels.pairing import Pairing, pair_by_geometry
from aiida_mlcc.science.labels.snapshots import Snapshots, SnapshotsError

_QUANTILES = np.linspace(0.0, 1.0, 9)
_SLACK = 2.5


@dataclass(frozen=True)
class FreePairing:
    """Which frames of two sets describe the same structures, and how their atoms correspond.

    :param indices: index into the other set for each frame of the reference, -1 where none, shape (n_reference,).
    :param unmatched: the frames of the other set left over, ascending.
    :param orders: the atom of the other set for each atom of the reference, shape (n_reference, n_atoms).
    :param shifts: how far the atoms of the other set lie from those of the reference, Å, shape (n_reference, 3).
    """

    indices: NDArray[np.int64]
    unmatched: NDArray[np.int64]
    orders: NDArray[np.int64]
    shifts: NDArray[np.float64]

    @property
    def matched(self) -> NDArray[np.int64]:
        """The frames of the reference that have a partner, ascending."""
        return np.flatnonzero(self.indices >= 0)

    def describe(self) -> list[str]:
        """Return what had to be changed for the frames to match, in sentences without a full stop."""
        matched = self.matched
        found = []
        reordered = int(np.sum((self.orders[matched] != np.arange(self.orders.shape[1])).any(axis=1)))
        if reordered:
            found.append(f'the atoms of {reordered} frames are in another order, and were put in that of the base')
        farthest = np.linalg.norm(self.shifts[matched], axis=1)
        if farthest.any():
            found.append(
                f'{int(np.count_nonzero(farthest))} frames lie elsewhere as a whole, by up to {farthest.max():.3g} Å'
            )
        return found


def pair_freely(reference: Snapshots, other: Snapshots, tolerance: float = 1e-4) -> FreePairing:
    """Match frames by geometry, then those left up to order and shift.

    Equal atoms may be exchanged, species may come in another order, and all atoms may be shifted together. Both sets
    have one lattice, written in the same vectors.

    :raises aiida_mlcc.science.labels.pairing.AmbiguousPairing: as
        :func:`~aiida_mlcc.science.labels.pairing.pair_by_geometry`.
    :raises SnapshotsError: where the two sets hold other atoms.
    """
    if Counter(reference.symbols) != Counter(other.symbols):
        raise SnapshotsError('the two sets hold other species, or another number of them: they cannot be paired')
    n_frames, n_atoms = reference.n_frames, reference.n_atoms
    if reference.symbols == other.symbols:
        direct = pair_by_geometry(reference, other, tolerance)
    else:
        direct = Pairing(np.full(n_frames, -1, dtype=np.int64), np.arange(other.n_frames))
    indices = direct.indices.copy()
    orders = np.tile(np.arange(n_atoms), (n_frames, 1))
    shifts = np.zeros((n_frames, 3))
    free, left = np.flatnonzero(indices < 0), set(direct.unmatched.tolist())
    if len(free) and left:
        candidates = np.array(sorted(left))
        tree = cKDTree(_fingerprints(other.select(candidates)))
        near = tree.query_ball_point(_fingerprints(reference.select(free)), _SLACK * tolerance, p=np.inf)
        for frame, places in zip(free, near, strict=True):
            for index in candidates[sorted(places)]:
                if int(index) in left and (found := _match(reference, int(frame), other, int(index), tolerance)):
                    indices[frame] = index
                    orders[frame], shifts[frame] = found
                    left.discard(int(index))
                    break
    return FreePairing(indices, np.array(sorted(left), dtype=np.int64), orders, shifts)


def same_lattice(cell: NDArray[np.float64], other: NDArray[np.float64], tolerance: float) -> bool:
    """Tell whether two sets of lattice vectors (rows, Å) span one lattice."""
    multiples = other @ np.linalg.inv(cell)
    whole = np.rint(multiples)
    return bool(abs(abs(np.linalg.det(whole)) - 1) < 0.5 and np.abs((multiples - whole) @ cell).max() <= tolerance)


def right_handed(cell: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return an order of the lattice vectors (rows) in which they are right-handed, as diagonal as it gets."""
    orders = ([0, 1, 2],) if np.linalg.det(cell) > 0 else ([1, 0, 2], [2, 1, 0], [0, 2, 1])
    return np.array(max(orders, key=lambda order: float(np.abs(np.diagonal(cell[order])).sum())), dtype=np.int64)


def _fingerprints(snapshots: Snapshots) -> NDArray[np.float64]:
    """Return quantiles of the distances of each pair of species, (n_frames, p), which no order or shift changes."""
    symbols = np.array(snapshots.symbols)
    species = sorted(set(snapshots.symbols))
    rows = []
    for frame in range(snapshots.n_frames):
        between = snapshots.atoms(frame).get_all_distances(mic=True)
        row: list[float] = []
        for one, another in combinations_with_replacement(species, 2):
            block = between[np.ix_(symbols == one, symbols == another)]
            values = block[np.triu_indices(len(block), 1)] if one == another else block.ravel()
            row += np.quantile(values, _QUANTILES).tolist() if len(values) else [0.0] * len(_QUANTILES)
        rows.append(row)
    return np.array(rows)


def _match(
    reference: Snapshots, frame: int, other: Snapshots, index: int, tolerance: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Return order and shift that bring one structure onto another, None where there are none."""
    cell = reference.cells[frame]
    inverse = np.linalg.inv(cell)
    here, there = reference.positions[frame], other.positions[index]
    for shift in _shifts(reference.symbols, other.symbols, here, there):
        order = np.zeros(len(here), dtype=np.int64)
        apart = np.zeros_like(here)
        for symbol in set(reference.symbols):
            mine = np.flatnonzero(np.array(reference.symbols) == symbol)
            theirs = np.flatnonzero(np.array(other.symbols) == symbol)
            fractions = (there[None, theirs] - shift - here[mine, None]) @ inverse
            vectors = (fractions - np.rint(fractions)) @ cell
            nearest = np.linalg.norm(vectors, axis=2).argmin(axis=1)
            order[mine] = theirs[nearest]
            apart[mine] = vectors[np.arange(len(mine)), nearest]
        mean = apart.mean(axis=0)
        if len(set(order.tolist())) == len(order) and np.linalg.norm(apart - mean, axis=1).max() <= tolerance:
            total = shift + mean
            total = total - np.rint(total @ inverse) @ cell
            return order, np.where(np.linalg.norm(total) > tolerance, total, 0.0)
    return None


def _shifts(
    symbols: tuple[str, ...], others: tuple[str, ...], here: NDArray[np.float64], there: NDArray[np.float64]
) -> Iterator[NDArray[np.float64]]:
    """Yield the shifts that bring one atom of the rarest species onto each of its kind; none at first."""
    yield np.zeros(3)
    rarest = min(Counter(symbols).items(), key=lambda item: item[1])[0]
    start = here[symbols.index(rarest)]
    for atom in (number for number, symbol in enumerate(others) if symbol == rarest):
        yield there[atom] - start
