"""Frozen phonons in several amplitudes: what their energies say of amplitude zero.

A pattern of displacements that comes with several amplitudes t tells by itself how far its energy is from harmonic:
E(t) = E(0) + ½·k·t² + a₃·t³ + a₄·t⁴ + a₆·t⁶. As columns of a fit, the higher powers of each pattern take what is not
harmonic of its energies, whatever it is; the force constants of second order are then those of infinitesimal
displacements. Two amplitudes do not tell t⁴ and t⁶ apart, so the error of the fit knows what t⁶ may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.fit.mapped_frames import MappedFrames

_ALIKE = 1e-4
_AT_REST = 1e-4
_SAME_AMPLITUDE = 1e-3
NEXT_POWER = 1 / 3
"""What is expected of the next power of an amplitude (t⁶ of an energy, t⁵ of a force), as a share of the one before,
where the largest amplitude is 1."""


def amplitude_columns(frames: Sequence[MappedFrames], n_frames: int) -> NDArray[np.float64]:
    """Return t⁴ and t⁶ of each pattern with two amplitudes or more, and t³ of those with both signs.

    A ridge on all of them expects the coefficient of t⁶ to be a third of that of t⁴.

    Frames share a pattern where their displacements are parallel. The largest amplitude of a pattern is 1, and a column
    is zero for frames of other patterns.

    :param frames: as :func:`~aiida_mlcc.science.fit.mapped_frames.mapped_frames` gives them.
    :returns: shape (n_frames, n); no column where no pattern comes with two amplitudes.
    """
    columns: list[NDArray[np.float64]] = []
    for group in frames:
        flat = group.displacements.reshape(len(group.displacements), -1)
        for members, amplitudes in patterns(flat):
            column = np.zeros(n_frames)
            if np.ptp(np.abs(amplitudes)) > _SAME_AMPLITUDE:
                column[group.indices[members]] = amplitudes**4
                columns += [column, NEXT_POWER * np.sqrt(column) ** 3]
                if amplitudes.min() < 0 < amplitudes.max():
                    odd = np.zeros(n_frames)
                    odd[group.indices[members]] = amplitudes**3
                    columns.append(odd)
    return np.array(columns).T if columns else np.zeros((n_frames, 0))


@dataclass(frozen=True)
class Extrapolation:
    """The energies of one pattern, E(t) = E(0) + a₂·t² + a₄·t⁴, where its largest amplitude is 1.

    :param group: the frames that it is among.
    :param members: its rows of the displacements of the group, and their signed `amplitudes`, both of shape (n,).
    :param harmonic: a₂, and `quartic` a₄, in the unit of the energies; of both signs in the mean.
    """

    group: MappedFrames
    members: NDArray[np.int64]
    amplitudes: NDArray[np.float64]
    harmonic: float
    quartic: float


def extrapolations(frames: Sequence[MappedFrames], energies: NDArray[np.float64]) -> Iterator[Extrapolation]:
    """Give each pattern that comes with two amplitudes or more, in cells that have frames at rest.

    :param energies: shape (n_frames,), in whatever unit; NaN for frames that have none.
    """
    for group in frames:
        there = energies[group.indices]
        flat = group.displacements.reshape(len(there), -1)
        resting = np.isfinite(there) & _is_at_rest(flat)
        known = np.flatnonzero(np.isfinite(there))
        for rows, amplitudes in patterns(flat[known]) if resting.any() else ():
            if np.ptp(np.abs(amplitudes)) > _SAME_AMPLITUDE:
                members = known[rows]
                powers = np.column_stack([amplitudes**2, amplitudes**4])
                above = there[members] - there[resting].mean()
                harmonic, quartic = np.linalg.lstsq(powers, above, rcond=None)[0]
                yield Extrapolation(group, members, amplitudes, float(harmonic), float(quartic))


def sixth_powers(frames: Sequence[MappedFrames], energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what t⁶ may make of the energies of patterns with two amplitudes, shape (n_frames,).

    Its coefficient is a third of that of t⁴, which is the root mean square over all patterns.

    :param energies: shape (n_frames,), in whatever unit.
    """
    found = list(extrapolations(frames, energies))
    sixth = np.zeros(len(energies))
    for one in found:
        sixth[one.group.indices[one.members]] = one.amplitudes**6
    typical = np.sqrt(np.mean([one.quartic**2 for one in found])) if found else 0.0
    return np.asarray(NEXT_POWER * typical * sixth)


def scatter_at_rest(frames: Sequence[MappedFrames], energies: NDArray[np.float64]) -> float:
    """Return the standard deviation of the energies of the crystal at rest, as the engine has them in several places.

    :param energies: shape (n_frames,), in whatever unit; 0 with fewer than two frames at rest.
    """
    resting = [group.indices[_is_at_rest(group.displacements.reshape(len(group.indices), -1))] for group in frames]
    indices = np.concatenate(resting) if resting else np.zeros(0, dtype=np.int64)
    return float(np.std(energies[indices], ddof=1)) if len(indices) > 1 else 0.0


def patterns(flat: NDArray[np.float64]) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return which rows are parallel to each other, two or more of them, and their signed amplitudes."""
    lengths = np.linalg.norm(flat, axis=1)
    left = np.flatnonzero(~_is_at_rest(flat))
    found = []
    while len(left):
        first = left[np.argmax(lengths[left])]
        along = flat[left] @ flat[first] / lengths[first]
        members = np.abs(np.abs(along) - lengths[left]) < _ALIKE * lengths[left]
        if members.sum() > 1:
            found.append((left[members], along[members] / lengths[first]))
        left = left[~members]
    return found


def _is_at_rest(flat: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.linalg.norm(flat, axis=1) <= _AT_REST * np.sqrt(flat.shape[1]))
