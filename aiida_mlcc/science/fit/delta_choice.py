"""Which force constants, and whether dipoles beside them, the labels of a method speak for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.fit.delta import FitError
from aiida_mlcc.science.fit.delta_features import delta_problem
from aiida_mlcc.science.fit.displacement_amplitudes import amplitude_columns
from aiida_mlcc.science.fit.mapped_frames import MappedFrames
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.fit.ridge import Prepared, Problem, choose_by_evidence, prepare
from aiida_mlcc.science.force_field.dipole import DipoleModel
from aiida_mlcc.science.labels.snapshots import Snapshots

CLEAR_EVIDENCE = 3.0


@dataclass(frozen=True)
class Choice:
    """A basis that the labels speak for.

    :param evidence: of the dipoles, against the same force constants without them; 0 where there are none to choose.
    :param n_amplitudes: the last columns, which hold what is not harmonic of frozen phonons, see
        :mod:`~aiida_mlcc.science.fit.displacement_amplitudes`.
    :param spread_ridges: where force constants are held at zero, the ridges that the labels speak for most: by these
        the error of what is used is drawn, for nothing says that the force constants are zero.
    """

    basis: PotentialBasis
    problem: Prepared
    ridges: tuple[float, ...]
    evidence: float = 0.0
    n_amplitudes: int = 0
    spread_ridges: tuple[float, ...] | None = None

    @property
    def ridges_of_spread(self) -> tuple[float, ...]:
        """Those by which the spread is drawn."""
        return self.ridges if self.spread_ridges is None else self.spread_ridges


@dataclass(frozen=True)
class Labels:
    """The labelled frames of a method, on their sites.

    :param covariates: cheaper methods whose energies are features.
    """

    method: str
    base_method: str
    snapshots: Snapshots
    frames: Sequence[MappedFrames]
    covariates: Sequence[str] = ()

    def problem(self, basis: PotentialBasis, extrapolated: bool = True) -> Problem:
        """Return what is to be described in a basis.

        :param extrapolated: give each frozen phonon in two amplitudes terms of higher order of its own. Force constants
            of fourth order are few: what they leave of frozen phonons would pass for harmonic. Forces say more than two
            amplitudes, so where there are any nothing is added.
        """
        labels = self.snapshots.labels
        others = [labels[name] for name in self.covariates]
        content = delta_problem(basis, self.frames, labels[self.base_method], labels[self.method], others)
        if not extrapolated or not self._higher_orders.shape[1] or not content.is_energy.all():
            return content
        return replace(
            content,
            features=np.column_stack([content.features, self._higher_orders]),
            groups=np.append(content.groups, np.full(self._higher_orders.shape[1], content.n_groups + 1)),
        )

    @cached_property
    def _higher_orders(self) -> NDArray[np.float64]:
        return amplitude_columns(self.frames, self.snapshots.n_frames)

    def choice(self, basis: PotentialBasis, problem: Prepared, ridges: tuple[float, ...]) -> Choice:
        """Return a basis with what was chosen in it; the columns behind E_base and the covariates are amplitudes."""
        n_amplitudes = problem.problem.features.shape[1] - basis.n_parameters - 1 - len(self.covariates)
        return Choice(basis, problem, ridges, n_amplitudes=n_amplitudes)


def best_choice(
    bases: Sequence[PotentialBasis], dipole: DipoleModel | None, labels: Labels, choices: Sequence[float]
) -> Choice:
    """Return the basis that the labels speak for: a later one, or dipoles, only where they do so clearly.

    The orders are chosen without the terms of frozen phonons of their own, which would leave them nothing; dipoles are
    judged with these, or else what is not harmonic would hide them.
    """
    supported = {id(basis): _order_evidence(basis, labels, choices) for basis in bases}
    plain = _clearest([(supported[id(basis)], basis) for basis in bases])
    if dipole is None:
        return _fitted(plain, labels, choices)[1]
    shortest = [basis for basis in bases if basis.second is bases[0].second]
    without = _clearest([(supported[id(basis)], basis) for basis in shortest])
    beside = [replace(basis, dipole=dipole) for basis in shortest]
    polar = _clearest([(_order_evidence(basis, labels, choices), basis) for basis in beside])
    gained = _fitted(polar, labels, choices)[0] - _fitted(without, labels, choices)[0]
    if gained <= CLEAR_EVIDENCE:
        return replace(_fitted(plain, labels, choices)[1], evidence=gained)
    return replace(freed(polar, labels, choices), evidence=gained)


def _order_evidence(basis: PotentialBasis, labels: Labels, choices: Sequence[float]) -> float:
    problem = prepare(labels.problem(basis, extrapolated=False))
    if not np.any(np.std(problem.problem.features[:, : basis.n_parameters], axis=0) > 0):
        raise FitError('all labelled frames are the same structure: there is no motion to learn from')
    return choose_by_evidence(problem, choices)[1]


def _fitted(basis: PotentialBasis, labels: Labels, choices: Sequence[float]) -> tuple[float, Choice]:
    """Return the evidence for a basis, and the ridges that it is largest with."""
    problem = prepare(labels.problem(basis))
    ridges, evidence = choose_by_evidence(problem, choices)
    return evidence, labels.choice(basis, problem, ridges)


def _clearest(candidates: Sequence[tuple[float, PotentialBasis]]) -> PotentialBasis:
    best = candidates[0]
    for candidate in candidates[1:]:
        if candidate[0] > best[0] + CLEAR_EVIDENCE:
            best = candidate
    return best[1]


def freed(basis: PotentialBasis, labels: Labels, choices: Sequence[float]) -> Choice:
    """Let the dipoles go without the ridge that they had for the sake of comparison."""
    content = labels.problem(basis)
    groups = content.groups.copy()
    groups[basis.n_parameters - 1] = 0
    problem = prepare(replace(content, groups=groups))
    return labels.choice(basis, problem, choose_by_evidence(problem, choices)[0])
