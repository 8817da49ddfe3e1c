"""Branches: which mode of one member is which mode of another, where sorted frequencies would mix them up.

The reference is the mean of the members' dynamical matrices, which is that of the mean of their force constants. Modes
that are degenerate in it, but not in the members (two members whose branches cross there), are told apart by the member
that splits them most; what no member splits stays together. Each mode of a member then goes to the mode of the
reference that it overlaps with most, all at once (Hungarian assignment of the overlaps summed over degenerate modes);
within a degenerate set modes are taken in the order of their frequencies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from aiida_mlcc.science.units import frequencies_of_squares

_DEGENERATE = 1e-3
"""Of the largest ω²: 0.5 ‰ in frequency at the top of the spectrum."""

_SPLIT = 1e-5
"""Of the largest ω²: what a member has to add to count as a splitting."""

_TIE = 1e-6
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Branches:
    """The modes of a reference, to which those of any member can be assigned.

    :param vectors: eigenvectors as columns, shape (n_points, n_modes, n_modes), by ascending mean frequency; those of
        the same mean, which only the members tell apart, by their frequency in the member that does.
    :param sets: at each point, the first mode of the degenerate set of each mode, shape (n_points, n_modes).
    """

    vectors: NDArray[np.complex128]
    sets: NDArray[np.int64]

    def order(self, matrices: NDArray[np.complex128]) -> NDArray[np.int64]:
        """Return which mode of a member (counted by ascending frequency) is on each branch, (n_points, n_modes).

        :param matrices: the member's dynamical matrices, as :func:`dynamical_matrices` gives them.
        """
        return self._order(*np.linalg.eigh(matrices))

    def _order(self, squares: NDArray[np.float64], vectors: NDArray[np.complex128]) -> NDArray[np.int64]:
        together = _alike(self.sets)
        own = _alike(_sets_of(squares, _SPLIT * np.abs(squares).max(axis=-1, keepdims=True)))
        overlaps = together @ np.abs(self.vectors.conj().swapaxes(1, 2) @ vectors) ** 2
        # Any basis of a degenerate set of the member is as good as another.
        overlaps = overlaps @ own / own.sum(axis=1, keepdims=True)
        found = np.tile(np.arange(self.sets.shape[1]), (len(self.sets), 1))
        # Where each mode overlaps most with that of its number, no other assignment overlaps more.
        as_numbered = np.diagonal(overlaps, axis1=1, axis2=2) >= overlaps.max(axis=2) - _ROUNDING
        for point in np.flatnonzero(~as_numbered.all(axis=1)):
            _, modes = linear_sum_assignment(overlaps[point], maximize=True)
            for first in np.unique(self.sets[point]):
                in_set = self.sets[point] == first
                modes[in_set] = np.sort(modes[in_set])
            found[point] = modes
        return found

    def frequencies_cm1(self, matrices: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Return the frequencies of a member in the order of the branches, cm⁻¹, shape (n_points, n_modes)."""
        squares, vectors = np.linalg.eigh(matrices)
        return np.take_along_axis(frequencies_of_squares(squares), self._order(squares, vectors), axis=1)


def branches_of(members: ArrayLike) -> Branches:
    """Return the branches that all members share.

    :param members: dynamical matrices, shape (n_members, n_points, n_modes, n_modes). Their order does not matter.
    :raises ValueError: where there is no member.
    """
    matrices = np.asarray(members, dtype=complex)
    if len(matrices) == 0:
        raise ValueError('no members to match the branches of')
    vectors, sets = [], []
    for at_point in matrices.swapaxes(0, 1):
        squares, basis = np.linalg.eigh(at_point.mean(axis=0))
        scale = np.abs(squares).max()
        together = _sets_of(squares, _DEGENERATE * scale)
        pieces = []
        for first in np.unique(together):
            parts = _split(basis[:, together == first], at_point, _SPLIT * scale)
            pieces += _ascending(parts, at_point.mean(axis=0), _SPLIT * scale)
        vectors.append(np.concatenate(pieces, axis=1))
        firsts = np.cumsum([0, *(piece.shape[1] for piece in pieces[:-1])])
        sets.append(np.repeat(firsts, [piece.shape[1] for piece in pieces]))
    return Branches(np.array(vectors), np.array(sets))


def lines_along(
    matrices: NDArray[np.complex128],
    qpoints: NDArray[np.float64],
    segments: Sequence[Sequence[int]],
    values: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Return which mode (by ascending frequency) each line along a path goes through, shape (n_points, n_modes).

    A line goes from a point to the mode of the next that its eigenvector overlaps with most, so that lines cross where
    ascending frequencies would turn away from each other. They begin by ascending frequency wherever the path jumps.

    :param matrices: dynamical matrices along the path (THz²).
    :param qpoints: shape (n_points, 3), and first and last index of the `segments`.
    :param values: a property of each mode, shape (n_points, n_modes): where modes are degenerate, a line goes on to the
        value closest to that which it comes from.
    """
    lines = np.tile(np.arange(matrices.shape[1]), (len(matrices), 1))
    before, last_seen = np.zeros((0, 0), dtype=complex), None
    for first, last in segments:
        for index in range(first, last + 1):
            squares, vectors = np.linalg.eigh(matrices[index])
            jumps = last_seen is None or (index == first and not np.allclose(qpoints[index], qpoints[last_seen]))
            if not jumps and last_seen is not None:
                sets = _sets_of(squares, _DEGENERATE * np.abs(squares).max())
                told = None if values is None else (values[last_seen][lines[last_seen]], values[index])
                lines[index], vectors = _next_modes(before, vectors, sets, told)
            before, last_seen = vectors, index
    return lines


def _next_modes(
    before: NDArray[np.complex128],
    vectors: NDArray[np.complex128],
    sets: NDArray[np.int64],
    values: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
) -> tuple[NDArray[np.int64], NDArray[np.complex128]]:
    """Return the mode that each line goes on to, and eigenvectors in the order of the lines.

    :param before: those of the point before, in the order of the lines.
    :param values: of the lines at the point before, and of the modes here.
    """
    alike = _alike(sets[None])[0]
    overlaps = np.abs(before.conj().T @ vectors) ** 2 @ alike / alike.sum(axis=0)
    _, modes = linear_sum_assignment(overlaps, maximize=True)
    found = np.empty_like(vectors)
    for first in np.unique(sets):
        members = np.flatnonzero(sets[modes] == first)
        if values is not None and len(members) > 1:
            steps = np.abs(values[0][members, None] - values[1][modes[members]])
            chosen = linear_sum_assignment(np.nan_to_num(steps))[1]
            modes[members] = modes[members][chosen]
        # Any basis of a degenerate set is as good as another: the one closest to where the lines come from.
        basis = vectors[:, sets == first]
        left, _, right = np.linalg.svd(basis.conj().T @ before[:, members])
        found[:, members] = basis @ left @ right
    return modes, found


def dynamical_matrices(phonon: Any, qpoints: ArrayLike, direction: ArrayLike | None = None) -> NDArray[np.complex128]:
    """Return the dynamical matrices (THz²), with the non-analytical term if any, (n_points, n_modes, n_modes).

    :param phonon: a phonopy instance with force constants.
    :param direction: from where Γ is approached (units of the reciprocal vectors); it matters with Born charges.
    """
    points = np.asarray(qpoints, dtype=float).reshape(-1, 3)
    result = phonon.run_qpoints(points, nac_q_direction=direction, with_dynamical_matrices=True)
    return np.asarray(result.dynamical_matrices, dtype=complex) * phonon.unit_conversion_factor**2


def path_matrices(phonon: Any, path: Any) -> NDArray[np.complex128]:
    """Return the dynamical matrices along a path (THz²); Γ is approached along its segment.

    :param path: a :class:`~aiida_mlcc.science.phonons.dispersion.BandPath`.
    """
    along = [
        dynamical_matrices(phonon, path.qpoints[first : last + 1], path.qpoints[last] - path.qpoints[first])
        for first, last in path.segments
    ]
    return np.concatenate(along)


def point_matrices(
    phonon: Any, qpoints: Mapping[str, ArrayLike], directions: Mapping[str, ArrayLike]
) -> NDArray[np.complex128]:
    """Return the dynamical matrices (THz²) at special points, label → q-point, each approached from its direction."""
    found = [dynamical_matrices(phonon, qpoint, directions.get(label)) for label, qpoint in qpoints.items()]
    return np.concatenate(found)


def frequencies_of(matrices: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return the frequencies of dynamical matrices (THz²), cm⁻¹, ascending, imaginary ones negative."""
    return frequencies_of_squares(np.asarray(np.linalg.eigvalsh(matrices), dtype=float))


def _sets_of(squares: NDArray[np.float64], tolerance: float | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the first mode of the degenerate set of each mode; `squares` ascend, shape (…, n_modes)."""
    starts = np.diff(squares, prepend=-np.inf) > tolerance
    return np.maximum.accumulate(np.where(starts, np.arange(squares.shape[-1]), 0), axis=-1)


def _split(
    basis: NDArray[np.complex128], members: NDArray[np.complex128], tolerance: float
) -> list[NDArray[np.complex128]]:
    """Return parts of a degenerate subspace that the members tell apart, the member first that splits it most."""
    if basis.shape[1] == 1:
        return [basis]
    within = basis.conj().T @ members @ basis
    widths = np.ptp(np.linalg.eigvalsh(within), axis=1)
    if widths.max() <= tolerance:
        return [basis]
    # Of members that split it as much, the first: rounding must not choose another one at the next point.
    squares, vectors = np.linalg.eigh(within[np.argmax(widths > (1 - _TIE) * widths.max())])
    together = _sets_of(squares, tolerance)
    if together[-1] == 0:
        return [basis]
    parts = []
    for first in np.unique(together):
        parts += _split(basis @ vectors[:, together == first], members, tolerance)
    return parts


def _ascending(
    parts: list[NDArray[np.complex128]], mean: NDArray[np.complex128], tolerance: float
) -> list[NDArray[np.complex128]]:
    """Return parts of a degenerate subspace by ascending mean ω²; those whose mean is the same stay as they come."""
    squares = np.array([np.trace(part.conj().T @ mean @ part).real / part.shape[1] for part in parts])
    order = np.argsort(squares)
    same = np.empty(len(parts), dtype=np.int64)
    same[order] = _sets_of(squares[order], tolerance)
    return [parts[number] for number in np.lexsort((np.arange(len(parts)), same))]


def _alike(sets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 where two modes are of one degenerate set and 0 elsewhere, shape (n_points, n_modes, n_modes)."""
    return np.asarray(sets[:, :, None] == sets[:, None, :], dtype=float)
