"""How well few energies fix the frequencies: designs drawn from disjoint halves of the labelled frames."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.design.optimal_structures import optimal_frames
from aiida_mlcc.science.fit.force_constants import CHEAPER, fit_delta
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel, harmonic_model
from aiida_mlcc.science.fit.learning_curve import frequencies_of_samples
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.science.phonons.modes import CM1_PER_ROOT_CURVATURE

QPOINTS = {'gamma': (0.0, 0.0, 0.0), 'x': (0.5, 0.5, 0.0)}
_TWO_SIDED_95 = 1.959964
_ACOUSTIC = 1.0
_DEGENERATE = 0.5


@dataclass(frozen=True)
class Crystal:
    """A labelled crystal with the harmonic part of its base."""

    snapshots: Snapshots
    primitive: Atoms
    base_method: str
    model: HarmonicModel

    @classmethod
    def of(cls, snapshots: Snapshots, primitive: Atoms, base_method: str) -> Crystal:
        return cls(snapshots, primitive, base_method, harmonic_model(snapshots, primitive, base_method))

    def frequencies(
        self, snapshots: Snapshots, method: str, covariates: bool, seed: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the distinct frequencies of `method` at Γ and X and their standard deviations, cm⁻¹."""
        fit = fit_delta(
            snapshots, self.primitive, self.base_method, method, n_folds=5, covariates=covariates, seed=seed
        )
        found = frequencies_of_samples(self.model, fit.samples, QPOINTS)
        chosen = [(label, index) for label in QPOINTS for index in self.distinct[label]]
        return (
            np.array([found['frequencies_cm1'][label][index] for label, index in chosen]),
            np.array([found['sd_cm1'][label][index] for label, index in chosen]),
        )

    @property
    def distinct(self) -> dict[str, list[int]]:
        """The first mode of each distinct frequency of the base at Γ (without acoustic ones) and X."""
        kept = {}
        for label in QPOINTS:
            frequencies = self._frequencies(label)
            first = np.diff(frequencies, prepend=-np.inf) > _DEGENERATE
            if label == 'gamma':
                first &= frequencies > _ACOUSTIC
            kept[label] = np.flatnonzero(first).tolist()
        return kept

    @property
    def base_frequencies(self) -> list[float]:
        """The distinct frequencies of the base itself, cm⁻¹."""
        return [float(self._frequencies(label)[index]) for label in QPOINTS for index in self.distinct[label]]

    def _frequencies(self, label: str) -> NDArray[np.float64]:
        squares = np.linalg.eigvalsh(self.model.dynamical_matrix(np.array(QPOINTS[label])))
        return np.asarray(np.sign(squares) * np.sqrt(np.abs(squares)) * CM1_PER_ROOT_CURVATURE)

    @property
    def names(self) -> list[str]:
        """What the distinct frequencies are called."""
        at_x = len(self.distinct['x'])
        x = ['x_ta', 'x_lao', 'x_to'] if at_x == 3 else [f'x_{number + 1}' for number in range(at_x)]
        gamma = len(self.distinct['gamma'])
        return [*(['gamma'] if gamma == 1 else [f'gamma_{number + 1}' for number in range(gamma)]), *x]


def learning_curve(
    crystal: Crystal, method: str, sizes: Sequence[int], n_draws: int, seed: int = 0
) -> list[dict[str, Any]]:
    """Return, for each number of energies, way to choose them and use of cheaper methods, how the frequencies scatter.

    Two designs are drawn from disjoint halves of the frames, `n_draws` times. ``spread_cm1`` is the standard deviation
    of a design's frequencies, from the differences within the pairs; ``bias_cm1`` the mean deviation from the fit to
    all energies, and ``stated_sd_cm1`` what the fits say of themselves; ``coverage`` the share of designs whose stated
    95 % interval holds the value from all energies; ``coverage_of_double`` the share of those whose interval holds the
    value from a design of twice the size.
    """
    snapshots = crystal.snapshots
    labelled = snapshots.labelled_by(crystal.base_method, method, *[m for m in CHEAPER if m in snapshots.labels])
    reference = {
        covariates: crystal.frequencies(snapshots, method, covariates, seed)[0] for covariates in (False, True)
    }
    random = np.random.default_rng(seed)
    found: dict[tuple[int, str, bool], list[Any]] = {}
    for draw in range(n_draws):
        order = random.permutation(labelled)
        for half in (order[: len(order) // 2], order[len(order) // 2 :]):
            largest = max((n for n in sizes if n <= len(half)), default=0)
            chosen = optimal_frames(snapshots.select(half), crystal.primitive, largest, seed + draw)
            for kind, ranked in (('random', half), ('optimal', half[chosen])):
                for n in (n for n in sizes if n <= len(half)):
                    few = keep_labels(snapshots, method, ranked[:n])
                    for covariates in (False, True):
                        result = crystal.frequencies(few, method, covariates, seed + draw)
                        found.setdefault((n, kind, covariates), []).append(result)
        sys.stderr.write(f'draw {draw + 1} of {n_draws}\n')
    return [
        _entry(crystal.names, n, kind, covariates, results, reference[covariates], found.get((2 * n, kind, covariates)))
        for (n, kind, covariates), results in sorted(found.items())
    ]


def keep_labels(snapshots: Snapshots, method: str, frames: NDArray[np.int64]) -> Snapshots:
    """Return `snapshots` with the labels of `method` on some frames only."""
    energies = np.full(snapshots.n_frames, np.nan)
    energies[frames] = snapshots.labels[method].energies[frames]
    return snapshots.with_label(method, Label(energies, source=snapshots.labels[method].source))


def _entry(
    names: Sequence[str],
    n: int,
    kind: str,
    covariates: bool,
    results: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    reference: NDArray[np.float64],
    double: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]] | None,
) -> dict[str, Any]:
    values, stated = (np.array(part) for part in zip(*results, strict=True))
    differences = values[0::2] - values[1::2]
    inside = np.abs(values - reference) <= _TWO_SIDED_95 * stated

    def named(numbers: NDArray[np.float64]) -> dict[str, float]:
        return {name: round(float(number), 3) for name, number in zip(names, numbers, strict=True)}

    entry = {
        'n': n,
        'selection': kind,
        'covariates': covariates,
        'spread_cm1': named(np.sqrt(np.mean(differences**2, axis=0) / 2)),
        'bias_cm1': named((values - reference).mean(axis=0)),
        'stated_sd_cm1': named(stated.mean(axis=0)),
        'coverage': named(inside.mean(axis=0)),
        'coverage_all_modes': round(float(inside.mean()), 3),
    }
    if double is not None:
        twice = np.array([value for value, _ in double])
        held = np.abs(values - twice) <= _TWO_SIDED_95 * stated
        entry['coverage_of_double'] = round(float(held.mean()), 3)
    return entry
