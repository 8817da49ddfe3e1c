"""How strong the dipole–dipole energy of a method is beside that of its base, and how certain that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import shortest_distance
from aiida_mlcc.science.fit.delta_choice import Choice, Labels, freed
from aiida_mlcc.science.fit.dipole import ETA_TIMES_CUTOFF, coupling_strength, damped_otherwise, otherwise_damped
from aiida_mlcc.science.fit.fit_errors import DipoleWeight
from aiida_mlcc.science.fit.force_constants_basis import (
    ForceConstantsBasis,
    decaying_basis,
    force_constants_basis,
    shells,
)
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.fit.ridge import choose_by_evidence, prepare
from aiida_mlcc.science.force_field import Term, TrainedOn
from aiida_mlcc.science.force_field.dipole import WEIGHT_SD, DipoleModel

_LEAST_SYSTEMATIC = 0.2


@dataclass(frozen=True)
class LongRange:
    """By how much the dipole–dipole energy of a method differs from that of its base.

    :param weight: w, the factor on the squares of the Born charges: 1 + s + δ + what the covariates carry.
    :param statistical: standard deviation of w over other snapshots.
    :param systematic: standard deviation of w over other cutoffs and dampings, and at least a fifth of \\|w − 1\\|.
    :param free: δ, what the labels add to the scale s of the base; None where they do not speak for it.
    :param evidence: by how much the feature of its own raises the logarithm of the evidence.
    """

    weight: float
    statistical: float
    systematic: float
    free: float | None
    evidence: float

    @classmethod
    def of(
        cls,
        weight: float,
        sampled: NDArray[np.float64],
        otherwise: Sequence[float],
        free: float | None,
        evidence: float,
    ) -> LongRange:
        """Take the standard deviations.

        :param sampled: w of other snapshots.
        :param otherwise: w of other cutoffs and dampings, as far as there are any.
        """
        systematic = float(np.std([weight, *otherwise], ddof=1)) if len(otherwise) else 0.0
        least = _LEAST_SYSTEMATIC * abs(weight - 1.0)
        return cls(weight, float(np.std(sampled, ddof=1)), max(systematic, least), free, evidence)

    @property
    def determined(self) -> bool:
        """Whether two standard deviations below w are still positive: otherwise the LO branch is not known."""
        return self.weight - 2.0 * self.sd > 0

    @property
    def sd(self) -> float:
        """Standard deviation of w, statistical and systematic."""
        return float(np.hypot(self.statistical, self.systematic))

    def term(self, dipole: DipoleModel, trained_on: TrainedOn) -> tuple[Term, ...]:
        """Return what a Δ adds to the dipole–dipole term of its base, if anything; it keeps the error of w."""
        with_error: TrainedOn = {**trained_on, WEIGHT_SD: self.sd}
        return () if self.free is None else (dipole.term(self.free, with_error),)

    def describe(self, dipole: DipoleModel) -> DipoleWeight:
        """Return all of it as plain JSON, with Z*²/ε∞ (``c_total`` and its errors) where the crystal has only one."""
        found: DipoleWeight = {
            'weight': self.weight,
            'statistical': self.statistical,
            'systematic': self.systematic,
            'free': self.free,
            'evidence': self.evidence,
            'determined': self.determined,
        }
        if (strength := coupling_strength(dipole)) is not None:
            found['c_total'] = strength * self.weight
            found['c_statistical'] = strength * self.statistical
            found['c_systematic'] = strength * self.systematic
        return found


def otherwise_fitted(
    choice: Choice,
    own: Labels,
    below: Sequence[tuple[Labels, Choice]],
    dipole: DipoleModel,
    choices: Sequence[float],
) -> list[float]:
    """Return the weight w that other cutoffs and dampings give.

    :param choice: the basis of the fit, with what its covariates have in `below`.
    :param choices: ridges to choose from.
    """
    found = []
    for second, other in _variations(choice.basis.second, dipole):
        shares = [_share(_varied(one.basis, second, other), theirs, (), choices) for theirs, one in below]
        found.append(1.0 + _share(_varied(choice.basis, second, other), own, shares, choices))
    return found


def _variations(second: ForceConstantsBasis, dipole: DipoleModel) -> list[tuple[ForceConstantsBasis, DipoleModel]]:
    """Return what might as well have been fitted: the next shorter and longer cutoff, less and more damping."""
    primitive, found = second.primitive, []
    distances = shells(primitive, second.cutoff + 2.0 * shortest_distance(primitive))
    between = (distances[:-1] + distances[1:]) / 2
    here = int(np.argmin(np.abs(between - second.cutoff)))
    for number in (here - 1, here + 1):
        if 0 <= number < len(between):
            cutoff = float(between[number])
            other = damped_otherwise(dipole, ETA_TIMES_CUTOFF / cutoff)
            found.append((decaying_basis(force_constants_basis(primitive, cutoff)), other))
    return [*found, *((second, other) for other in otherwise_damped(dipole))]


def _varied(basis: PotentialBasis, second: ForceConstantsBasis, dipole: DipoleModel) -> PotentialBasis:
    return replace(basis, second=second, dipole=None if basis.dipole is None else dipole)


def _share(basis: PotentialBasis, labels: Labels, below: Sequence[float], choices: Sequence[float]) -> float:
    """Return s + δ of a fit in another basis, with what its covariates carry."""
    if basis.dipole is None:
        problem = prepare(labels.problem(basis))
        choice = labels.choice(basis, problem, choose_by_evidence(problem, choices)[0])
    else:
        choice = freed(basis, labels, choices)
    parameters, n = choice.problem.solve(choice.ridges)[0], basis.n_parameters
    free = parameters[n - 1] if basis.dipole is not None else 0.0
    return float(free + parameters[n] + parameters[n + 1 : n + 1 + len(below)] @ np.array(below, dtype=float))
