"""Is a Δ worth having? Whether it predicts labels that it has not seen better than rescaling the energy of the base.

Where the labels speak for the rescaled energy alone, that is used, and judged against a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.fit.delta_choice import CLEAR_EVIDENCE, Choice
from aiida_mlcc.science.fit.displacement_amplitudes import patterns
from aiida_mlcc.science.fit.mapped_frames import MappedFrames
from aiida_mlcc.science.fit.ridge import blocked_folds, evidence, left_out_residuals

HELD = 1e8
"""A ridge that leaves nothing of a parameter."""

HELD_OUT, AMPLITUDES, NOTHING = 'held-out', 'amplitudes', 'nothing'
"""By what a Δ is judged: stretches of frames left out, the smaller amplitudes of frozen phonons, or nothing at all."""

_RIGHT = 1e-2
_PARALLEL = 1e-3
_AT_REST = 1e-4


@dataclass(frozen=True)
class Judgement:
    """What a Δ is worth.

    :param judged_by: :data:`HELD_OUT`, :data:`AMPLITUDES` or :data:`NOTHING`.
    :param error: of the energies that were predicted, eV per cell; that of `rescaling` the energy of the base; and the
        `spread` of the differences, the error of a constant.
    :param gain: of the logarithm of the evidence, against rescaling alone.
    """

    judged_by: str
    error: float | None
    rescaling: float | None
    spread: float
    gain: float

    @property
    def is_rescaling(self) -> bool:
        """Whether the labels speak for the rescaled energy of the base and for nothing beside it."""
        return self.gain <= CLEAR_EVIDENCE

    @property
    def is_worth_it(self) -> bool | None:
        """Whether what is used predicts better than what is simpler; None where the structures cannot tell.

        What is right to a hundredth of the spread is worth having, even if rescaling is so, too.
        """
        if self.error is None or self.rescaling is None:
            return None
        error, simpler = (self.rescaling, self.spread) if self.is_rescaling else (self.error, self.rescaling)
        return bool(error < min(simpler, self.spread) or error < _RIGHT * self.spread)


def judged(choice: Choice, frames: Sequence[MappedFrames], n_folds: int) -> Judgement:
    """Judge a Δ by labels that it is not fitted to.

    Frozen phonons in two amplitudes are fitted without the smaller ones, which are predicted: each shows a mode that no
    other structure shows, so that leaving it out altogether says nothing. For that reason frozen phonons in one
    amplitude are not judged. Other structures are left out in stretches.

    :param frames: those of the fit.
    """
    problem, n_groups = choice.problem, choice.problem.problem.n_groups
    gain = evidence(problem, choice.ridges) - evidence(problem, (HELD,) * n_groups)
    n_frames = problem.problem.n_frames
    spread = float(np.std(problem.problem.targets[problem.problem.is_energy]))
    smaller = _smaller_amplitudes(frames, n_frames)
    own = choice.ridges
    if smaller.any():
        judged_by, folds, asked = AMPLITUDES, smaller.astype(np.int64), smaller
        if choice.n_amplitudes:
            own = (*choice.ridges[:-1], HELD)
    elif _is_one_amplitude(frames):
        return Judgement(NOTHING, None, None, spread, gain)
    else:
        judged_by, folds, asked = HELD_OUT, blocked_folds(n_frames, n_folds), np.ones(n_frames, dtype=bool)

    def error(ridges: tuple[float, ...]) -> float:
        residuals = left_out_residuals(problem, ridges, folds)
        chosen = problem.problem.is_energy & asked[problem.problem.frame_of_row]
        return float(np.sqrt(np.mean(residuals[chosen] ** 2)))

    return Judgement(judged_by, error(own), error((HELD,) * n_groups), spread, gain)


def _smaller_amplitudes(frames: Sequence[MappedFrames], n_frames: int) -> NDArray[np.bool_]:
    """Tell which frames are frozen phonons that come with a larger amplitude as well, shape (n_frames,)."""
    found = np.zeros(n_frames, dtype=bool)
    for group in frames:
        for members, amplitudes in patterns(group.displacements.reshape(len(group.displacements), -1)):
            found[group.indices[members[np.abs(amplitudes) < 1 - _PARALLEL]]] = True
    return found


def _is_one_amplitude(frames: Sequence[MappedFrames]) -> bool:
    """Tell whether the frames are the crystal at rest and displacements at right angles to each other."""
    for group in frames:
        flat = group.displacements.reshape(len(group.displacements), -1)
        lengths = np.linalg.norm(flat, axis=1)
        at_rest = lengths < _AT_REST * np.sqrt(flat.shape[1])
        unit = flat[~at_rest] / lengths[~at_rest, None]
        overlaps = np.abs(unit @ unit.T) - np.eye(len(unit))
        parallel = (overlaps < _PARALLEL) | (overlaps > 1 - _PARALLEL)
        if not at_rest.any() or len(unit) < 2 or not parallel.all():
            return False
    return True
