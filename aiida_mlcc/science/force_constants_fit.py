"""Force constants of the difference between two methods, fitted to energies: Δ = s·E_base + ΔΦ + constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal import map_onto_crystal, shortest_distance, unwrap
from aiida_mlcc.science.force_constants import ForceConstantsModel, force_constants_term
from aiida_mlcc.science.force_constants_basis import ForceConstantsBasis, force_constants_basis, shells
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.snapshots import Snapshots

RIDGES = (1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Penalties tried, relative to the variance of the features."""

MAX_CUTOFF = 8.0
"""Longest cutoff in Å that is chosen without being asked for."""

# Random subsets of 12 … 100 CCSD(T) and HF labels of diamond: this is where the frames left out are predicted best.
_LABELS_PER_PARAMETER = 1.5
_CLEARLY_BETTER = 0.9
_RANK_TOLERANCE = 1e-9


class FitError(ValueError):
    """Labels from which nothing can be fitted."""


@dataclass(frozen=True)
class _Problem:
    """Energies per cell to be described by features; those of `scales` > 0 are held back by the ridge."""

    features: NDArray[np.float64]
    energies: NDArray[np.float64]
    scales: NDArray[np.float64]


def fit_delta(
    snapshots: Snapshots,
    primitive: Atoms,
    base_method: str,
    method: str,
    cutoff: float | None = None,
    ridge: Sequence[float] | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> tuple[ForceField, dict[str, Any]]:
    """Fit E_method − E_base = s·E_base + ½ u·ΔΦ·u + f·u + n_atoms·c to the frames that both methods label.

    ΔΦ (and f, where symmetry leaves sites some freedom) is symmetry-adapted within `cutoff`. The ridge that holds it
    back is chosen by cross-validation; s and c are free. The s is fitted on labels of `base_method` and stored as
    ``base_scale``: it acts on the base force field that the Δ is added to.

    :param cutoff: Å; by default the longest, up to 8 Å, whose force constants the training cell can tell apart with
        three labels for two of them, and at least the nearest neighbours; a longer one, of which the cell sees only
        some combinations, where it lowers the error of the frames left out by a tenth or more.
    :param ridge: penalties to choose from, relative to the variance of the features; default :data:`RIDGES`.
    :param seed: of the division into folds.
    :returns: the Δ and its errors: ``n_labels``, ``n_parameters`` (force constants, gradients and s), ``rank`` of the
        fit, ``undetermined`` (parameters minus rank: directions that the labels say nothing about and the ridge sets
        to zero), ``cutoff_angstrom``, ``ridge``, ``base_scale``; and in meV/atom ``spread_mev_atom`` (standard
        deviation of the difference), ``rmse_mev_atom`` (of the fit), ``cv_rmse_mev_atom`` (of the frames left out, at
        the chosen ridge), ``cv_rescaling_mev_atom`` (the same frames, E_base rescaled and nothing else).
    :raises FitError: where there are too few labels or no motion to learn from.
    :raises aiida_mlcc.science.crystal.CrystalError: where a frame is no supercell of `primitive`.
    """
    labelled = snapshots.select(snapshots.labelled_by(base_method, method))
    n_labels, n_atoms = labelled.n_frames, labelled.n_atoms
    if n_folds < 2 or n_labels < max(n_folds, 4):
        raise FitError(
            f'{n_labels} frames carry both {method} and {base_method} energies: {n_folds}-fold cross-validation needs '
            f'at least {max(n_folds, 4)} of them and two folds'
        )
    base = labelled.labels[base_method].energies
    delta = labelled.labels[method].energies - base
    penalties = tuple(RIDGES if ridge is None else ridge)
    if not penalties or min(penalties) < 0:
        raise FitError(f'the ridge is one or more numbers that are not negative, not {penalties}')
    folds = np.random.default_rng(seed).permutation(n_labels) % n_folds
    bases = _default_bases(primitive, labelled) if cutoff is None else [force_constants_basis(primitive, cutoff)]
    trials = [_trial(basis, labelled, base, delta, penalties, folds) for basis in bases]
    best = min(trials, key=lambda trial: trial.left_out_error)
    trial = best if best.left_out_error < _CLEARLY_BETTER * trials[0].left_out_error else trials[0]
    basis, problem, chosen = trial.basis, trial.problem, trial.penalty
    parameters, constant = _solve(problem, chosen)
    residuals = delta - constant - problem.features @ parameters
    rank = _rank(problem)

    per_atom = 1000.0 / n_atoms
    errors = {
        'n_labels': n_labels,
        'n_parameters': len(parameters),
        'rank': rank,
        'undetermined': len(parameters) - rank,
        'cutoff_angstrom': float(basis.cutoff),
        'ridge': float(chosen),
        'base_scale': float(parameters[-1]),
        'spread_mev_atom': float(np.std(delta) * per_atom),
        'rmse_mev_atom': float(np.sqrt(np.mean(residuals**2)) * per_atom),
        'cv_rmse_mev_atom': trial.left_out_error * per_atom,
        'cv_rescaling_mev_atom': _left_out_error(_rescaling(base, delta), 0.0, folds) * per_atom,
    }
    trained_on = {
        'method': method,
        'minus': base_method,
        'labels': ['energies'],
        'snapshots': labelled.content_hash(),
        'seed': seed,
        'n_folds': n_folds,
        'ridge': float(chosen),
    }
    term = force_constants_term(
        primitive,
        basis.pairs,
        basis.lattice_vectors,
        np.einsum('k,kpab->pab', parameters[: basis.n_second], basis.blocks),
        basis.cutoff,
        np.einsum('k,kia->ia', parameters[basis.n_second : -1], basis.gradients) if basis.n_first else None,
        trained_on,
    )
    constants = {symbol: float(constant / n_atoms) for symbol in sorted(set(labelled.symbols))}
    field = ForceField((term,), constants, float(parameters[-1]))
    return _with_probe(field, labelled), errors


@dataclass(frozen=True)
class _Trial:
    """A cutoff with the ridge that suits it best, and the error of the frames left out, eV per cell."""

    basis: ForceConstantsBasis
    problem: _Problem
    penalty: float
    left_out_error: float


def _trial(
    basis: ForceConstantsBasis,
    labelled: Snapshots,
    base: NDArray[np.float64],
    delta: NDArray[np.float64],
    penalties: Sequence[float],
    folds: NDArray[np.int64],
) -> _Trial:
    features = _features(basis, labelled)
    if not np.any(np.std(features, axis=0) > 0) or np.ptp(base) == 0:
        raise FitError('all labelled frames are the same structure: there is no motion to learn from')
    problem = _problem(features, base, delta, basis.n_second)
    errors = {penalty: _left_out_error(problem, penalty, folds) for penalty in penalties}
    penalty = min(errors, key=lambda penalty: errors[penalty])
    return _Trial(basis, problem, penalty, errors[penalty])


def _default_bases(primitive: Atoms, snapshots: Snapshots) -> list[ForceConstantsBasis]:
    """Return the longest cutoff whose force constants the training cell tells apart, and the longer ones of which it
    sees more combinations with every shell; for all of them, three labels for two of these."""
    site_map = map_onto_crystal(primitive, snapshots.atoms(0))
    distances = shells(primitive, MAX_CUTOFF)
    # Halfway to the next shell: no rounding decides which atoms interact.
    candidates = (distances[:-1] + distances[1:]) / 2
    bases: list[ForceConstantsBasis] = []
    seen = 0
    for cutoff in candidates if len(candidates) else [1.1 * shortest_distance(primitive)]:
        basis = force_constants_basis(primitive, float(cutoff))
        rank = basis.folded_rank(site_map)
        supported = _LABELS_PER_PARAMETER * (rank + basis.n_first + 1) <= snapshots.n_frames
        if bases and not (supported and rank > seen):
            break
        bases = [basis] if rank == basis.n_second else [*bases, basis]
        seen = rank
    return bases


def _features(basis: ForceConstantsBasis, snapshots: Snapshots) -> NDArray[np.float64]:
    """Features of every frame; the frames keep the sites of the first one of their cell, unwrapped and unshifted."""
    features = np.zeros((snapshots.n_frames, basis.n_second + basis.n_first))
    reach = 0.4 * shortest_distance(basis.primitive)
    pending = np.arange(snapshots.n_frames)
    while len(pending):
        first = pending[0]
        cell = snapshots.cells[first]
        site_map = map_onto_crystal(basis.primitive, snapshots.atoms(int(first)))
        moved = unwrap(snapshots.positions[pending] - site_map.reference_positions, cell)
        # Frames of another run may have the atoms on other sites: they wait for a map of their own.
        alike = np.abs(snapshots.cells[pending] - cell).max(axis=(1, 2)) < 1e-6
        alike &= np.linalg.norm(moved, axis=2).max(axis=1) <= reach
        alike[0] = True
        features[pending[alike]] = basis.features(site_map, moved[alike])
        pending = pending[~alike]
    return features


def _problem(
    features: NDArray[np.float64], base: NDArray[np.float64], delta: NDArray[np.float64], n_second: int
) -> _Problem:
    """Add E_base as the last feature. One scale for all Φ and one for all gradients: a rotated basis fits the same."""
    variances = np.var(features, axis=0)
    scales = np.zeros(features.shape[1] + 1)
    for group in (slice(0, n_second), slice(n_second, features.shape[1])):
        if len(variances[group]):
            scales[group] = np.sqrt(np.mean(variances[group]))
    return _Problem(np.column_stack([features, base]), delta, scales)


def _rescaling(base: NDArray[np.float64], delta: NDArray[np.float64]) -> _Problem:
    return _Problem(base[:, None], delta, np.zeros(1))


def _solve(problem: _Problem, ridge: float, rows: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.float64], float]:
    """Return the parameters and the constant, by singular values: directions without information stay zero."""
    chosen = np.ones(len(problem.energies), dtype=bool) if rows is None else rows
    features, energies = problem.features[chosen], problem.energies[chosen]
    centre, mean = features.mean(axis=0), energies.mean()
    units = _units(problem)
    penalty = np.diag(np.sqrt(ridge * len(energies)) * (problem.scales > 0))
    matrix = np.concatenate([(features - centre) / units, penalty])
    target = np.concatenate([energies - mean, np.zeros(len(units))])
    parameters = np.linalg.lstsq(matrix, target, rcond=_RANK_TOLERANCE)[0] / units
    return parameters, float(mean - centre @ parameters)


def _left_out_error(problem: _Problem, ridge: float, folds: NDArray[np.int64]) -> float:
    """Root mean square error in eV per cell of each fold, predicted from the others."""
    residuals = np.zeros(len(problem.energies))
    for fold in np.unique(folds):
        out = folds == fold
        parameters, constant = _solve(problem, ridge, ~out)
        residuals[out] = problem.energies[out] - constant - problem.features[out] @ parameters
    return float(np.sqrt(np.mean(residuals**2)))


def _rank(problem: _Problem) -> int:
    features = (problem.features - problem.features.mean(axis=0)) / _units(problem)
    values = np.linalg.svd(features, compute_uv=False)
    return int(np.sum(values > _RANK_TOLERANCE * values[0]))


def _units(problem: _Problem) -> NDArray[np.float64]:
    """The scale of each feature: that of its group, or its own spread where the ridge leaves it alone."""
    return np.where(problem.scales > 0, problem.scales, np.std(problem.features, axis=0))


def _with_probe(field: ForceField, snapshots: Snapshots) -> ForceField:
    atoms = snapshots.atoms(0)
    energy = ForceConstantsModel(field.terms[0]).bind(atoms).energy_forces(atoms.positions)[0]
    probe = {
        'symbols': list(snapshots.symbols),
        'cell': atoms.cell.array.tolist(),
        'positions': atoms.positions.tolist(),
        'energy': energy + field.constant_of(snapshots.symbols),
    }
    return ForceField(field.terms, field.constants, field.base_scale, probe)
