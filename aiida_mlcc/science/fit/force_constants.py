"""Force constants of the difference between two methods: Δ = s·E_base + force constants + constant, fitted to labels.

The evidence of the labels chooses the ridge and the force constants that are needed; cross-validation, with frames
drawn at random and with stretches of the trajectory, judges the result. Energies of cheaper methods on more frames
help: E_HF − E_base and E_MP2 − E_base enter as covariates with coefficients of their own, and the force constants of
these differences are fitted to all the frames that they label.

The dipole–dipole energy of a polar crystal is one more column without ridge, where the evidence speaks for it. Its
energies are long-ranged, so force constants that reach beyond what the cell resolves would imitate it: beside it the
second order has the longest cutoff that the cell resolves in full.

Frozen phonons take that cutoff with and without dipoles. Those in two amplitudes are extrapolated to zero amplitude:
each has terms of higher order of its own, which the force field leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import CrystalError
from aiida_mlcc.science.fit.delta import DeltaFit, FitError, FitInput, with_probe
from aiida_mlcc.science.fit.delta_choice import Choice, Labels, best_choice
from aiida_mlcc.science.fit.delta_features import candidate_bases, frames_with_forces, stated_noise
from aiida_mlcc.science.fit.delta_judge import HELD, Judgement, judged
from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.fit.displacement_amplitudes import scatter_at_rest
from aiida_mlcc.science.fit.fit_errors import FitErrors, SuspiciousEnergy
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel, harmonic_model
from aiida_mlcc.science.fit.label_evidence import suspicious_labels, undetermined_modes
from aiida_mlcc.science.fit.long_range import LongRange, otherwise_fitted
from aiida_mlcc.science.fit.mapped_frames import mapped_frames
from aiida_mlcc.science.fit.parameter_spread import (
    further_noise,
    label_noise,
    sampled_deviations,
    unknown_orders,
)
from aiida_mlcc.science.fit.potential_basis import PotentialBasis, in_common
from aiida_mlcc.science.fit.ridge import (
    FEWEST_LABELS,
    FOLDS_HELP,
    Prepared,
    Problem,
    blocked_folds,
    draws,
    left_out_error,
    left_out_residuals,
    prepare,
    random_folds,
    uncertainty,
)
from aiida_mlcc.science.force_field import ForceField, Term, TrainedOn
from aiida_mlcc.science.force_field.dipole import DipoleModel
from aiida_mlcc.science.labels.snapshots import Snapshots, SnapshotsError
from aiida_mlcc.science.settings import Settings, positive_numbers, setting

CHEAPER = ('HF', 'MP2')
"""Methods whose energies serve as covariates of costlier ones."""

_MORE_FRAMES = 1.5


@dataclass(frozen=True)
class ForceConstants(Settings):
    """How force constants are fitted."""

    TITLE = 'force-constants'

    cutoff: float | None = setting(
        'Of the second order; null for the longest whose force constants the training cell tells apart, or a longer '
        'one if the evidence of the labels supports it.',
        default=None,
        above=0,
        unit='Å',
        required=False,
    )
    anharmonic: bool = setting(
        'Whether force constants of third and fourth order between near neighbours are tried too.', default=True
    )
    ridge: list[float] = setting(
        'Penalties to choose from, relative to the variance of the features.',
        default=[1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0],
        check=positive_numbers,
    )
    n_folds: int = setting(FOLDS_HELP, default=10, at_least=2)
    covariates: bool = setting(
        'Whether HF and MP2 energies serve as covariates where they label half as many frames again.', default=True
    )
    n_samples: int = setting('How many other Δ to draw that the labels allow too.', default=100, at_least=2)
    leave_out_suspicious: bool = setting(
        'Whether energies that all others contradict are left out, and the Δ is fitted again without them.',
        default=False,
        required=False,
    )


def fitter(given: FitInput) -> Callable[[str], DeltaFit]:
    """Return what fits the Δ of a method, see :func:`fit_delta`."""
    if given.primitive is None:
        raise FitError('force constants need the primitive cell of the crystal')
    return partial(
        fit_delta,
        given.snapshots,
        given.primitive,
        given.base_method,
        seed=given.seed,
        dipole=given.dipole,
        harmonic=_harmonic(given),
        **asdict(given.settings),
    )


def _harmonic(given: FitInput) -> HarmonicModel | None:
    """Return the harmonic base, if its labels have forces to tell."""
    assert given.primitive is not None
    try:
        return harmonic_model(given.snapshots, given.primitive, given.base_method)
    except (SnapshotsError, CrystalError):
        return None


@dataclass(frozen=True)
class _Settings:
    choices: tuple[float, ...]
    n_folds: int
    n_samples: int
    seed: int


@dataclass(frozen=True)
class _Solution:
    """A Δ as a force field has it, covariates folded in: force constants, dipoles and, last, the scale s of the base.

    :param problem: what was solved, with the covariates as features of their own.
    :param higher_orders: energies of frozen phonons that no force constants have, eV per cell, shape (n_frames,).
    :param n_extrapolated: how many parameters they have.
    """

    basis: PotentialBasis
    labelled: Snapshots
    problem: Prepared
    ridges: tuple[float, ...]
    parameters: NDArray[np.float64]
    constant: float
    coefficients: dict[str, float]
    sampled: NDArray[np.float64]
    noise_sampled: NDArray[np.float64]
    sampling: str
    label_noise: float
    higher_orders: NDArray[np.float64]
    n_extrapolated: int

    @property
    def scale(self) -> float:
        return float(self.parameters[-1])


def fit_delta(
    snapshots: Snapshots,
    primitive: Atoms,
    base_method: str,
    method: str,
    *,
    seed: int = 0,
    dipole: DipoleModel | None = None,
    harmonic: HarmonicModel | None = None,
    **settings: Any,
) -> DeltaFit:
    """Fit E_method − E_base to the frames that both methods label, and to their forces where both have them.

    The force constants are symmetry-adapted; s is fitted on labels of `base_method` and stored as ``base_scale``: it
    acts on the base force field that the Δ is added to.

    :param snapshots: with labels of both methods, of supercells of `primitive`.
    :param primitive: the primitive cell of the crystal, in the orientation of the snapshots.
    :param base_method: the DFT method of the base; `method`, that of the Δ.
    :param seed: of the random folds and of the draws of other Δ.
    :param dipole: the dipole–dipole energy that the base holds as a term, see
        :func:`~aiida_mlcc.science.fit.dipole.dipole_beside`.
    :param harmonic: the base near the sites, whose modes are judged by what the labels say of them.
    :param settings: of :class:`ForceConstants`, by name; those that are not given have their defaults.
    :returns: the Δ; ``samples``; and ``errors``: ``n_labels``, ``labels`` (what was fitted: energies, forces),
        ``n_parameters``, ``rank`` of the fit, ``undetermined`` (directions that the ridge alone sets),
        ``cutoff_angstrom``, ``third_order_cutoff_angstrom``, ``fourth_order`` (whether there
        is one), ``n_extrapolated`` (parameters of frozen phonons that are extrapolated to zero amplitude), ``ridge``
        (one for each order, the last one that of these), ``base_scale``,
        ``covariates`` (method → coefficient), ``sampling`` (``bootstrap`` over snapshots, or draws from the
        ``posterior`` where labels are few); ``judged_by``, ``worth_it``, ``rescaled_only``,
        ``predicted_rmse_mev_atom``, ``predicted_rescaling_mev_atom``, see
        :func:`~aiida_mlcc.science.fit.delta_judge.judged`, with a ``remark`` where Δ is not worth it, and
        ``evidence_gain``; in meV/atom ``spread_mev_atom`` (standard deviation of the difference), ``rmse_mev_atom``,
        ``cv_rmse_mev_atom`` and ``blocked_cv_rmse_mev_atom`` (frames left out; covariates, if any,
        are known there), ``cv_rescaling_mev_atom`` (E_base rescaled and nothing else); ``label_noise_mev_cell``, the
        standard error that the labels state, or else what is left over of the coldest frames;
        ``suspicious_labels``, frames whose energy its own fit puts far off, and whether they were ``left_out``; with a
        `harmonic` base, where there are force constants,
        ``undetermined_modes``, of which the labels say little, see
        :func:`~aiida_mlcc.science.fit.label_evidence.undetermined_modes`; with a `dipole` ``long_range``,
        see :class:`~aiida_mlcc.science.fit.long_range.LongRange`.
    :raises aiida_mlcc.science.settings.SettingsError: for a setting that is unknown or not allowed.
    :raises FitError: where there are too few labels or no motion to learn from.
    :raises aiida_mlcc.science.crystal.cells.CrystalError: where a frame is not a supercell of `primitive`.
    """
    given = ForceConstants.of({**ForceConstants.defaults(), **settings})
    cutoff = given.cutoff
    labelled = _labelled(snapshots, base_method, method)
    n_folds = min(given.n_folds, labelled.n_frames)
    chosen = _Settings(tuple(given.ridge), n_folds, given.n_samples, seed)
    cheaper = _cheaper(snapshots, base_method, method, labelled) if given.covariates else []
    own = Labels(method, base_method, labelled, mapped_frames(labelled, primitive), cheaper)
    n_free = 2 + len(cheaper)
    n_labels = labelled.n_frames
    if not cheaper:
        pulled = frames_with_forces(labelled.labels[base_method], labelled.labels[method])
        n_labels += 3 * labelled.n_atoms * len(pulled)
    bases = candidate_bases(primitive, own.frames, n_labels, cutoff, given.anharmonic)
    if cutoff is not None and bases[0].n_parameters + n_free > n_labels:
        raise FitError(
            f'{n_labels} labels of {method} for {bases[0].n_parameters + n_free} parameters within '
            f'{cutoff:g} Å: at least {bases[0].n_parameters + n_free} labels are needed, or a shorter cutoff'
        )
    choice = best_choice(bases, dipole, own, chosen.choices)
    judgement = judged(choice, own.frames, n_folds)
    if judgement.is_rescaling:
        choice = replace(choice, ridges=(HELD,) * len(choice.ridges), spread_ridges=choice.ridges)
    below: dict[str, tuple[Labels, Choice]] = {}
    for name in cheaper:
        more = _labelled(snapshots, base_method, name)
        theirs = Labels(name, base_method, more, mapped_frames(more, primitive))
        # Their many labels may speak for a third order of which the few of the other method say nothing.
        alike = [basis for basis in bases if basis.second is choice.basis.second]
        far = dipole if choice.basis.second is bases[0].second else None
        below[name] = theirs, best_choice(alike, far, theirs, chosen.choices)
    solutions = {name: _fold_in(one, theirs, {}, chosen) for name, (theirs, one) in below.items()}
    solution = _fold_in(choice, own, solutions, chosen)
    errors: FitErrors = {**_errors(solution, base_method, method, chosen), **_told(judgement, labelled.n_atoms)}
    there = snapshots.labelled_by(base_method, method)
    suspicious: list[SuspiciousEnergy] = [
        {'frame': int(there[label.frame]), 'residual_ev': label.residual_ev, 'deviations': label.deviations}
        for label in suspicious_labels(solution.problem, solution.ridges, choice.basis.n_parameters)
    ]
    errors['suspicious_labels'] = suspicious
    if given.leave_out_suspicious and suspicious:
        kept = snapshots.without_energies(method, [entry['frame'] for entry in suspicious])
        again = {**settings, 'leave_out_suspicious': False}
        fit = fit_delta(kept, primitive, base_method, method, seed=seed, dipole=dipole, harmonic=harmonic, **again)
        left_out: list[SuspiciousEnergy] = [{**entry, 'left_out': True} for entry in suspicious]
        named = [*left_out, *fit.errors['suspicious_labels']]
        return replace(fit, errors={**fit.errors, 'suspicious_labels': named})
    if harmonic is not None and not judgement.is_rescaling:
        errors['undetermined_modes'] = undetermined_modes(
            solution.problem,
            solution.ridges,
            choice.basis.second,
            harmonic.modes(),
            harmonic.site_map,
            choice.basis.n_parameters,
        )
    if dipole is not None:
        long_range = _long_range(solution, choice, own, list(below.values()), dipole, chosen)
        errors['long_range'] = long_range.describe(dipole)
    trained_on: TrainedOn = {
        'method': method,
        'minus': base_method,
        'labels': errors['labels'],
        'covariates': solution.coefficients,
        'snapshots': labelled.content_hash(),
        'seed': seed,
        'n_folds': n_folds,
        'ridge': list(solution.ridges),
    }
    terms: tuple[Term, ...] = (solution.basis.term(solution.parameters[:-1], trained_on),)
    if dipole is not None:
        terms += long_range.term(dipole, trained_on)
    constants = {symbol: solution.constant / labelled.n_atoms for symbol in sorted(set(labelled.symbols))}
    field = with_probe(ForceField(terms, constants, solution.scale, method=method), labelled)
    samples = DeltaSamples.of(solution.basis, solution.parameters, solution.sampled, solution.noise_sampled)
    if dipole is not None:
        samples = samples.beside(dipole, own.frames[0].site_map, long_range.systematic)
    return DeltaFit(field, errors, samples)


def _told(judgement: Judgement, n_atoms: int) -> FitErrors:
    """Return what the errors say of whether Δ is worth having."""
    per_atom = 1000.0 / n_atoms
    error = None if judgement.error is None else per_atom * judgement.error
    rescaling = None if judgement.rescaling is None else per_atom * judgement.rescaling
    found: FitErrors = {
        'judged_by': judgement.judged_by,
        'worth_it': judgement.is_worth_it,
        'rescaled_only': judgement.is_rescaling,
        'evidence_gain': judgement.gain,
        'predicted_rmse_mev_atom': error,
        'predicted_rescaling_mev_atom': rescaling,
    }
    if judgement.is_rescaling:
        found['remark'] = 'the energies support no force constants of their own: Δ only rescales what is known already'
    elif judgement.is_worth_it is False:
        found['remark'] = (
            f'Δ predicts energies that it has not seen ({judgement.judged_by}) to '
            f'{error:.3g} meV/atom, no better than the rescaled energy of the base to '
            f'{rescaling:.3g}: label more structures'
        )
    return found


def _labelled(snapshots: Snapshots, base_method: str, method: str) -> Snapshots:
    labelled = snapshots.select(snapshots.labelled_by(base_method, method))
    if labelled.n_frames < FEWEST_LABELS:
        raise FitError(
            f'{labelled.n_frames} frames carry both {method} and {base_method} energies: Δ needs at least '
            f'{FEWEST_LABELS} of them'
        )
    if np.ptp(labelled.labels[base_method].energies) == 0:
        raise FitError('all labelled frames are the same structure: there is no motion to learn from')
    return labelled


def _cheaper(snapshots: Snapshots, base_method: str, method: str, labelled: Snapshots) -> list[str]:
    """Return the cheaper methods that label every frame of `labelled` and many more."""
    if method in CHEAPER:
        return []
    there = [name for name in CHEAPER if name in snapshots.labels and labelled.labels[name].labelled.all()]
    enough = _MORE_FRAMES * labelled.n_frames
    return [name for name in there if len(snapshots.labelled_by(base_method, name)) >= enough]


def _fold_in(choice: Choice, labels: Labels, below: Mapping[str, _Solution], settings: _Settings) -> _Solution:
    """Solve, and replace each covariate by its own force constants: a force field knows positions only."""
    basis, problem, ridges = choice.basis, choice.problem, choice.ridges
    n = basis.n_parameters
    exact, constant = problem.solve(ridges)
    amplitudes = problem.problem.features[problem.problem.is_energy, len(exact) - choice.n_amplitudes :]
    coefficients = {name: float(exact[n + 1 + number]) for number, name in enumerate(below)}
    deviations, sampling = sampled_deviations(
        problem, choice.ridges_of_spread, settings.choices, settings.n_samples, settings.seed
    )
    if choice.spread_ridges is not None:
        # What is held at zero for want of evidence may still be what its fit says: that is part of what is not known.
        held_back = problem.solve(choice.spread_ridges)[0] - exact
        shares = np.random.default_rng([settings.seed, 3]).normal(size=len(deviations))
        deviations = deviations + shares[:, None] * held_back
    if choice.n_amplitudes:
        wrong = unknown_orders(labels.frames, problem, ridges)
        shares = np.random.default_rng([settings.seed, 5]).normal(size=(len(deviations), len(wrong)))
        deviations = deviations + shares @ wrong
    known = labels.snapshots.labels
    stated = stated_noise(known[labels.base_method], known[labels.method])
    beyond = [stated or 0.0]
    if choice.n_amplitudes:
        # The noise that the crystal at rest shows: a fit with as many parameters as labels leaves nothing of them.
        beyond += [scatter_at_rest(labels.frames, known[name].energies) for name in (labels.base_method, labels.method)]
    if max(beyond) > 0:
        deviations = deviations + further_noise(
            max(beyond), problem, choice.ridges_of_spread, settings.n_samples, settings.seed
        )
    noise = label_noise(problem, ridges, n) if stated is None else stated
    shaken = draws(
        uncertainty(problem, choice.ridges_of_spread).response * noise**2, settings.n_samples, [settings.seed, 2]
    )
    whole = in_common([basis, *(solution.basis for solution in below.values())])
    own = exact[: n + 1]
    parameters = _widened(own, basis, whole)
    sampled = _widened(own + deviations[:, : n + 1], basis, whole)
    noise_sampled = _widened(own + shaken[:, : n + 1], basis, whole)
    for number, (name, solution) in enumerate(below.items()):
        column, theirs = n + 1 + number, _widened(solution.parameters, solution.basis, whole)
        parameters = parameters + coefficients[name] * theirs
        constant += coefficients[name] * solution.constant
        factors = coefficients[name] + deviations[:, column, None]
        sampled = sampled + factors * _widened(solution.sampled, solution.basis, whole)
        noise_sampled = noise_sampled + (coefficients[name] + shaken[:, column, None]) * theirs
    return _Solution(
        whole,
        labels.snapshots,
        problem,
        ridges,
        parameters,
        constant,
        coefficients,
        sampled,
        noise_sampled,
        sampling,
        noise,
        amplitudes @ exact[len(exact) - choice.n_amplitudes :],
        choice.n_amplitudes,
    )


def _long_range(
    solution: _Solution,
    choice: Choice,
    own: Labels,
    below: Sequence[tuple[Labels, Choice]],
    dipole: DipoleModel,
    settings: _Settings,
) -> LongRange:
    """Return the weight of the dipole–dipole energy, and how it depends on the snapshots and on how it is fitted."""
    fitted = solution.basis.dipole is not None

    def weight(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1.0 + parameters[..., -1] + (parameters[..., -2] if fitted else 0.0))

    return LongRange.of(
        float(weight(solution.parameters)),
        weight(solution.sampled),
        otherwise_fitted(choice, own, below, dipole, settings.choices) if fitted else (),
        float(solution.parameters[-2]) if fitted else None,
        choice.evidence,
    )


def _widened(parameters: NDArray[np.float64], basis: PotentialBasis, whole: PotentialBasis) -> NDArray[np.float64]:
    """Return parameters, the scale of the base last, in a basis that may have orders more."""
    return np.concatenate([basis.widened(parameters[..., :-1], whole), parameters[..., -1:]], axis=-1)


def _errors(solution: _Solution, base_method: str, method: str, settings: _Settings) -> FitErrors:
    labelled, problem = solution.labelled, solution.problem
    content, n_frames = problem.problem, labelled.n_frames
    base, per_atom = labelled.labels[base_method].energies, 1000.0 / labelled.n_atoms
    difference = labelled.labels[method].energies - base
    features = solution.basis.features(mapped_frames(labelled, solution.basis.second.primitive), n_frames)
    left = difference - np.column_stack([features, base]) @ solution.parameters - solution.constant
    left -= solution.higher_orders
    random, blocked = random_folds(n_frames, settings.n_folds, settings.seed), blocked_folds(n_frames, settings.n_folds)
    rescaling = prepare(Problem(base[:, None], difference, np.zeros(1, dtype=np.int64)))
    third = solution.basis.third
    rank = problem.rank

    def left_out(folds: NDArray[np.int64]) -> float:
        energies = left_out_residuals(problem, solution.ridges, folds)[content.is_energy]
        return float(np.sqrt(np.mean(energies**2)) * per_atom)

    return {
        'n_labels': n_frames,
        'labels': ['energies'] if content.is_energy.all() else ['energies', 'forces'],
        'n_parameters': content.features.shape[1],
        'rank': rank,
        'undetermined': content.features.shape[1] - rank,
        'cutoff_angstrom': float(solution.basis.second.cutoff),
        'third_order_cutoff_angstrom': None if third is None else float(third.cutoff),
        'fourth_order': solution.basis.fourth is not None,
        'n_extrapolated': solution.n_extrapolated,
        'ridge': list(solution.ridges),
        'base_scale': solution.scale,
        'covariates': solution.coefficients,
        'sampling': solution.sampling,
        'spread_mev_atom': float(np.std(difference) * per_atom),
        'rmse_mev_atom': float(np.sqrt(np.mean(left**2)) * per_atom),
        'cv_rmse_mev_atom': left_out(random),
        'blocked_cv_rmse_mev_atom': left_out(blocked),
        'cv_rescaling_mev_atom': left_out_error(rescaling, (), random) * per_atom,
        'label_noise_mev_cell': 1000.0 * solution.label_noise,
    }
