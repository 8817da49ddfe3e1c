"""Ridge regression of energies, and of forces where there are any: solution, evidence, cross-validation, errors.

Everything is done in whole frames: the energy of a frame and the forces of the same frame are left out, drawn and
weighted together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

_RANK_TOLERANCE = 1e-9
_FREE = 0
_LEAST = 1e-30
_NEGLIGIBLE = 1e-14
_SWEEPS = 5
_SEEN = 1e-10


class RidgeError(ValueError):
    """A regression that has no solution, as a sentence."""


@dataclass(frozen=True)
class Problem:
    """What is to be described, y ≈ X·θ + c, row by row; the constant c belongs to energies alone.

    :param features: X, shape (n_rows, n_parameters).
    :param targets: y, shape (n_rows,).
    :param groups: one number a parameter, shape (n_parameters,): 0 for those that no ridge holds back, 1, 2, … for
        those that share a ridge and a scale, so that a rotated basis within a group gives the same fit.
    :param frames: the frame that each row belongs to, numbered from 0, shape (n_rows,); by default a frame a row.
    :param energies: whether a row is an energy, shape (n_rows,); all of them by default. The others are forces.
    :param weights: of the squared residuals, shape (n_rows,); equal by default.
    """

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    groups: NDArray[np.int64]
    frames: NDArray[np.int64] | None = None
    energies: NDArray[np.bool_] | None = None
    weights: NDArray[np.float64] | None = None

    @property
    def frame_of_row(self) -> NDArray[np.int64]:
        """The frame of each row, shape (n_rows,)."""
        return np.arange(len(self.targets)) if self.frames is None else self.frames

    @property
    def is_energy(self) -> NDArray[np.bool_]:
        """Which rows are energies, shape (n_rows,)."""
        return np.ones(len(self.targets), dtype=bool) if self.energies is None else self.energies

    @property
    def n_frames(self) -> int:
        """How many frames there are."""
        return int(self.frame_of_row.max()) + 1

    @property
    def n_groups(self) -> int:
        """How many ridges there are to choose."""
        return int(self.groups.max(initial=_FREE))

    @property
    def units(self) -> NDArray[np.float64]:
        """The scale of each feature over the energies, or forces alone: that of its group, its own where it is free."""
        energies = self.features[self.is_energy]
        variances = np.var(energies, axis=0) if len(energies) else np.mean(self.features**2, axis=0)
        return group_units(variances, self.groups)


def group_units(variances: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the scale of each feature: that of its group, its own where it is free, shape (n_parameters,)."""
    units = np.sqrt(variances)
    for group in np.unique(groups[groups != _FREE]):
        members = groups == group
        units[members] = np.sqrt(np.mean(variances[members]))
    # Features that symmetry makes zero are so up to rounding; scaled up, rounding would be taken for information.
    return np.where(units > _NEGLIGIBLE, units, 1.0)


def ridge_solution(rows: NDArray[np.float64], strengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scaled solution of [X | y], by singular values: directions without information stay zero.

    :param strengths: the penalty of each of the first parameters; the others, such as a constant, have none.
    """
    n_held = len(strengths)
    matrix = np.zeros((len(rows) + n_held, rows.shape[1] - 1))
    matrix[: len(rows)], matrix[len(rows) :, :n_held] = rows[:, :-1], np.diag(np.sqrt(strengths))
    found = np.linalg.lstsq(matrix, np.append(rows[:, -1], np.zeros(n_held)), rcond=_RANK_TOLERANCE)[0]
    return np.asarray(found)


def rank_of(rows: NDArray[np.float64]) -> int:
    """Return how many directions the rows tell apart."""
    values = np.linalg.svd(rows, compute_uv=False)
    return int(np.sum(values > _RANK_TOLERANCE * values[0]))


@dataclass(frozen=True)
class Prepared:
    """A problem with each frame's rows reduced to as few as say the same (QR), in scaled parameters, the constant last.

    :param blocks: per frame the rows [X, intercept | y], weighted.
    """

    problem: Problem
    units: NDArray[np.float64]
    centre: NDArray[np.float64]
    mean: float
    blocks: tuple[NDArray[np.float64], ...]

    def solve(
        self, ridges: Sequence[float], counts: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float64], float]:
        """Return θ and c, by singular values: directions without information stay zero.

        :param ridges: one for each group, relative to the variance of its features.
        :param counts: how often each frame counts, shape (n_frames,); once each by default.
        """
        copies = np.ones(self.problem.n_frames) if counts is None else counts
        rows = np.concatenate([np.sqrt(n) * b for n, b in zip(copies, self.blocks, strict=True) if n > 0])
        return self.solve_rows(rows, ridges, float(copies.sum()))

    def solve_rows(
        self, rows: NDArray[np.float64], ridges: Sequence[float], n_frames: float
    ) -> tuple[NDArray[np.float64], float]:
        """Return θ and c of some of the rows, which stand for `n_frames` frames."""
        strengths = np.array([0.0, *ridges])[self.problem.groups]
        solution = ridge_solution(rows, strengths * n_frames)
        parameters = solution[:-1] / self.units
        return parameters, float(self.mean + solution[-1] - self.centre @ parameters)

    def without(self, folds: NDArray[np.int64]) -> dict[int, tuple[NDArray[np.float64], int]]:
        """Return for each fold the rows of all others, reduced, and how many frames they stand for."""
        found = {}
        for fold in np.unique(folds).tolist():
            rows = np.concatenate([b for b, own in zip(self.blocks, folds, strict=True) if own != fold])
            found[fold] = reduced(rows), int((folds != fold).sum())
        return found

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """Squares and products of all rows' columns: features, constant, targets."""
        rows = np.concatenate(self.blocks)
        return np.asarray(rows.T @ rows)

    @cached_property
    def moments(self) -> NDArray[np.float64]:
        """Products of the targets with the columns of the unknowns: features, and a constant beside energies."""
        size = len(self.units) + int(self.problem.is_energy.any())
        return np.asarray(self.gram[:size, -1])

    @property
    def n_free(self) -> int:
        """How many unknowns no ridge holds back, the constant among them."""
        return int(np.sum(self.problem.groups == _FREE)) + len(self.moments) - len(self.units)

    @cached_property
    def seen(self) -> NDArray[np.float64]:
        """Directions of the unknowns that the rows say anything of, as columns."""
        size = len(self.moments)
        values, vectors = np.linalg.eigh(self.gram[:size, :size])
        return np.asarray(vectors[:, values > _SEEN * values[-1]])

    @property
    def rank(self) -> int:
        """How many parameters the rows tell apart, the constant apart."""
        return rank_of(np.concatenate(self.blocks)[:, :-1]) - int(self.problem.is_energy.any())


def prepare(problem: Problem) -> Prepared:
    """Centre, scale and reduce a problem, to be solved many times.

    :raises RidgeError: where energies, features or weights are not finite.
    """
    if not (np.isfinite(problem.features).all() and np.isfinite(problem.targets).all()):
        raise RidgeError('features or labels of the fit hold NaN or infinity')
    is_energy, frame_of_row = problem.is_energy, problem.frame_of_row
    centre = problem.features[is_energy].mean(axis=0) if is_energy.any() else np.zeros(problem.features.shape[1])
    mean = float(problem.targets[is_energy].mean()) if is_energy.any() else 0.0
    units = problem.units
    weights = np.ones(len(problem.targets)) if problem.weights is None else problem.weights
    rows = np.column_stack(
        [
            (problem.features - np.where(is_energy[:, None], centre, 0.0)) / units,
            is_energy.astype(float),
            problem.targets - np.where(is_energy, mean, 0.0),
        ]
    )
    rows *= np.sqrt(weights)[:, None]
    blocks = []
    for frame in range(problem.n_frames):
        block = rows[frame_of_row == frame]
        blocks.append(reduced(block))
    return Prepared(problem, units, centre, mean, tuple(blocks))


def reduced(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return as few rows with the same squares and products (QR)."""
    return np.asarray(np.linalg.qr(rows, mode='r')) if len(rows) > rows.shape[1] else rows


FEWEST_LABELS = 4
"""Of a Δ: with three, those left when one is held out determine a scale and a constant, and no force constant."""

FOLDS_HELP = 'Folds of the cross-validation, random and blocked. With fewer labels, each is left out on its own.'


def random_folds(n_frames: int, n_folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each frame, frames drawn at random, shape (n_frames,)."""
    return np.random.default_rng(seed).permutation(n_frames) % n_folds


def blocked_folds(n_frames: int, n_folds: int) -> NDArray[np.int64]:
    """Return the fold of each frame, contiguous stretches of a trajectory: neighbours in time are left out together."""
    return np.arange(n_frames) * n_folds // max(n_frames, 1)


def left_out_residuals(problem: Prepared, ridges: Sequence[float], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return y − X·θ − c of every row, its frame's fold predicted from the others, unweighted, shape (n_rows,)."""
    return _left_out_residuals(problem, ridges, folds, problem.without(folds))


def _left_out_residuals(
    problem: Prepared,
    ridges: Sequence[float],
    folds: NDArray[np.int64],
    others: Mapping[int, tuple[NDArray[np.float64], int]],
) -> NDArray[np.float64]:
    content = problem.problem
    residuals = np.zeros(len(content.targets))
    fold_of_row = folds[content.frame_of_row]
    for fold, (rows, n_frames) in others.items():
        parameters, constant = problem.solve_rows(rows, ridges, n_frames)
        out = fold_of_row == fold
        residuals[out] = content.targets[out] - content.features[out] @ parameters - constant * content.is_energy[out]
    return residuals


def root_mean_square(problem: Problem, residuals: NDArray[np.float64]) -> float:
    """Return that of the energies (eV per cell), or of the forces (eV/Å) where there are no energies, weighted."""
    chosen = problem.is_energy if problem.is_energy.any() else np.ones(len(residuals), dtype=bool)
    weights = None if problem.weights is None else problem.weights[chosen]
    return float(np.sqrt(np.average(residuals[chosen] ** 2, weights=weights)))


def left_out_error(problem: Prepared, ridges: Sequence[float], folds: NDArray[np.int64]) -> float:
    """Return the root mean square error of the frames left out, as :func:`root_mean_square`."""
    return root_mean_square(problem.problem, left_out_residuals(problem, ridges, folds))


def choose_ridges(
    problem: Prepared, choices: Sequence[float], folds: NDArray[np.int64]
) -> tuple[tuple[float, ...], float]:
    """Return the ridges, one a group, with the smallest error of the frames left out, and that error (eV per cell).

    :raises RidgeError: for choices that are none, or negative.
    """
    others = problem.without(folds)
    errors = {
        ridges: root_mean_square(problem.problem, _left_out_residuals(problem, ridges, folds, others))
        for ridges in ridge_combinations(choices, problem.problem.n_groups)
    }
    best = min(errors, key=lambda ridges: errors[ridges])
    return best, errors[best]


def evidence(problem: Prepared, ridges: Sequence[float]) -> float:
    """Return the logarithm of the restricted likelihood of the rows, up to a constant that all models share.

    A ridge is a prior: parameters of a group scatter about zero. What is left when all parameters are integrated over,
    those without ridge with a flat prior, tells which ridge, and which of several sets of features, the labels speak
    for; unlike cross-validation it does so with as many labels as parameters (Patterson and Thompson, Biometrika 58,
    545, 1971). Only models with the same free parameters can be compared.
    """
    return float(evidences(problem, [ridges])[0])


def evidences(problem: Prepared, choices: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return the :func:`evidence` of each choice of the ridges, shape (n_choices,)."""
    normal, moments = _normal(problem, choices), problem.moments
    try:
        solutions = np.linalg.solve(normal, moments[:, None])[..., 0]
    except np.linalg.LinAlgError:
        # A column of zeros that no ridge holds back.
        solutions = np.array([np.linalg.lstsq(one, moments, rcond=_RANK_TOLERANCE**2)[0] for one in normal])
    residuals = problem.gram[-1, -1] - solutions @ moments
    held = problem.problem.groups[problem.problem.groups > _FREE]
    strengths = np.array([[0.0, *ridges] for ridges in choices])[:, held] * problem.problem.n_frames
    # A scale that the free columns share with every other model drops out.
    logarithms = np.linalg.slogdet(normal)[1] - np.sum(np.log(strengths), axis=1)
    degrees = len(problem.problem.targets) - problem.n_free
    return np.asarray(-0.5 * (degrees * np.log(np.maximum(residuals, _LEAST) / degrees) + logarithms))


def choose_by_evidence(problem: Prepared, choices: Sequence[float]) -> tuple[tuple[float, ...], float]:
    """Return the ridges, one a group, that the labels speak for most, and their :func:`evidence`.

    One ridge after the other is varied until none changes.

    :raises RidgeError: for choices that are none, or not positive.
    """
    if not len(choices) or min(choices) <= 0:
        raise RidgeError(f'the ridge is one or more positive numbers, not {tuple(choices)}')
    best = (float(sorted(choices)[len(choices) // 2]),) * problem.problem.n_groups
    highest = evidence(problem, best)
    for _ in range(_SWEEPS):
        before = best
        for group in range(len(best)):
            options = _varied(best, group, choices)
            for tried, found in zip(options, evidences(problem, options).tolist(), strict=True):
                if tried != best and found > highest:
                    best, highest = tried, found
        if best == before:
            break
    return best, highest


def _varied(ridges: tuple[float, ...], group: int, choices: Sequence[float]) -> list[tuple[float, ...]]:
    """Return the ridges with each choice for one of the groups."""
    return [(*ridges[:group], float(choice), *ridges[group + 1 :]) for choice in choices]


def ridge_combinations(choices: Sequence[float], n_groups: int) -> Iterator[tuple[float, ...]]:
    """Give every choice of one ridge for each group.

    :raises RidgeError: for choices that are none, or negative.
    """
    if not len(choices) or min(choices) < 0:
        raise RidgeError(f'the ridge is one or more numbers that are not negative, not {tuple(choices)}')
    yield from product(tuple(float(choice) for choice in choices), repeat=n_groups)


def normal_equations(problem: Prepared, ridges: Sequence[float]) -> tuple[NDArray[np.float64], float, int, int]:
    """Return XᵀX + Λ of the scaled parameters and the constant, the penalised sum of squares, rows, free parameters."""
    (normal,), moments = _normal(problem, [ridges]), problem.moments
    solution = np.linalg.lstsq(normal, moments, rcond=_RANK_TOLERANCE**2)[0]
    return normal, float(problem.gram[-1, -1] - moments @ solution), len(problem.problem.targets), problem.n_free


def _normal(problem: Prepared, choices: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return XᵀX + Λ with each choice of the ridges, shape (n_choices, n, n)."""
    content, size = problem.problem, len(problem.moments)
    normal = np.repeat(problem.gram[None, :size, :size], len(choices), axis=0)
    held = np.arange(len(problem.units))
    normal[:, held, held] += np.array([[0.0, *ridges] for ridges in choices])[:, content.groups] * content.n_frames
    return normal


@dataclass(frozen=True)
class Uncertainty:
    """How well the labels fix the parameters, in the parameters' own units; the constant left out.

    :param covariance: of θ given the labels, shape (p, p).
    :param response: covariance of θ that unit noise in the labels makes, shape (p, p): multiply by its variance.
    :param noise: what the model leaves of a label, eV per cell: noise of the labels and what the features lack.
    """

    covariance: NDArray[np.float64]
    response: NDArray[np.float64]
    noise: float


def uncertainty(problem: Prepared, ridges: Sequence[float]) -> Uncertainty:
    """Return the posterior of θ, with the noise that the residuals show.

    Directions of which the labels say nothing at all are left out: what the training cell cannot see is not a matter of
    how many labels there are.
    """
    normal, residual, n_rows, n_free = normal_equations(problem, ridges)
    n_parameters = len(problem.units)
    gram, seen = problem.gram[: len(normal), : len(normal)], problem.seen
    inverse = seen @ np.linalg.inv(seen.T @ normal @ seen) @ seen.T
    noise = residual / max(n_rows - n_free, 1)
    scale = np.outer(problem.units, problem.units)
    response = inverse @ gram @ inverse
    return Uncertainty(
        noise * inverse[:n_parameters, :n_parameters] / scale,
        response[:n_parameters, :n_parameters] / scale,
        float(np.sqrt(noise)),
    )


def noise_left(problem: Prepared, ridges: Sequence[float]) -> NDArray[np.float64]:
    """Return the share of a label's noise (as a variance) that its residual keeps, of each energy, shape (n_energies,).

    A fit follows the labels, and those the most that reach farthest; labels near the middle keep nearly all.
    """
    content, normal = problem.problem, normal_equations(problem, ridges)[0]
    energies = (content.features[content.is_energy] - problem.centre) / problem.units
    rows = np.column_stack([energies, np.ones(len(energies))])
    if content.weights is not None:
        rows *= np.sqrt(content.weights[content.is_energy])[:, None]
    reached = rows @ np.linalg.pinv(normal, rcond=_RANK_TOLERANCE**2, hermitian=True)
    own, others = np.sum(reached * rows, axis=1), np.sum((reached @ problem.gram[:-1, :-1]) * reached, axis=1)
    return 1.0 - 2.0 * own + others


def posterior_draws(
    problem: Prepared, ridges: Sequence[float], choices: Sequence[float], n_samples: int, seed: int | Sequence[int]
) -> NDArray[np.float64]:
    """Return θ as the labels allow it, ridges that they do not rule out among the rest, shape (n_samples, p).

    Few labels leave open how much the parameters scatter; a single ridge, however chosen, would hide that. Ridges are
    drawn by their :func:`evidence`, one after the other given the rest (Gibbs), θ from the posterior of each.

    :param ridges: where to begin.
    """
    generator = np.random.default_rng(seed)
    known: dict[tuple[float, ...], float] = {}

    def logarithms(options: list[tuple[float, ...]]) -> NDArray[np.float64]:
        if new := [option for option in dict.fromkeys(options) if option not in known]:
            known.update(zip(new, evidences(problem, new).tolist(), strict=True))
        return np.array([known[option] for option in options])

    @cache
    def posterior(chosen: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        values, vectors = np.linalg.eigh(uncertainty(problem, chosen).covariance)
        return problem.solve(chosen)[0], values, vectors

    current, samples = tuple(ridges), []
    degrees = problem.problem.n_frames - int(np.sum(problem.problem.groups == _FREE)) - 1
    for _ in range(n_samples):
        for group in range(problem.problem.n_groups):
            options = _varied(current, group, choices)
            weights = logarithms(options)
            weights = np.exp(weights - weights.max())
            current = options[generator.choice(len(options), p=weights / weights.sum())]
        # The residuals know the noise as well as their number allows: the tails of Student's distribution.
        widened = np.sqrt(degrees / generator.chisquare(degrees)) if degrees > 0 else 1.0
        mean, values, vectors = posterior(current)
        deviation = vectors @ (np.sqrt(np.maximum(values, 0.0)) * generator.standard_normal(len(values)))
        samples.append(mean + widened * deviation)
    return np.array(samples)


def draws(covariance: NDArray[np.float64], n_samples: int, seed: int | Sequence[int]) -> NDArray[np.float64]:
    """Return random deviations with this covariance, shape (n_samples, p)."""
    values, vectors = np.linalg.eigh(covariance)
    normal = np.random.default_rng(seed).standard_normal((n_samples, len(values)))
    return normal * np.sqrt(np.maximum(values, 0.0)) @ vectors.T


def bootstrap(
    problem: Prepared, ridges: Sequence[float], n_samples: int, seed: int, block: int = 1
) -> NDArray[np.float64]:
    """Return θ of `n_samples` problems whose frames are drawn from these with replacement, shape (n_samples, p).

    :param block: how many frames that follow each other are drawn together: as many as a trajectory remembers.
    """
    n_frames = problem.problem.n_frames
    generator = np.random.default_rng(seed)
    samples = []
    for _ in range(n_samples):
        starts = generator.integers(0, n_frames, -(-n_frames // block))
        drawn = ((starts[:, None] + np.arange(block)) % n_frames).ravel()[:n_frames]
        samples.append(problem.solve(ridges, np.bincount(drawn, minlength=n_frames))[0])
    return np.array(samples).reshape(n_samples, -1)
