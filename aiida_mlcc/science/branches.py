"""Branches: which mode of one member is which mode of another, where sorted frequencies would mix them up.

The reference is the mean of the members' dynamical matrices, which is that of the mean of their force constants. Modes
that are degenerate in it, but not in the members (two members whose branches cross there), are told apart by the member
that splits them most; what no member splits stays together. Each mode of a member then goes to the mode of the
reference that it overlaps with most, all at once (Hungarian assignment of the overlaps summed over degenerate modes);
within a degenerate set modes are taken in the order of their frequencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from aiida_mlcc.science.dispersion import CM1_PER_THZ

_DEGENERATE = 1e-3
"""Of the largest ω²: 0.5 ‰ in frequency at the top of the spectrum."""

_SPLIT = 1e-5
"""Of the largest ω²: what a member has to add to count as a splitting."""

_TIE = 1e-6


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
        found = np.empty(self.sets.shape, dtype=np.int64)
        for point, matrix in enumerate(matrices):
            squares, vectors = np.linalg.eigh(matrix)
            overlaps = np.abs(self.vectors[point].conj().T @ vectors) ** 2
            overlaps = _by_set(overlaps, self.sets[point])
            own = _sets_of(squares, _SPLIT * np.abs(squares).max())
            # Any basis of a degenerate set of the member is as good as another.
            overlaps = _by_set(overlaps.T, own).T / np.bincount(own, minlength=len(own))[own]
            _, modes = linear_sum_assignment(overlaps, maximize=True)
            for first in np.unique(self.sets[point]):
                together = self.sets[point] == first
                modes[together] = np.sort(modes[together])
            found[point] = modes
        return found

    def frequencies_cm1(self, matrices: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Return the frequencies of a member in the order of the branches, cm⁻¹, shape (n_points, n_modes)."""
        return np.take_along_axis(frequencies_of(matrices), self.order(matrices), axis=1)


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

    :param path: a :class:`~aiida_mlcc.science.dispersion.BandPath`.
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
    squares = np.linalg.eigvalsh(matrices)
    return np.asarray(np.sign(squares) * np.sqrt(np.abs(squares)) * CM1_PER_THZ)


def _sets_of(squares: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    """Return the first mode of the degenerate set of each mode; `squares` ascend."""
    starts = np.concatenate([[True], np.diff(squares) > tolerance])
    return np.maximum.accumulate(np.where(starts, np.arange(len(squares)), 0))


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


def _by_set(values: NDArray[np.float64], sets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the rows of `values` summed over each set, given to every row of the set."""
    sums = np.zeros_like(values)
    np.add.at(sums, sets, values)
    return np.asarray(sums[sets])
