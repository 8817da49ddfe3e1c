"""Harmonic force constants from forces of motion that is not harmonic, against springs that are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import CrystalError, map_onto_crystal, supercell, to_phonopy
from aiida_mlcc.science.fit.harmonic_model import fit_force_constants, harmonic_model
from aiida_mlcc.science.fit.third_order_basis import second_shell
from aiida_mlcc.science.labels.snapshots import Label, SnapshotsError
from aiida_mlcc.science.phonons.modes import CM1_PER_ROOT_CURVATURE, commensurate_modes, inverse_force_weights
from tests.crystals import heated, hessian_of, snapshots_of, spring_label, spring_term, stretched

CONVENTIONAL = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
DIAMOND = bulk('C', 'diamond', a=3.56)
CELL = supercell(DIAMOND, CONVENTIONAL)
SPRINGS = spring_term(DIAMOND, 2.6, along=40.0, across=5.0)
CUBIC = -150.0


def motion(n_frames=40, cubic=CUBIC):
    """Displacements of a run that heats up, and forces of springs with cubic ones to nearest neighbours."""
    moved = heated(CELL, n_frames)
    return moved, spring_label(SPRINGS, CELL, moved).forces + stretched(CELL, moved, 1.7, cubic)[1]


def snapshots(moved, forces):
    return snapshots_of(CELL, moved, {'PBE': Label(np.zeros(len(moved)), forces)})


def frequencies(hessian):
    return np.array([m.frequency_cm1 for m in commensurate_modes(hessian, DIAMOND, map_onto_crystal(DIAMOND, CELL))])


@pytest.fixture(scope='module')
def model():
    return harmonic_model(snapshots(*motion()), DIAMOND, 'PBE')


def test_springs_are_recovered_beside_cubic_ones(model):
    found = np.array([mode.frequency_cm1 for mode in model.modes()])
    np.testing.assert_allclose(found, frequencies(hessian_of(SPRINGS, CELL)), atol=0.1)
    np.testing.assert_allclose(model.hessian, hessian_of(SPRINGS, CELL), atol=1e-3)


def test_without_third_order_what_is_cubic_passes_for_other_springs():
    moved, forces = motion()
    site_map = map_onto_crystal(DIAMOND, CELL)
    truth = frequencies(hessian_of(SPRINGS, CELL))
    wrong = []
    for third_order_cutoff in (None, second_shell(DIAMOND)):
        term, info = fit_force_constants(
            moved,
            forces,
            site_map,
            DIAMOND,
            2.6,
            inverse_force_weights(forces),
            third_order_cutoff=third_order_cutoff,
        )
        wrong.append(np.abs(frequencies(hessian_of(term, CELL)) - truth).max())
    assert wrong[0] > 10
    assert wrong[1] < 0.1
    assert info['rmse_mev_angstrom'] < 1.0


def test_the_mean_square_error_of_the_forces_is_what_the_fit_leaves():
    moved, forces = motion(cubic=0.0)
    noise = 0.05 * np.random.default_rng(1).normal(size=forces.shape)
    info = fit_force_constants(moved, forces + noise, map_onto_crystal(DIAMOND, CELL), DIAMOND, 2.0)[1]
    noiseless = fit_force_constants(moved, forces, map_onto_crystal(DIAMOND, CELL), DIAMOND, 2.0)[1]
    # Springs to second neighbours are missing; what the noise adds is known to 2 %.
    expected = np.hypot(noiseless['rmse_mev_angstrom'], 50.0)
    assert info['rmse_mev_angstrom'] == pytest.approx(expected, rel=0.05)


def test_frames_of_no_weight_count_for_nothing():
    moved, forces = motion(12, cubic=0.0)
    spoilt = forces.copy()
    spoilt[::3] += 5.0 * np.random.default_rng(2).normal(size=spoilt[::3].shape)
    weights = np.where(np.arange(12) % 3 == 0, 0.0, 1.0)
    term = fit_force_constants(moved, spoilt, map_onto_crystal(DIAMOND, CELL), DIAMOND, 2.6, weights, [1e-10])[0]
    np.testing.assert_allclose(hessian_of(term, CELL), hessian_of(SPRINGS, CELL), atol=1e-3)


def test_gradients_of_free_sites_are_found_in_the_forces(wurtzite):
    cell = supercell(wurtzite, [2, 2, 1])
    springs = spring_term(wurtzite, 2.6, along=20.0, across=4.0)
    moved = heated(cell, 10)
    gradient = np.array([[0, 0, 0.3 if number == 30 else -0.3] for number in cell.numbers])
    forces = spring_label(springs, cell, moved).forces - gradient
    term = fit_force_constants(moved, forces, map_onto_crystal(wurtzite, cell), wurtzite, 2.6)[0]
    sites = map_onto_crystal(wurtzite, cell).sites
    np.testing.assert_allclose(term.arrays['first_order'][sites], gradient, atol=1e-3)


def test_the_dynamical_matrix_has_the_frequencies_of_phonopy(model):
    from phonopy import Phonopy

    from aiida_mlcc.science.phonons.dispersion import frequencies as phonopy_frequencies

    phonon = Phonopy(to_phonopy(DIAMOND), 5 * np.eye(3), primitive_matrix='P')
    phonon.force_constants = model.force_constants.bind(supercell(DIAMOND, 5)).force_constants()
    phonon.masses = DIAMOND.get_masses()
    for qpoint in ((0.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.13, 0.37, -0.2)):
        matrix = model.dynamical_matrix(np.array(qpoint))
        np.testing.assert_allclose(matrix, matrix.conj().T, atol=1e-10)
        squares = np.linalg.eigvalsh(matrix)
        found = np.sign(squares) * np.sqrt(np.abs(squares)) * CM1_PER_ROOT_CURVATURE
        np.testing.assert_allclose(found, phonopy_frequencies(phonon, [qpoint])[0], atol=0.05)


def test_frames_without_forces_are_left_out():
    moved, forces = motion(16)
    lacking = forces.copy()
    lacking[[0, 5]] = np.nan
    kept = [frame for frame in range(16) if frame not in (0, 5)]
    one, other = (
        harmonic_model(s, DIAMOND, 'PBE').hessian
        for s in (snapshots(moved, lacking), snapshots(moved[kept], forces[kept]))
    )
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_snapshots_without_forces_are_refused():
    moved, forces = motion(4)
    with pytest.raises(SnapshotsError, match='from PBE forces'):
        harmonic_model(snapshots(moved, None), DIAMOND, 'PBE')
    with pytest.raises(SnapshotsError, match='from LDA forces'):
        harmonic_model(snapshots(moved, forces), DIAMOND, 'LDA')
    with pytest.raises(SnapshotsError, match='1 of 1 frames'):
        harmonic_model(snapshots(moved[:1], forces[:1]), DIAMOND, 'PBE')


def test_frames_of_another_crystal_are_refused(rock_salt):
    with pytest.raises(CrystalError):
        harmonic_model(snapshots(*motion(4)), rock_salt, 'PBE')
