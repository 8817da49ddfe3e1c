"""The fit of a linear readout: E_method − E_base = s·E_base + Σ_i w_{Z_i}·h_i + constant, by ridge regression.

The dipole–dipole energy of a polar crystal is one more column without ridge, where the evidence speaks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.fit.fit_errors import FitErrors
from aiida_mlcc.science.fit.long_range import LongRange
from aiida_mlcc.science.fit.ridge import (
    FEWEST_LABELS,
    FOLDS_HELP,
    Prepared,
    Problem,
    RidgeError,
    blocked_folds,
    bootstrap,
    choose_by_evidence,
    choose_ridges,
    left_out_error,
    left_out_residuals,
    prepare,
    random_folds,
)
from aiida_mlcc.science.settings import Settings, not_negative_numbers, setting

_MEV = 1000.0
_CLEAR_EVIDENCE = 3.0
_RIDGES_OF_DIPOLES = (1e-8, 1e-6, 1e-4, 1e-2, 1.0)
_STRETCHES = 40
_SAMPLES = 100


@dataclass(frozen=True)
class Readout(Settings):
    """How a readout is fitted."""

    TITLE = 'readout'

    ridge: list[float] = setting(
        'Penalties to choose from, relative to the variance of the features over the frames.',
        default=[1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3],
        check=not_negative_numbers,
    )
    n_folds: int = setting(FOLDS_HELP, default=5, at_least=2)


@dataclass(frozen=True)
class Dipoles:
    """The dipole–dipole energy of all frames.

    :param energies: eV per cell, shape (n_frames,).
    :param forces: eV/Å, shape (n_frames, 3·n_atoms).
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64]


@dataclass(frozen=True)
class ReadoutLabels:
    """What a readout is fitted to: features and labels of the same frames.

    :param features: Σ_i h_i over the atoms of each element, shape (n_frames, n_features).
    :param base: energies of the base method, eV per cell, shape (n_frames,).
    :param difference: E_method − E_base, eV per cell, shape (n_frames,).
    :param feature_forces: −∂features/∂positions, Å⁻¹, shape (n_frames, 3·n_atoms, n_features); None where energies
        alone are fitted.
    :param base_forces: eV/Å, shape (n_frames, 3·n_atoms); `difference_forces` of the same shape, NaN in the frames
        that have none.
    :param dipoles: of a polar crystal: that of the base first, then with other dampings.
    """

    features: NDArray[np.float64]
    base: NDArray[np.float64]
    difference: NDArray[np.float64]
    feature_forces: NDArray[np.float64] | None = None
    base_forces: NDArray[np.float64] | None = None
    difference_forces: NDArray[np.float64] | None = None
    dipoles: tuple[Dipoles, ...] = ()


@dataclass(frozen=True)
class ReadoutFit:
    """A fitted readout.

    :param weights: eV per unit of a feature, shape (n_features,).
    :param base_scale: the s by which the energy of the base is rescaled.
    :param constant: eV per cell.
    :param long_range: of a polar crystal, see :class:`~aiida_mlcc.science.fit.long_range.LongRange`.
    """

    weights: NDArray[np.float64]
    base_scale: float
    constant: float
    errors: FitErrors
    long_range: LongRange | None = None


def fit_readout(labels: ReadoutLabels, n_atoms: int, settings: Readout, seed: int = 0) -> ReadoutFit:
    """Fit the weights w, the scale s and the constant; the ridge on w is chosen by cross-validation over random folds.

    Where there are forces, energies and forces each weigh by the inverse of the mean square error with which a fit to
    them alone predicts frames that it has not seen.

    :param n_atoms: of a frame.
    :param seed: of the random folds.
    :returns: the fit and its errors: ``n_labels``, ``labels`` (energies, or energies and forces), ``n_parameters``
        (weights and s), ``rank``, ``ridge``, ``base_scale``, ``spread_mev_atom`` (standard deviation of the
        difference), ``rmse_mev_atom`` (of the fit), ``cv_rmse_mev_atom`` (frames left out at random),
        ``blocked_cv_rmse_mev_atom`` (stretches of the trajectory left out), ``cv_rescaling_mev_atom`` (random folds, s
        and the constant alone).
    :raises RidgeError: where there are too few labels, or no motion to learn from.
    """
    n_frames, ridges = len(labels.difference), settings.ridge
    n_folds = min(settings.n_folds, n_frames)
    if n_frames < FEWEST_LABELS:
        raise RidgeError(
            f'{n_frames} frames carry the labels of both methods: Δ needs at least {FEWEST_LABELS} of them'
        )
    if np.ptp(labels.base) == 0 or not np.any(np.ptp(labels.features, axis=0) > 0):
        raise RidgeError('all labelled frames are the same structure: there is no motion to learn from')
    random, blocked = random_folds(n_frames, n_folds, seed), blocked_folds(n_frames, n_folds)
    gained = _evidence_of_dipoles(labels, ridges, random) if labels.dipoles else 0.0
    dipoles = labels.dipoles if gained > _CLEAR_EVIDENCE else ()
    polar, labels = bool(labels.dipoles), replace(labels, dipoles=dipoles)
    problem = prepare(_problem(labels, ridges, random))
    chosen, left_out = choose_ridges(problem, ridges, random)
    parameters, constant = problem.solve(chosen)
    residuals = labels.difference - constant - _energy_features(labels) @ parameters
    rescaling = prepare(Problem(labels.base[:, None], labels.difference, np.zeros(1, dtype=np.int64)))
    errors: FitErrors = {
        'n_labels': n_frames,
        'labels': ['energies'] if labels.feature_forces is None else ['energies', 'forces'],
        'n_parameters': len(parameters),
        'rank': problem.rank,
        'ridge': chosen[0],
        'base_scale': float(parameters[-1]),
    }
    energies = {
        'spread_mev_atom': float(np.std(labels.difference)),
        'rmse_mev_atom': float(np.sqrt(np.mean(residuals**2))),
        'cv_rmse_mev_atom': left_out,
        'blocked_cv_rmse_mev_atom': left_out_error(problem, chosen, blocked),
        'cv_rescaling_mev_atom': left_out_error(rescaling, (), random),
    }
    per_atom = {name: _MEV * value / n_atoms for name, value in energies.items()}
    errors = {**errors, **cast(FitErrors, per_atom)}
    long_range = _long_range(labels, problem, chosen, random, gained, seed) if polar else None
    n_features = labels.features.shape[1]
    return ReadoutFit(parameters[:n_features], float(parameters[-1]), constant, errors, long_range)


def _evidence_of_dipoles(labels: ReadoutLabels, ridges: Sequence[float], folds: NDArray[np.int64]) -> float:
    """Return by how much a column for the dipoles, held back by a ridge of its own, raises the evidence."""
    choices = [ridge for ridge in {*ridges, *_RIDGES_OF_DIPOLES} if ridge > 0]
    found = []
    for one in (replace(labels, dipoles=()), labels):
        content = _problem(one, ridges, folds)
        if one.dipoles:
            groups = content.groups.copy()
            groups[-2] = 2
            content = replace(content, groups=groups)
        found.append(choose_by_evidence(prepare(content), sorted(choices))[1])
    return found[1] - found[0]


def _long_range(
    labels: ReadoutLabels,
    problem: Prepared,
    ridges: Sequence[float],
    folds: NDArray[np.int64],
    gained: float,
    seed: int,
) -> LongRange:
    """Return the weight of the dipole–dipole energy, and how it depends on the snapshots and on the damping."""
    first = labels.features.shape[1]

    def weight(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1.0 + parameters[..., first:].sum(axis=-1))

    otherwise = []
    for other in labels.dipoles[1:]:
        varied = prepare(_problem(replace(labels, dipoles=(other,)), ridges, folds))
        otherwise.append(float(weight(varied.solve(ridges)[0])))
    parameters = problem.solve(ridges)[0]
    stretch = max(1, problem.problem.n_frames // _STRETCHES)
    sampled = weight(bootstrap(problem, ridges, _SAMPLES, seed, stretch))
    free = float(parameters[first]) if labels.dipoles else None
    return LongRange.of(float(weight(parameters)), sampled, otherwise, free, gained)


def _energy_features(labels: ReadoutLabels) -> NDArray[np.float64]:
    dipoles = [labels.dipoles[0].energies] if labels.dipoles else []
    return np.column_stack([labels.features, *dipoles, labels.base])


def _problem(labels: ReadoutLabels, ridges: Sequence[float], folds: NDArray[np.int64]) -> Problem:
    features = _energy_features(labels)
    groups = np.ones(features.shape[1], dtype=np.int64)
    groups[labels.features.shape[1] :] = 0
    energies = Problem(features, labels.difference, groups)
    if labels.feature_forces is None or labels.base_forces is None or labels.difference_forces is None:
        return energies
    pulls = [one.forces[:, :, None] for one in labels.dipoles[:1]]
    slopes = np.concatenate([labels.feature_forces, *pulls, labels.base_forces[:, :, None]], axis=2)
    present = np.isfinite(labels.difference_forces)
    frames = np.nonzero(present)[0]
    joint = Problem(
        np.concatenate([features, slopes[present]]),
        np.concatenate([labels.difference, labels.difference_forces[present]]),
        groups,
        np.concatenate([np.arange(len(features)), frames]),
        np.concatenate([np.ones(len(features), dtype=bool), np.zeros(len(frames), dtype=bool)]),
    )
    is_energy = joint.is_energy
    weights = np.zeros(len(joint.targets))
    for rows in (is_energy, ~is_energy):
        # The other labels stay, with weight zero: the scales that the ridge is relative to are those of all.
        alone = prepare(replace(joint, weights=np.where(rows, 1.0, 0.0)))
        weights[rows] = 1.0 / _mean_square(alone, ridges, folds, rows)
    return replace(joint, weights=weights * np.mean(1.0 / weights[is_energy]))


def _mean_square(
    problem: Prepared, ridges: Sequence[float], folds: NDArray[np.int64], rows: NDArray[np.bool_]
) -> float:
    """Return the mean square error of these rows, left out, at the ridge that predicts them best."""
    residuals = (left_out_residuals(problem, (ridge,), folds)[rows] for ridge in ridges)
    return max(min(float(np.mean(values**2)) for values in residuals), float(np.finfo(float).tiny))
