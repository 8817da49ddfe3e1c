"""The modes of a training cell against phonopy and group theory, and shifts of their frequencies against known ones."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import commensurate_qpoints, map_onto_crystal, supercell, to_phonopy
from aiida_mlcc.science.fit.force_constants_basis import symmetry_operations
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.phonons.dispersion import frequencies
from aiida_mlcc.science.phonons.modes import (
    commensurate_modes,
    curvature_of,
    frequency_of,
    inverse_force_weights,
    projected_residuals,
    star,
)
from tests.crystals import heated, hessian_of, optical_frequency_cm1, rocksalt, spring_term, springs

CONVENTIONAL = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
DIAMOND = bulk('C', 'diamond', a=3.56)
SPRINGS = spring_term(DIAMOND, 4.0, along=40.0, across=4.0)
CELL = supercell(DIAMOND, CONVENTIONAL @ np.diag([2, 2, 1]))


@pytest.fixture(scope='module')
def hessian():
    return hessian_of(SPRINGS, CELL)


@pytest.fixture(scope='module')
def modes(hessian):
    return commensurate_modes(hessian, DIAMOND, map_onto_crystal(DIAMOND, CELL))


@pytest.fixture(scope='module')
def phonon():
    from phonopy import Phonopy

    found = Phonopy(to_phonopy(DIAMOND), 5 * np.eye(3), primitive_matrix='P')
    found.force_constants = ForceConstantsModel(SPRINGS).bind(supercell(DIAMOND, 5)).force_constants()
    found.masses = DIAMOND.get_masses()
    return found


@pytest.mark.parametrize('multiples', [np.eye(3), 2 * np.eye(3), [[2, 1, 0], [0, 3, 1], [1, 0, 2]], np.diag([1, 4, 2])])
def test_a_cell_holds_as_many_wave_vectors_as_primitive_cells(multiples):
    multiples = np.array(multiples, dtype=int)
    found = commensurate_qpoints(multiples)
    assert len(found) == round(np.linalg.det(multiples))
    assert np.array_equal(found[0], np.zeros(3))
    phases = found @ multiples.T
    np.testing.assert_allclose(phases, np.rint(phases), atol=1e-9)
    apart = found[:, None] - found
    apart = np.abs(apart - np.rint(apart)).max(axis=2)
    assert (apart + np.eye(len(found))).min() > 1e-3


@pytest.mark.parametrize(
    ('qpoint', 'number'), [((0, 0, 0), 1), ((0.5, 0.5, 0), 3), ((0.5, 0.5, 0.5), 4), ((0.25, 0, 0.25), 6)]
)
def test_the_stars_of_diamond_are_those_of_the_textbook(qpoint, number):
    rotations = symmetry_operations(DIAMOND, 1e-5)[0]
    assert len(star(np.array(qpoint, dtype=float), rotations)) == number


def test_the_reverse_of_a_wave_belongs_to_its_star_without_inversion(wurtzite):
    rotations = symmetry_operations(wurtzite, 1e-5)[0]
    assert len(star(np.array([0.0, 0.0, 0.3]), rotations)) == 2


def test_the_training_cell_of_diamond_has_seventeen_frequencies(modes):
    counts = {}
    for mode in modes:
        counts[tuple(np.round(mode.qpoint, 3))] = counts.get(tuple(np.round(mode.qpoint, 3)), 0) + 1
    # Γ, Δ halfway to X, X, Σ and W.
    assert sorted(counts.values()) == [1, 3, 3, 4, 6]
    assert sum(counts.values()) == len(modes) == 17
    assert sum(len(mode.vectors) for mode in modes) == 3 * 32 - 3


def test_frequencies_and_degeneracies_are_those_of_phonopy(modes, phonon):
    for mode in modes:
        found = frequencies(phonon, [mode.qpoint])[0]
        assert np.sum(np.abs(found - mode.frequency_cm1) < 1e-2) == mode.degeneracy


def test_vectors_are_orthonormal_and_diagonalise_the_dynamics(modes, hessian):
    vectors = np.concatenate([mode.vectors.reshape(len(mode.vectors), -1) for mode in modes])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(vectors)), atol=1e-10)
    roots = np.repeat(np.sqrt(CELL.get_masses()), 3)
    squares = [curvature_of(mode.frequency_cm1) for mode in modes for _ in mode.vectors]
    np.testing.assert_allclose(vectors @ (hessian / np.outer(roots, roots)) @ vectors.T, np.diag(squares), atol=1e-6)


def test_no_mode_moves_the_crystal_as_a_whole(modes):
    roots = np.sqrt(CELL.get_masses())[:, None]
    for mode in modes:
        np.testing.assert_allclose((mode.vectors * roots).sum(axis=1), 0, atol=1e-9)


@pytest.mark.parametrize('matrix', [3 * np.eye(3), [[2, 1, 0], [0, 3, 1], [1, 0, 2]]])
def test_cells_of_any_shape_give_the_frequencies_of_phonopy(matrix, phonon):
    cell = supercell(DIAMOND, matrix)
    cell = cell[np.random.default_rng(1).permutation(len(cell))]
    found = commensurate_modes(hessian_of(SPRINGS, cell), DIAMOND, map_onto_crystal(DIAMOND, cell))
    assert sum(len(mode.vectors) for mode in found) == 3 * len(cell) - 3
    for mode in found:
        assert np.abs(frequencies(phonon, [mode.qpoint])[0] - mode.frequency_cm1).min() < 1e-2


def test_two_masses_vibrate_as_the_closed_form_says():
    primitive = rocksalt()
    cell = supercell(primitive, CONVENTIONAL)
    (term,) = springs(primitive).terms
    (gamma,) = [
        mode
        for mode in commensurate_modes(hessian_of(term, cell), primitive, map_onto_crystal(primitive, cell))
        if mode.qpoint == (0.0, 0.0, 0.0)
    ]
    assert gamma.frequency_cm1 == pytest.approx(optical_frequency_cm1(primitive), rel=1e-6)
    assert gamma.degeneracy == 3


def test_an_imaginary_frequency_is_negative(hessian):
    found = commensurate_modes(-hessian, DIAMOND, map_onto_crystal(DIAMOND, CELL))
    assert max(mode.frequency_cm1 for mode in found) < 0
    assert curvature_of(-700.0) == -curvature_of(700.0)
    assert frequency_of(curvature_of(-700.0)) == pytest.approx(-700.0)


def test_a_model_too_soft_is_told_by_how_much_each_frequency_is_too_low(modes, hessian):
    moved = heated(CELL, 20)
    soft = commensurate_modes(0.95 * hessian, DIAMOND, map_onto_crystal(DIAMOND, CELL))
    lacking = -0.05 * (moved.reshape(20, -1) @ hessian).reshape(moved.shape)
    found = projected_residuals(soft, CELL.get_masses(), moved, lacking)
    for stiff, entry in zip(modes, found, strict=True):
        exact = stiff.frequency_cm1 - entry['frequency_cm1']
        # To first order in the change of ω²: the exact shift is 1.3 % smaller.
        assert entry['shift_cm1'] == pytest.approx(exact * (1 + 0.25 * 0.05), rel=1e-3)
        assert entry['standard_error_cm1'] < 1e-6


def test_the_standard_error_covers_the_noise_put_in(modes):
    moved, masses = heated(CELL, 60), CELL.get_masses()
    random = np.random.default_rng(5)
    deviations = [
        [
            entry['shift_cm1'] / entry['standard_error_cm1']
            for entry in projected_residuals(modes, masses, moved, 0.3 * random.normal(size=moved.shape))
        ]
        for _ in range(60)
    ]
    # Sixty draws of seventeen modes, each error known to 16 % from twenty stretches.
    assert np.sqrt(np.mean(np.square(deviations))) == pytest.approx(1.0, abs=0.12)


def test_frames_that_repeat_make_nothing_more_certain(modes):
    masses, random = CELL.get_masses(), np.random.default_rng(2)
    moved = heated(CELL, 20)
    wrong = random.normal(size=moved.shape)
    few = projected_residuals(modes, masses, moved, wrong)
    many = projected_residuals(modes, masses, *(np.repeat(part, 5, axis=0) for part in (moved, wrong)))
    for one, other in zip(few, many, strict=True):
        assert other['standard_error_cm1'] == pytest.approx(one['standard_error_cm1'])


def test_a_frame_of_no_weight_says_nothing(modes):
    moved, masses = heated(CELL, 12), CELL.get_masses()
    forces = np.random.default_rng(3).normal(size=moved.shape)
    weights = np.array([1.0] * 11 + [0.0])
    shifts = [
        [entry['shift_cm1'] for entry in projected_residuals(modes, masses, *arrays)]
        for arrays in ((moved, forces, weights), (moved[:11], forces[:11], weights[:11]))
    ]
    np.testing.assert_allclose(shifts[0], shifts[1])


def test_weights_are_inverse_to_the_mean_square_force_with_mean_one():
    forces = np.random.default_rng(0).normal(size=(9, 4, 3)) * np.linspace(1, 3, 9)[:, None, None]
    weights = inverse_force_weights(forces)
    assert weights.mean() == pytest.approx(1.0)
    products = weights * np.mean(forces**2, axis=(1, 2))
    np.testing.assert_allclose(products, products[0])


def test_a_frame_at_rest_weighs_twenty_times_the_median_one_and_no_more():
    forces = np.ones((5, 4, 3))
    forces[0] = 0.0
    weights = inverse_force_weights(forces)
    np.testing.assert_allclose(weights[0] / weights[1:], 20.0)
    assert np.array_equal(inverse_force_weights(np.zeros((3, 4, 3))), np.ones(3))
