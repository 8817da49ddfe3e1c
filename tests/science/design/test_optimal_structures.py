"""Designs against the variance they promise, and frozen phonons against the modes of springs that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import map_onto_crystal, supercell
from aiida_mlcc.science.design.optimal_structures import (
    DesignError,
    base_method_of,
    design_frozen_phonons,
    frozen_phonon_settings,
    optimal_frames,
)
from aiida_mlcc.science.fit.force_constants_basis import force_constants_basis
from aiida_mlcc.science.fit.harmonic_model import mode_sensitivities
from aiida_mlcc.science.force_field import Term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel, force_constants_term
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.science.phonons.modes import Mode, commensurate_modes, curvature_of
from tests.crystals import cubic_springs, heated, hessian_of, snapshots_of, spring_label, spring_term

CONVENTIONAL = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
DIAMOND = bulk('C', 'diamond', a=3.56)
SPRINGS = spring_term(DIAMOND, 2.7, along=40.0, across=5.0)
CUBE = supercell(DIAMOND, CONVENTIONAL)
FROZEN = {'kind': 'frozen-phonon'}


def snapshots(cell: Atoms, term: Term, n_frames: int = 12) -> Snapshots:
    """Motion that heats up, and the energies and forces of springs as PBE's."""
    moved = heated(cell, n_frames)
    return snapshots_of(cell, moved, {'PBE': spring_label(term, cell, moved)})


@pytest.fixture(scope='module')
def pool() -> Snapshots:
    return snapshots(CUBE, SPRINGS, n_frames=60)


@pytest.fixture(scope='module')
def modes() -> list[Mode]:
    return commensurate_modes(hessian_of(SPRINGS, CUBE), DIAMOND, map_onto_crystal(DIAMOND, CUBE))


def promised_variance(pool: Snapshots, frames: np.ndarray, modes: list[Mode]) -> np.ndarray:
    """Return the variance of each frequency by least squares from noisy energies of some frames, up to a factor.

    Each mode's stiffness is a parameter of its own, with its energy ½ω²Σ(v·√m·u)² as the feature: no force constants.
    """
    moved = pool.positions - CUBE.positions
    moved = (moved - moved.mean(axis=1, keepdims=True)) * np.sqrt(CUBE.get_masses())[:, None]
    amplitudes = np.array([np.sum(np.einsum('dia,fia->fd', mode.vectors, moved) ** 2, axis=1) for mode in modes]).T
    rows = np.column_stack([amplitudes / amplitudes.std(axis=0), np.ones(pool.n_frames)])[frames]
    # So few energies leave directions open: a weak prior, the same for all designs.
    covariance = np.linalg.inv(rows.T @ rows + 0.1 * np.eye(rows.shape[1]))
    scale = [1 / (mode.frequency_cm1 * amplitudes[:, number].std()) for number, mode in enumerate(modes)]
    return np.diag(covariance)[: len(modes)] * np.square(scale)


def test_chosen_frames_promise_less_variance_than_random_ones(pool, modes):
    chosen = promised_variance(pool, optimal_frames(pool, DIAMOND, 10), modes).sum()
    random = np.random.default_rng(1)
    drawn = [promised_variance(pool, random.permutation(60)[:10], modes).sum() for _ in range(100)]
    assert chosen < np.quantile(drawn, 0.05)


def test_a_design_for_one_mode_promises_less_variance_of_it_than_random_frames(pool, modes):
    (gamma,) = (number for number, mode in enumerate(modes) if not any(mode.qpoint))
    chosen = optimal_frames(pool, DIAMOND, 10, qpoints=[(0, 0, 0)])
    random = np.random.default_rng(1)
    drawn = [promised_variance(pool, random.permutation(60)[:10], modes)[gamma] for _ in range(100)]
    assert promised_variance(pool, chosen, modes)[gamma] < np.quantile(drawn, 0.05)


def test_a_smaller_design_is_the_beginning_of_a_larger_one(pool):
    small, large = (optimal_frames(pool, DIAMOND, n, seed=3) for n in (6, 15))
    assert np.array_equal(small, large[:6])
    assert len(set(large.tolist())) == 15


def test_the_seed_decides_between_frames_that_serve_equally(pool):
    twice = pool.select(np.tile(np.arange(20), 2))
    one, again, other = (optimal_frames(twice, DIAMOND, 8, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert sorted(one % 20) == sorted(other % 20)


def test_a_wave_vector_may_be_named_by_any_of_its_star(pool):
    designs = [optimal_frames(pool, DIAMOND, 5, qpoints=[q]) for q in ((0.5, 0.5, 0), (0, -0.5, 0.5), (0.5, 1.0, 1.5))]
    assert np.array_equal(designs[0], designs[1])
    assert np.array_equal(designs[0], designs[2])


def test_a_wave_vector_that_the_cell_does_not_hold_is_refused(pool):
    with pytest.raises(DesignError, match=r'wave vector \[0.5, 0.5, 0.5\] is not commensurate'):
        optimal_frames(pool, DIAMOND, 5, qpoints=[(0.5, 0.5, 0.5)])


def test_more_frames_than_there_are_is_refused(pool):
    with pytest.raises(DesignError, match='61 frames asked for, of 60 there are with PBE'):
        optimal_frames(pool, DIAMOND, 61)


def test_frames_without_an_energy_of_the_base_are_not_chosen(pool):
    label = pool.labels['PBE']
    lacking = np.where(np.arange(60) % 3 == 0, np.nan, label.energies)
    chosen = optimal_frames(pool.with_label('PBE', replace(label, energies=lacking)), DIAMOND, 20)
    assert np.isfinite(lacking[chosen]).all()
    assert len(set(chosen.tolist())) == 20


def test_sensitivities_are_the_finite_differences_of_the_frequencies(modes):
    basis, site_map = force_constants_basis(DIAMOND, 2.7), map_onto_crystal(DIAMOND, CUBE)
    found = mode_sensitivities(modes, basis, site_map)
    hessian, step = hessian_of(SPRINGS, CUBE), 1e-4
    for column, block in enumerate(basis.blocks):
        change = hessian_of(
            force_constants_term(DIAMOND, basis.pairs, basis.lattice_vectors, block, basis.cutoff), CUBE
        )
        plus, minus = (
            np.array([m.frequency_cm1 for m in commensurate_modes(hessian + s * change, DIAMOND, site_map)])
            for s in (step, -step)
        )
        np.testing.assert_allclose(found[:, column], (plus - minus) / (2 * step), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ('labels', 'sentence'), [({}, 'have no labels'), ({'HF': Label(np.zeros(3))}, 'these snapshots have HF')]
)
def test_a_design_without_forces_of_a_density_functional_is_refused(labels, sentence):
    frames = Snapshots(('C',), np.array([np.eye(3) * 3] * 3), np.zeros((3, 1, 3)), labels)
    with pytest.raises(DesignError, match=sentence):
        base_method_of(frames)


@pytest.fixture(scope='module')
def frozen(pool) -> Snapshots:
    return design_frozen_phonons(pool, DIAMOND, {**FROZEN, 'largest_displacement': 0.5, 'seed': 1})


def displacements(designed: Snapshots, cell: Atoms) -> np.ndarray:
    """Return displacements of frames in the order of the atoms of `cell`, without the rigid shift."""
    moved = designed.positions - cell.positions
    return moved - moved.mean(axis=1, keepdims=True)


def weights(moved: np.ndarray, modes: list[Mode], masses: np.ndarray) -> np.ndarray:
    """Return the share of each mode in each frame, shape (n_frames, n_modes)."""
    scaled = moved * np.sqrt(masses)[:, None]
    shares = np.array([np.sum(np.einsum('dia,fia->fd', mode.vectors, scaled) ** 2, axis=1) for mode in modes]).T
    return shares / np.sum(scaled**2, axis=(1, 2))[:, None]


def test_references_are_rigid_shifts_of_the_crystal_at_rest(frozen):
    bound = ForceConstantsModel(SPRINGS).bind(CUBE)
    at_rest = frozen.positions[:3]
    np.testing.assert_allclose(displacements(frozen, CUBE)[:3], 0, atol=1e-3)
    assert np.ptp(at_rest.mean(axis=1), axis=0).min() > 1e-3
    assert max(abs(bound.energy_forces(one)[0]) for one in at_rest) < 1e-4


def test_each_frozen_phonon_is_one_mode_at_one_wave_vector(frozen, modes):
    moved = displacements(frozen, CUBE)[3:]
    assert len(moved) == len(modes)
    np.testing.assert_allclose(weights(moved, modes, CUBE.get_masses()), np.eye(len(modes)), atol=1e-5)
    site_map = map_onto_crystal(DIAMOND, CUBE)
    for mode, one in zip(modes, moved, strict=True):
        phases = np.exp(-2j * np.pi * site_map.lattice_vectors @ np.array(mode.qpoint))
        waves = [np.abs(phases @ (one * (site_map.sites == site)[:, None])) for site in (0, 1)]
        # All of it in one wave: |Σ u·exp(−iq·L)|² is as large as the number of cells allows.
        share = sum(np.sum(wave**2) for wave in waves) / (4 * np.sum(one**2))
        assert share == pytest.approx(1.0, abs=1e-5)


def test_the_harmonic_energy_is_the_one_asked_for_or_what_the_largest_displacement_allows(frozen, pool):
    bound = ForceConstantsModel(SPRINGS).bind(CUBE)
    energies = [bound.energy_forces(one)[0] for one in frozen.positions[3:]]
    np.testing.assert_allclose(energies, 8 * 0.0625, rtol=1e-3)
    limited = design_frozen_phonons(pool, DIAMOND, {**FROZEN, 'largest_displacement': 0.02})
    longest = np.linalg.norm(displacements(limited, CUBE)[3:], axis=2).max(axis=1)
    np.testing.assert_allclose(longest, 0.02 * 3.56 * np.sqrt(3) / 4, rtol=1e-6)


def test_the_optical_mode_of_diamond_moves_along_a_cubic_axis(frozen):
    moved = displacements(frozen, CUBE)[3]
    np.testing.assert_allclose(np.abs(moved[:, 0]), np.abs(moved[0, 0]))
    np.testing.assert_allclose(moved[:, 1:], 0, atol=1e-4)


@pytest.mark.parametrize('matrix', [CONVENTIONAL, np.diag([3, 1, 1])])
def test_energies_of_diamond_are_even_in_every_frozen_phonon_that_has_one_sign(matrix):
    """Cubic springs break E(u) = E(−u) wherever symmetry does not hold it."""
    cell = supercell(DIAMOND, matrix)
    arrays = SPRINGS.arrays
    parts = (arrays['pairs'], arrays['lattice_vectors'], arrays['fc'])
    cubic = force_constants_term(DIAMOND, *parts, 2.7, third_order=cubic_springs(DIAMOND, 1.6, -150.0))
    designed = design_frozen_phonons(snapshots(cell, SPRINGS), DIAMOND, {**FROZEN, 'references': 1})
    moved = displacements(designed, cell)[1:]
    bound = ForceConstantsModel(cubic).bind(cell)
    site_map = map_onto_crystal(DIAMOND, cell)
    n_modes = len(commensurate_modes(hessian_of(SPRINGS, cell), DIAMOND, site_map))
    paired = [number for number in range(len(moved) - 1) if np.allclose(moved[number], -moved[number + 1], atol=1e-9)]
    assert len(moved) == n_modes + len(paired)
    alone = set(range(len(moved))) - {number + offset for number in paired for offset in (0, 1)}
    assert alone
    for number in alone:
        plus, minus = (bound.energy_forces(cell.positions + sign * moved[number])[0] for sign in (1, -1))
        assert plus == pytest.approx(minus, abs=1e-6)


def test_a_mode_that_pushes_the_crystal_off_its_symmetry_one_way_is_frozen_in_with_both_signs(wurtzite):
    term = spring_term(wurtzite, 3.8, along=30.0, across=5.0)
    designed = design_frozen_phonons(snapshots(wurtzite.copy(), term), wurtzite, {**FROZEN, 'references': 2})
    moved = displacements(designed, wurtzite)[2:]
    zinc = wurtzite.numbers == 30
    # Polar along c, all zinc against all sulfur: A1, whose two signs are different crystals.
    polar = [
        one
        for one in moved
        if np.abs(one[:, :2]).max() < 1e-3 and np.ptp(one[zinc, 2]) < 1e-3 and np.ptp(one[~zinc, 2]) < 1e-3
    ]
    assert len(polar) == 2
    np.testing.assert_allclose(polar[0], -polar[1], atol=1e-9)


def test_a_second_amplitude_is_a_smaller_copy_of_each_mode(pool, frozen):
    settings = {**FROZEN, 'largest_displacement': 0.5, 'seed': 1, 'second_amplitude': 0.7}
    moved = displacements(design_frozen_phonons(pool, DIAMOND, settings), CUBE)[3:]
    np.testing.assert_allclose(moved[0::2], displacements(frozen, CUBE)[3:], atol=1e-9)
    np.testing.assert_allclose(moved[1::2], 0.7 * moved[0::2], atol=1e-9)


def test_energies_with_noise_fix_a_frequency_as_well_as_the_formula_says(frozen, modes):
    """sd(ω) = ω/(2 E_h)·σ·√(1/m + 1/m₀), from the energies alone and for springs that are harmonic."""
    bound, noise, random = ForceConstantsModel(SPRINGS).bind(CUBE), 0.004, np.random.default_rng(5)
    exact = np.array([bound.energy_forces(one)[0] for one in frozen.positions])
    energies = exact + noise * random.normal(size=(4000, len(exact)))
    heights = energies[:, 3:] - energies[:, :3].mean(axis=1, keepdims=True)
    amplitudes = np.sum(displacements(frozen, CUBE)[3:] ** 2 * CUBE.get_masses()[:, None], axis=(1, 2))
    found = np.sqrt(2 * heights / amplitudes)
    for number, mode in enumerate(modes):
        scale = mode.frequency_cm1 / np.sqrt(curvature_of(mode.frequency_cm1))
        expected = mode.frequency_cm1 / (2 * 8 * 0.0625) * noise * np.sqrt(1 + 1 / 3)
        assert found[:, number].mean() * scale == pytest.approx(mode.frequency_cm1, rel=2e-3)
        assert found[:, number].std() * scale == pytest.approx(expected, rel=0.05)


def test_an_imaginary_mode_has_no_amplitude():
    # Springs that push sideways: the transverse waves have nothing to hold them.
    unstable = spring_term(DIAMOND, 1.6, along=40.0, across=-5.0)
    with pytest.raises(DesignError, match='is imaginary in DFT'):
        design_frozen_phonons(snapshots(CUBE, unstable), DIAMOND, FROZEN)


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        ({'energy': 1.0}, 'unknown .* setting `energy`'),
        ({'energy_mev_atom': -1.0}, '`energy_mev_atom` is -1.0, but must be above 0'),
        ({'energy_mev_atom': True}, 'not a number'),
        ({'largest_displacement': 0}, 'largest_displacement'),
        ({'references': 0}, '`references` is 0, but must be at least 1'),
        ({'seed': 1.5}, 'seed'),
        ({'second_amplitude': 1.0}, 'but must be above 0, below 1'),
    ],
)
def test_settings_that_make_no_sense_are_named(settings, sentence):
    with pytest.raises(DesignError, match=sentence):
        frozen_phonon_settings({**FROZEN, **settings})


def test_a_stored_selection_without_a_seed_keeps_its_structures():
    assert frozen_phonon_settings({'kind': 'frozen-phonon'}).seed == 0
