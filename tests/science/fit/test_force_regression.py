"""Forces added a few frames at a time give the solution of all rows at once."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import map_onto_crystal, supercell
from aiida_mlcc.science.fit.force_constants_basis import _by_volume
from aiida_mlcc.science.fit.force_regression import ForceRegression
from aiida_mlcc.science.fit.ridge import RidgeError
from aiida_mlcc.science.fit.third_order_basis import second_shell, third_order_basis
from aiida_mlcc.science.force_field.fourth_order import BoundFourthOrder, bonds_within
from aiida_mlcc.science.force_field.third_order import BoundThirdOrder

Rows = tuple[NDArray[np.float64], NDArray[np.float64]]

GROUPS = np.array([1, 1, 1, 2, 2])
WEIGHTS = np.linspace(0.5, 2.0, 12)
FOLDS = np.arange(12) // 4
COUNTS = np.array([1, 1, 2, 1, 3, 1, 1, 2, 1, 1, 1, 2])


@pytest.fixture
def rows() -> Rows:
    """Return features (12 frames, 30 components, 5 parameters) and forces with noise."""
    generator = np.random.default_rng(1)
    features = generator.normal(size=(12, 30, 5)) * [1, 2, 3, 0.1, 0.2]
    return features, features @ [1.0, -2.0, 0.5, 10.0, 3.0] + generator.normal(scale=0.3, size=(12, 30))


def added(features: NDArray[np.float64], targets: NDArray[np.float64], size: int) -> ForceRegression:
    regression = ForceRegression(GROUPS)
    for start in range(0, len(features), size):
        here = slice(start, start + size)
        regression.add(features[here], targets[here], WEIGHTS[here], FOLDS[here], COUNTS[here])
    return regression


def explicit(
    features: NDArray[np.float64], targets: NDArray[np.float64], ridges: tuple[float, ...], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the minimum of Σ c·w·(y − X·θ)² + n Σ λ (θ·unit)², by its normal equations."""
    mean_squares = np.mean(features.reshape(-1, 5) ** 2, axis=0)
    units = np.array([np.mean(mean_squares[group == GROUPS]) for group in GROUPS])
    penalty = np.diag(np.array(ridges)[GROUPS - 1] * units) * counts.sum()
    weighted = features * (WEIGHTS * counts)[:, None, None]
    normal = np.einsum('frk,frl->kl', weighted, features)
    return np.linalg.solve(normal + penalty, np.einsum('frk,fr->k', weighted, targets))


@pytest.mark.parametrize('size', [1, 5, 12])
def test_the_solution_is_that_of_all_rows(rows: Rows, size: int) -> None:
    features, targets = rows
    found = added(features, targets, size).solve((1e-2, 10.0))
    assert np.allclose(found, explicit(features, targets, (1e-2, 10.0), COUNTS), rtol=1e-10)


def test_ridges_are_chosen_by_the_frames_left_out(rows: Rows) -> None:
    features, targets = rows
    squares: dict[tuple[float, ...], float] = {}
    for ridges in ((1e-3, 1e-3), (1e-3, 30.0), (30.0, 1e-3), (30.0, 30.0)):
        left = []
        for fold in range(3):
            inside = np.where(fold == FOLDS, 0, 1)
            wrong = targets - features @ explicit(features, targets, ridges, inside)
            left.append(np.sum(WEIGHTS[fold == FOLDS, None] * wrong[fold == FOLDS] ** 2))
        squares[ridges] = float(np.sqrt(sum(left) / (30 * WEIGHTS.sum())))
    chosen, error = added(features, targets, 5).choose_ridges((1e-3, 30.0))
    assert chosen == min(squares, key=lambda each: squares[each])
    assert error == pytest.approx(squares[chosen], rel=1e-10)


def test_what_no_row_shows_is_counted_and_stays_zero(rows: Rows) -> None:
    features, targets = rows
    features[:, :, 1] = 0.0
    regression = added(features, targets, 5)
    assert (regression.unseen((3, 2)), regression.rank) == ([1, 0], 4)
    assert regression.solve((1e-3, 1e-3))[1] == pytest.approx(0.0, abs=1e-12)


def test_the_error_counts_all_components_alike(rows: Rows) -> None:
    features, targets = rows
    found = added(features, targets, 5).root_mean_square(np.ones(5))
    assert found == pytest.approx(np.sqrt(np.mean((targets - features @ np.ones(5)) ** 2)), rel=1e-12)


def test_a_number_that_is_none_is_refused(rows: Rows) -> None:
    features, targets = rows
    targets[3, 2] = np.nan
    with pytest.raises(RidgeError, match='NaN'):
        added(features, targets, 5)


@pytest.mark.nightly
def test_the_features_of_higher_orders_are_the_forces_of_each_parameter() -> None:
    """In a cell so small that an atom meets its own images, where one bond counts several times."""
    primitive = bulk('Po', 'sc', a=3.35)
    atoms = supercell(primitive, 2)
    site_map = map_onto_crystal(primitive, atoms)
    moved = np.random.default_rng(2).normal(scale=0.1, size=(3, len(atoms), 3))
    third = third_order_basis(primitive, second_shell(primitive))
    features = third.force_features(site_map, moved)
    for number in (0, third.n_third // 2, third.n_third - 1):
        bound = BoundThirdOrder(third.triplets, third.blocks[number], site_map)
        expected = [bound.energy_forces(one)[1].ravel() for one in moved]
        assert np.allclose(features[:, :, number], expected, rtol=0, atol=1e-13)
    bonds = bonds_within(primitive, second_shell(primitive))
    fourth = BoundFourthOrder(bonds, primitive, site_map)
    for number, one in enumerate(np.eye(3 * bonds.n_kinds)):
        expected = [fourth.energy_forces(frame, one.reshape(-1, 3))[1] for frame in moved]
        assert np.allclose(fourth.force_features(moved)[..., number], expected, rtol=0, atol=1e-13)


def test_supercells_are_tried_from_the_smallest_volume() -> None:
    found = [
        tuple(multiples) for _, multiples in zip(range(5), _by_volume(np.array([3.0, 3.0, 5.0]), 2.0), strict=False)
    ]
    assert found == [(2, 2, 1), (2, 3, 1), (3, 2, 1), (2, 2, 2), (2, 4, 1)]
