"""Ridge regression against closed forms and against what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_mlcc.science.fit.ridge import (
    Problem,
    RidgeError,
    blocked_folds,
    bootstrap,
    choose_by_evidence,
    choose_ridges,
    draws,
    evidence,
    left_out_residuals,
    noise_left,
    posterior_draws,
    prepare,
    random_folds,
    uncertainty,
)

TRUTH = np.array([2.0, -1.0, 0.5])


def energies_only(n: int = 40, noise: float = 0.0, seed: int = 1) -> Problem:
    random = np.random.default_rng(seed)
    features = random.normal(size=(n, 3)) * [1.0, 1.0, 30.0] + [0.0, 0.0, -300.0]
    targets = features @ TRUTH + 7.0 + noise * random.normal(size=n)
    return Problem(features, targets, np.array([1, 1, 0]))


def test_without_ridge_the_parameters_of_a_linear_law_are_found() -> None:
    parameters, constant = prepare(energies_only()).solve([0.0])
    np.testing.assert_allclose(parameters, TRUTH, atol=1e-10)
    assert constant == pytest.approx(7.0, abs=1e-8)


def test_a_ridge_gives_the_closed_form() -> None:
    problem = energies_only(noise=0.3)
    ridge = 0.2
    units = problem.units
    centred = (problem.features - problem.features.mean(axis=0)) / units
    normal = centred.T @ centred + ridge * len(centred) * np.diag([1.0, 1.0, 0.0])
    expected = np.linalg.solve(normal, centred.T @ (problem.targets - problem.targets.mean())) / units
    np.testing.assert_allclose(prepare(problem).solve([ridge])[0], expected, atol=1e-10)


def test_parameters_without_information_stay_zero() -> None:
    problem = energies_only()
    features = np.column_stack([problem.features, np.zeros(len(problem.targets))])
    prepared = prepare(Problem(features, problem.targets, np.array([1, 1, 0, 1])))
    assert prepared.solve([0.0])[0][3] == pytest.approx(0.0, abs=1e-12)
    assert prepared.rank == 3


def test_what_rounding_leaves_of_a_feature_that_is_zero_is_no_feature() -> None:
    problem = energies_only(noise=0.3)
    noise = 1e-19 * np.random.default_rng(2).normal(size=(len(problem.targets), 30))
    features = np.column_stack([problem.features, noise])
    prepared = prepare(Problem(features, problem.targets, np.array([1, 1, 0, *([2] * 30)])))
    assert prepared.rank == 3
    np.testing.assert_allclose(prepared.solve([1e-8, 1e-8])[0][:3], prepare(problem).solve([1e-8])[0], atol=1e-8)


def test_forces_alone_fix_what_energies_leave_open() -> None:
    random = np.random.default_rng(3)
    features = np.concatenate([np.ones((2, 2)), random.normal(size=(20, 2))])
    is_energy = np.arange(22) < 2
    targets = features @ [1.5, -0.5] + 4.0 * is_energy
    frames = np.array([0, 1, *([0] * 10), *([1] * 10)])
    parameters, constant = prepare(Problem(features, targets, np.array([1, 1]), frames, is_energy)).solve([0.0])
    np.testing.assert_allclose(parameters, [1.5, -0.5], atol=1e-10)
    assert constant == pytest.approx(4.0)


def test_reducing_a_frames_rows_changes_no_solution() -> None:
    random = np.random.default_rng(4)
    features, frames = random.normal(size=(60, 3)), np.repeat([0, 1], 30)
    targets, weights = random.normal(size=60), random.uniform(0.5, 2.0, 60)
    groups = np.array([0, 0, 0])
    found = prepare(Problem(features, targets, groups, frames, np.zeros(60, dtype=bool), weights)).solve([])[0]
    expected = np.linalg.lstsq(features * np.sqrt(weights)[:, None], targets * np.sqrt(weights), rcond=None)[0]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_frame_counted_twice_is_that_frame_listed_twice() -> None:
    problem = energies_only(n=10, noise=0.5)
    counts = np.array([2, 1, 1, 0, 1, 1, 1, 1, 1, 1])
    rows = np.repeat(np.arange(10), counts)
    twice = Problem(problem.features[rows], problem.targets[rows], problem.groups)
    np.testing.assert_allclose(prepare(problem).solve([0.0], counts)[0], prepare(twice).solve([0.0])[0], atol=1e-9)


def test_a_frame_left_out_does_not_predict_itself() -> None:
    problem = energies_only(n=20, noise=0.1)
    spoilt = problem.targets.copy()
    spoilt[0] += 1000.0
    folds = blocked_folds(20, 20)
    before = left_out_residuals(prepare(problem), [0.0], folds)[0]
    after = left_out_residuals(prepare(Problem(problem.features, spoilt, problem.groups)), [0.0], folds)[0]
    assert after - before == pytest.approx(1000.0, abs=1e-6)


def test_noise_without_signal_chooses_the_strongest_ridge() -> None:
    random = np.random.default_rng(5)
    problem = prepare(Problem(random.normal(size=(20, 12)), random.normal(size=20), np.ones(12, dtype=int)))
    assert choose_ridges(problem, (1e-6, 1e3), random_folds(20, 5, 0))[0] == (1e3,)


def test_groups_get_ridges_of_their_own() -> None:
    random = np.random.default_rng(6)
    features = random.normal(size=(30, 14))
    targets = features[:, :2] @ [3.0, 2.0] + 0.5 * random.normal(size=30)
    problem = prepare(Problem(features, targets, np.array([1] * 2 + [2] * 12)))
    assert choose_ridges(problem, (1e-6, 1e2), random_folds(30, 5, 0))[0] == (1e-6, 1e2)


def test_the_bootstrap_spreads_as_least_squares_says() -> None:
    noise = 0.4
    problem = energies_only(n=400, noise=noise, seed=8)
    centred = problem.features - problem.features.mean(axis=0)
    expected = noise * np.sqrt(np.diag(np.linalg.inv(centred.T @ centred)))
    spread = bootstrap(prepare(problem), [0.0], 400, seed=2).std(axis=0, ddof=1)
    np.testing.assert_allclose(spread, expected, rtol=0.15)


def test_the_evidence_is_the_density_of_the_contrasts() -> None:
    # The restricted likelihood is that of y projected on what the free columns do not reach, with unit noise scale
    # integrated out at its best value: an independent, direct calculation of the same from the covariance of y.
    random = np.random.default_rng(11)
    n, ridge = 12, 0.3
    features = random.normal(size=(n, 3))
    targets = random.normal(size=n)
    problem = Problem(features, targets, np.array([1, 1, 0]))
    units = problem.units
    fixed = np.column_stack([np.ones(n), features[:, 2]])
    contrasts = np.linalg.svd(fixed)[0][:, 2:]
    covariance = np.eye(n) + (features[:, :2] / units[:2]) @ (features[:, :2] / units[:2]).T / (ridge * n)
    projected, seen = contrasts.T @ covariance @ contrasts, contrasts.T @ targets
    variance = seen @ np.linalg.solve(projected, seen) / (n - 2)

    def density(value: float) -> float:
        other = np.eye(n) + (features[:, :2] / units[:2]) @ (features[:, :2] / units[:2]).T / (value * n)
        middle = contrasts.T @ other @ contrasts
        scale = seen @ np.linalg.solve(middle, seen) / (n - 2)
        return float(-0.5 * ((n - 2) * np.log(scale) + np.linalg.slogdet(middle)[1]))

    prepared = prepare(problem)
    assert variance > 0
    assert evidence(prepared, (ridge,)) - evidence(prepared, (5.0,)) == pytest.approx(density(ridge) - density(5.0))


def test_the_evidence_holds_back_what_is_noise_and_lets_go_what_is_not() -> None:
    random = np.random.default_rng(6)
    features = random.normal(size=(20, 14))
    targets = features[:, :2] @ [3.0, 2.0] + 0.5 * random.normal(size=20)
    problem = prepare(Problem(features, targets, np.array([1] * 2 + [2] * 12)))
    chosen = choose_by_evidence(problem, (1e-6, 1e-2, 1e2))[0]
    assert chosen[0] < 1.0 < chosen[1]


def test_the_posterior_of_many_labels_is_that_of_least_squares() -> None:
    problem = energies_only(n=400, noise=0.4, seed=8)
    centred = problem.features - problem.features.mean(axis=0)
    found = uncertainty(prepare(problem), [1e-12])
    assert found.noise == pytest.approx(0.4, rel=0.1)
    expected = np.linalg.inv(centred.T @ centred)
    np.testing.assert_allclose(found.covariance, found.noise**2 * expected, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(found.response, expected, rtol=1e-4, atol=1e-10)


@pytest.mark.nightly
def test_residuals_keep_the_share_of_the_noise_that_is_stated() -> None:
    random = np.random.default_rng(9)
    features, groups = random.normal(size=(12, 6)) * np.linspace(0.2, 2.0, 12)[:, None], np.array([1] * 5 + [0])
    kept = []
    for _ in range(4000):
        targets = random.normal(size=12)
        parameters, constant = prepare(Problem(features, targets, groups)).solve([0.05])
        kept.append((targets - features @ parameters - constant) ** 2)
    stated = noise_left(prepare(Problem(features, random.normal(size=12), groups)), [0.05])
    assert np.ptp(stated) > 0.2
    np.testing.assert_allclose(np.mean(kept, axis=0), stated, atol=0.05)


@pytest.mark.nightly
def test_draws_of_few_labels_hold_the_truth_as_often_as_they_say() -> None:
    """Fourteen labels leave open how much the parameters scatter: with one ridge alone the errors are too small."""
    choices, groups = (1e-3, 1e-2, 0.1, 1.0, 1e1), np.array([1] * 10 + [0])
    deviations = {'one': [], 'all': []}
    for seed in range(60):
        random = np.random.default_rng(seed)
        truth = random.normal(size=11) * (0.1, 0.3, 1.0)[seed % 3]
        features = random.normal(size=(14, 11))
        problem = prepare(Problem(features, features @ truth + 0.3 * random.normal(size=14), groups))
        ridges = choose_by_evidence(problem, choices)[0]
        found = problem.solve(ridges)[0]
        spreads = {
            'one': np.sqrt(np.diag(uncertainty(problem, ridges).covariance)),
            'all': posterior_draws(problem, ridges, choices, 60, seed).std(axis=0),
        }
        for name, spread in spreads.items():
            deviations[name].append((found - truth) / spread)
    coverage = {name: np.mean(np.abs(values) < 1.96) for name, values in deviations.items()}
    assert coverage['one'] < 0.84 < 0.87 < coverage['all']


def test_draws_of_many_labels_spread_as_least_squares_says() -> None:
    problem = energies_only(n=400, noise=0.4, seed=8)
    centred = problem.features - problem.features.mean(axis=0)
    expected = 0.4 * np.sqrt(np.diag(np.linalg.inv(centred.T @ centred)))
    spread = posterior_draws(prepare(problem), [1e-6], (1e-6, 1e-4), 400, seed=2).std(axis=0, ddof=1)
    np.testing.assert_allclose(spread, expected, rtol=0.15)


def test_draws_have_the_covariance_asked_for() -> None:
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    np.testing.assert_allclose(np.cov(draws(covariance, 20000, 3).T), covariance, atol=0.05)


def test_folds_of_a_trajectory_are_contiguous_and_even() -> None:
    folds = blocked_folds(23, 5)
    assert (np.diff(folds) >= 0).all()
    assert np.ptp(np.bincount(folds)) <= 1


@pytest.mark.parametrize('choices', [(), (-1.0,)])
def test_a_ridge_that_is_none_is_refused(choices: tuple[float, ...]) -> None:
    with pytest.raises(RidgeError, match='not negative'):
        choose_ridges(prepare(energies_only()), choices, random_folds(40, 5, 0))


def test_labels_that_are_no_numbers_are_refused() -> None:
    problem = energies_only()
    problem.targets[3] = np.nan
    with pytest.raises(RidgeError, match='NaN'):
        prepare(problem)
