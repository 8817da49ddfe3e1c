"""Errors of frequencies against perturbation theory, and what a training cell holds against geometry."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from phonopy import Phonopy

from aiida_mlcc.science.crystal.cells import from_phonopy, map_onto_crystal, supercell, to_phonopy
from aiida_mlcc.science.errors.frequency_error_bars import (
    CONTRIBUTIONS,
    base_errors,
    budget,
    commensurate,
    delta_spread,
)
from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.fit.force_constants_basis import decaying_basis, force_constants_basis
from aiida_mlcc.science.fit.harmonic_model import dynamical_matrix
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.force_field.dipole import COULOMB, DipoleModel, dipole_term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.phonons.dispersion import frequencies
from aiida_mlcc.science.phonons.modes import CM1_PER_ROOT_CURVATURE
from tests.crystals import spring_term

CONVENTIONAL = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
DIAMOND = bulk('C', 'diamond', a=3.56)
BASIS = force_constants_basis(DIAMOND, 2.7)
POINTS = {'GAMMA': (0, 0, 0), 'X': (0.5, 0, 0.5), 'L': (0.5, 0.5, 0.5), 'W': (0.5, 0.25, 0.75), 'Δ': (0.25, 0, 0.25)}


def dynamics(term, qpoint):
    arrays = term.arrays
    return dynamical_matrix(
        DIAMOND.get_masses(), arrays['pairs'], arrays['lattice_vectors'], arrays['fc'], np.array(qpoint)
    )


def phonopy_of(force_constants, compact=False):
    phonon = Phonopy(to_phonopy(DIAMOND), 3 * np.eye(3), primitive_matrix='P')
    phonon.force_constants = force_constants[phonon.primitive.p2s_map] if compact else force_constants
    phonon.masses = DIAMOND.get_masses()
    return phonon


@pytest.fixture(scope='module')
def base():
    return spring_term(DIAMOND, 2.7, along=40.0, across=5.0)


@pytest.fixture(scope='module')
def samples():
    """Small deviations from a Δ, the scale of the base last."""
    random = np.random.default_rng(0)
    fitted = np.append(0.3 * random.normal(size=BASIS.n_second), 0.08)
    size = np.append(np.full(BASIS.n_second, 0.01), 0.001)
    drawn = [fitted + scale * size * random.normal(size=(40, len(fitted))) for scale in (1.0, 0.5)]
    return DeltaSamples.of(PotentialBasis(BASIS), fitted, *drawn)


@pytest.fixture(scope='module')
def total(base, samples):
    """Force constants of (1+s)·base + ΔΦ on 3×3×3 cells."""
    cell = supercell(DIAMOND, 3)
    delta = np.tensordot(samples.parameters[:-1], samples.folded(cell), axes=1)
    return 1.08 * ForceConstantsModel(base).bind(cell).force_constants() + delta


@pytest.mark.parametrize('compact', [False, True])
def test_the_spread_over_other_deltas_is_that_of_perturbation_theory(total, base, samples, compact):
    qpoint = (0.11, 0.23, 0.37)  # Of no symmetry, so that no modes are degenerate.
    found = delta_spread(phonopy_of(total, compact), samples, {'X': qpoint})
    own = dynamics(base, qpoint)
    parts = np.array(
        [
            dynamical_matrix(DIAMOND.get_masses(), BASIS.pairs, BASIS.lattice_vectors, block, np.array(qpoint))
            for block in BASIS.blocks
        ]
    )
    matrix = 1.08 * own + np.tensordot(samples.parameters[:-1], parts, axes=1)
    squares, vectors = np.linalg.eigh(matrix)
    slopes = np.array([np.einsum('am,ab,bm->m', vectors.conj(), d, vectors).real for d in (*parts, own)])
    slopes *= CM1_PER_ROOT_CURVATURE / (2 * np.sqrt(squares))
    for name, drawn in (('bootstrap', samples.bootstrap), ('label_noise', samples.label_noise)):
        expected = np.std((drawn - samples.parameters) @ slopes, axis=0, ddof=1)
        np.testing.assert_allclose(found[name][0], expected, rtol=0.02)


def test_the_phonon_calculation_is_left_as_it_was(total, samples):
    phonon = phonopy_of(total)
    before = frequencies(phonon, list(POINTS.values()))
    delta_spread(phonon, samples, POINTS)
    assert np.array_equal(phonon.force_constants, total)
    assert np.array_equal(frequencies(phonon, list(POINTS.values())), before)


@pytest.mark.parametrize(
    ('matrix', 'held'),
    [
        (CONVENTIONAL, {'GAMMA', 'X'}),
        (CONVENTIONAL @ np.diag([2, 2, 1]), {'GAMMA', 'X', 'W', 'Δ'}),
        (2 * np.eye(3), {'GAMMA', 'X', 'L'}),
        (4 * np.eye(3), {'GAMMA', 'X', 'L', 'W', 'Δ'}),
        (np.eye(3), {'GAMMA'}),
    ],
)
def test_a_training_cell_holds_the_wave_vectors_that_fit_it(matrix, held):
    cell = supercell(DIAMOND, matrix)
    cell.rattle(0.05, seed=1)
    found = commensurate(POINTS, DIAMOND, cell)
    assert {label for label, inside in found.items() if inside} == held


def test_a_wave_vector_is_held_where_one_of_its_star_is():
    """Conventional cells doubled along two axes hold X halfway along these and not along the third."""
    cell = supercell(DIAMOND, CONVENTIONAL @ np.diag([2, 2, 1]))
    directions = {label: q for label, q in zip('xyz', ((0, 0.25, 0.25), (0.25, 0, 0.25), (0.25, 0.25, 0)), strict=True)}
    assert all(commensurate(directions, DIAMOND, cell).values())


def test_the_budget_adds_squares_and_counts_the_noise_of_the_labels_once():
    members = np.array([[[100.0, 200.0]], [[102.0, 200.0]], [[104.0, 200.0]]])
    alternatives = {'readout': members + np.array([3.0, 0.0])}
    delta = {'bootstrap': np.array([[4.0, 1.0]]), 'label_noise': np.array([[3.5, 0.5]])}
    found = budget(members, alternatives, delta)
    parts = found['contributions']
    assert set(parts) == set(CONTRIBUTIONS)
    np.testing.assert_allclose(parts['seeds'], [[2.0, 0.0]])
    np.testing.assert_allclose(parts['kinds'], [[3.0 / np.sqrt(2), 0.0]])
    np.testing.assert_allclose(parts['label_noise'], [[3.5, 0.5]])
    np.testing.assert_allclose(found['sd'], [[np.sqrt(2.0**2 + 4.0**2 + 4.5), 1.0]])


def test_what_was_not_estimated_is_none_and_adds_nothing():
    found = budget(np.full((1, 2, 3), 500.0))
    assert found['contributions'] == dict.fromkeys(CONTRIBUTIONS)
    assert np.array_equal(found['sd'], np.zeros((2, 3)))


def test_at_gamma_the_long_range_moves_lo_as_its_strength_does_and_nothing_else():
    """LO² − TO² is proportional to the weight w of the dipoles, and TO is what the training cell saw."""
    primitive = bulk('LiH', 'rocksalt', a=4.017)
    dipole = DipoleModel(dipole_term(primitive, np.array([np.eye(3), -np.eye(3)]), 4.4 * np.eye(3), 1.2))
    training = supercell(primitive, 1)
    basis = PotentialBasis(decaying_basis(force_constants_basis(primitive, 2.5)), dipole=dipole)
    weight, scatter, systematic = 1.3, 0.02, 0.05
    fitted = np.append(np.zeros(basis.second.n_second), [weight - 1.0, 0.0])
    drawn = np.repeat(fitted[None], 8, axis=0)
    drawn[:, -2] += scatter * np.random.default_rng(1).normal(size=8)
    samples = DeltaSamples.of(basis, fitted, drawn, drawn).beside(
        dipole, map_onto_crystal(primitive, training), systematic
    )
    phonon = Phonopy(to_phonopy(primitive), 3 * np.eye(3, dtype=int), primitive_matrix=np.eye(3))
    cell = from_phonopy(phonon.supercell)
    short = ForceConstantsModel(spring_term(primitive, 2.5, along=4.0)).bind(cell).force_constants()
    phonon.force_constants = short + weight * dipole.bind(cell).force_constants()
    charges = np.sqrt(weight) * dipole.charges
    phonon.nac_params = {'born': charges, 'dielectric': dipole.dielectric, 'factor': COULOMB, 'method': 'gonze'}
    point, direction = {'GAMMA': [0, 0, 0]}, {'GAMMA': [0.5, 0, 0.5]}
    before = frequencies(phonon, [[0, 0, 0]], [0.5, 0, 0.5])[0]
    found = delta_spread(phonon, samples, point, direction)
    slope = (before[5] ** 2 - before[4] ** 2) / weight / (2 * before[5])
    assert found['long_range'][0][5] == pytest.approx(slope * systematic, rel=1e-3)
    assert found['long_range_statistical'][0][5] == pytest.approx(slope * np.std(drawn[:, -2], ddof=1), rel=1e-3)
    # What the dipoles do to TO, force constants within the cutoff make up for.
    assert found['long_range'][0][:5].max() < 0.01 * found['long_range'][0][5]
    assert np.array_equal(frequencies(phonon, [[0, 0, 0]], [0.5, 0, 0.5])[0], before), (
        'the phonons are left as they were'
    )


def test_the_long_range_counts_and_its_scatter_is_in_the_bootstrap():
    delta = {
        name: np.array([[value]])
        for name, value in (
            ('bootstrap', 3.0),
            ('label_noise', 1.0),
            ('long_range', 4.0),
            ('long_range_statistical', 2.0),
        )
    }
    found = budget(np.array([[[1000.0]]]), None, delta)
    np.testing.assert_allclose(found['sd'], [[5.0]])
    np.testing.assert_allclose(found['contributions']['long_range_statistical'], [[2.0]])


def residuals(*modes):
    """Return entries of a base's errors: wave vector, frequency, degeneracy, shift and its standard error."""
    names = ('qpoint', 'frequency_cm1', 'degeneracy', 'shift_cm1', 'standard_error_cm1')
    return [dict(zip(names, mode, strict=True)) for mode in modes]


OF_FRAMES = residuals(((0, 0, 0), 1300.0, 3, 5.0, 3.0), ((0, 0.5, 0.5), 800.0, 2, 1.0, 2.0))
OF_REFERENCE = residuals(((0, 0, 0), 1300.0, 3, 0.0, 0.7))


def test_what_the_base_is_known_to_be_wrong_by_is_the_shift_beyond_its_standard_error():
    """√(5² − 3²) = 4 at the frequency of the base, of the others none; 1 is within its standard error of 2."""
    frequencies = {'GAMMA': [0, 0, 0, 1300, 1300, 1300], 'X': [800, 800]}
    points = {name: POINTS[name] for name in frequencies}
    found = base_errors([{'projected_residuals': OF_FRAMES}], frequencies, points, DIAMOND)
    assert found['GAMMA'] == pytest.approx([0, 0, 0, 4, 4, 4])
    assert found['X'] == pytest.approx([0, 0])


def test_a_stiffer_mode_of_a_method_is_off_by_less():
    found = base_errors(
        [{'projected_residuals': OF_FRAMES}], {'GAMMA': [0, 0, 0, 2600, 2600, 2600]}, {'GAMMA': (0, 0, 0)}, DIAMOND
    )
    assert found['GAMMA'][-1] == pytest.approx(2.0)


def test_the_rigid_shifts_come_behind_an_imaginary_mode():
    """The frequencies ascend, so the three imaginary ones stand before the acoustic ones, which have no error."""
    entries = residuals(((0, 0, 0), -100.0, 3, 5.0, 3.0))
    found = base_errors(
        [{'projected_residuals': entries}], {'GAMMA': [-100, -100, -100, 0, 0, 0]}, {'GAMMA': (0, 0, 0)}, DIAMOND
    )
    assert found['GAMMA'] == pytest.approx([4, 4, 4, 0, 0, 0])


def test_three_modes_that_no_frame_moves_along_are_not_known_elsewhere():
    entries = residuals(((0, 0.5, 0.5), 800.0, 3, 5.0, 3.0))
    found = base_errors([{'projected_residuals': entries}], {'X': [0.0] * 6}, {'X': POINTS['X']}, DIAMOND)
    assert found['X'] is None


def test_reference_displacements_know_better_than_frames():
    member = {'projected_residuals': OF_FRAMES, 'reference': {'modes': OF_REFERENCE}}
    found = base_errors([member], {'GAMMA': [0, 0, 0, 1300, 1300, 1300]}, {'GAMMA': (0, 0, 0)}, DIAMOND)
    assert found['GAMMA'][-1] == pytest.approx(0.7)


@pytest.mark.parametrize('member', [{}, {'projected_residuals': OF_FRAMES}], ids=['nothing', 'other-wave-vectors'])
def test_nothing_is_known_where_no_residual_was_measured(member):
    found = base_errors([member], {'L': [0.0, 1.0, 2.0]}, {'L': POINTS['L']}, DIAMOND)
    assert found['L'] is None


def test_the_error_of_the_base_adds_to_that_of_the_seeds():
    members = np.array([[[10.0, 20.0]], [[16.0, 20.0]]])
    found = budget(members, base=np.array([[4.0, np.nan]]))
    assert found['sd'] == pytest.approx(np.array([[np.hypot(np.std([10, 16], ddof=1), 4.0), 0.0]]))
