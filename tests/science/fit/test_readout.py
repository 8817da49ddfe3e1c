"""The fit of a readout finds the weights that made the labels, and says honestly what it would err elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_mlcc.science.fit.readout import Dipoles, Readout, ReadoutFit, ReadoutLabels, fit_readout
from aiida_mlcc.science.fit.ridge import RidgeError

N_FRAMES, N_ATOMS, N_FEATURES = 60, 4, 6
WEIGHTS = np.array([0.5, -1.2, 0.3, 2.0, 0.0, -0.7])
SCALE, CONSTANT = 0.1, -3.0
SETTINGS = Readout()


def labels(noise: float = 0.0, forces: int = 0, force_noise: float = 0.0, n_frames: int = N_FRAMES) -> ReadoutLabels:
    """Labels of a readout with known weights; the first `forces` frames have forces too."""
    random = np.random.default_rng(1)
    # The fit sees features and their slopes as numbers; here they are those of no structure.
    features, base = random.normal(size=(n_frames, N_FEATURES)), random.normal(size=n_frames)
    slopes, base_forces = (
        random.normal(size=(n_frames, 3 * N_ATOMS, N_FEATURES)),
        random.normal(size=(n_frames, 3 * N_ATOMS)),
    )
    difference = features @ WEIGHTS + SCALE * base + CONSTANT + noise * random.normal(size=n_frames)
    if not forces:
        return ReadoutLabels(features, base, difference)
    pulls = slopes @ WEIGHTS + SCALE * base_forces + force_noise * random.normal(size=base_forces.shape)
    pulls[forces:] = np.nan
    slopes[forces:] = np.nan
    return ReadoutLabels(features, base, difference, slopes, base_forces, pulls)


def deviation(fit: ReadoutFit) -> float:
    return float(np.abs(fit.weights - WEIGHTS).max())


def test_labels_without_noise_give_back_weights_scale_and_constant() -> None:
    fit = fit_readout(labels(), N_ATOMS, SETTINGS)
    assert fit.weights == pytest.approx(WEIGHTS, abs=1e-6)
    assert (fit.base_scale, fit.constant) == pytest.approx((SCALE, CONSTANT), abs=1e-6)


def test_frames_left_out_err_by_about_the_noise_per_atom() -> None:
    errors = fit_readout(labels(noise=0.2), N_ATOMS, SETTINGS).errors
    expected = 1000 * 0.2 / N_ATOMS
    for name in ('cv_rmse_mev_atom', 'blocked_cv_rmse_mev_atom'):
        assert errors[name] == pytest.approx(expected, rel=0.3)
    assert errors['rmse_mev_atom'] < errors['cv_rmse_mev_atom']


def test_rescaling_errs_by_what_the_features_explain() -> None:
    errors = fit_readout(labels(), N_ATOMS, SETTINGS).errors
    assert errors['cv_rescaling_mev_atom'] == pytest.approx(1000 * np.linalg.norm(WEIGHTS) / N_ATOMS, rel=0.3)


def test_forces_sharpen_the_weights() -> None:
    assert deviation(fit_readout(labels(0.2, 20, 0.02), N_ATOMS, SETTINGS)) < 0.3 * deviation(
        fit_readout(labels(0.2), N_ATOMS, SETTINGS)
    )


def test_forces_that_are_only_noise_do_no_harm() -> None:
    alone = deviation(fit_readout(labels(0.02), N_ATOMS, SETTINGS))
    assert deviation(fit_readout(labels(0.02, 20, 50.0), N_ATOMS, SETTINGS)) < 2 * alone


@pytest.mark.parametrize(('forces', 'told'), [(0, ['energies']), (5, ['energies', 'forces'])])
def test_the_labels_it_learnt_from_are_told(forces: int, told: list[str]) -> None:
    assert fit_readout(labels(forces=forces), N_ATOMS, SETTINGS).errors['labels'] == told


def test_too_few_labels_are_counted() -> None:
    with pytest.raises(RidgeError, match='3 frames carry the labels of both methods'):
        fit_readout(labels(n_frames=3), N_ATOMS, SETTINGS)


def test_one_structure_over_and_over_holds_no_motion() -> None:
    with pytest.raises(RidgeError, match='no motion to learn from'):
        fit_readout(ReadoutLabels(np.ones((8, 2)), np.ones(8), np.ones(8)), N_ATOMS, SETTINGS)


def polar_labels(free: float) -> ReadoutLabels:
    """Labels with dipoles stronger by `free` than the base's; features as many as unlike them."""
    random = np.random.default_rng(7)
    found = labels(noise=0.05)
    nominal, other = random.normal(size=(2, N_FRAMES))
    dipoles = tuple(
        Dipoles(energies, np.zeros((N_FRAMES, 3 * N_ATOMS))) for energies in (nominal, nominal + 0.02 * other)
    )
    return replace(found, difference=found.difference + free * nominal, dipoles=dipoles)


def test_dipoles_that_the_labels_speak_for_have_a_weight_with_its_errors() -> None:
    fit = fit_readout(polar_labels(0.3), N_ATOMS, SETTINGS)
    assert fit.long_range is not None
    assert fit.long_range.free == pytest.approx(0.3, abs=3 * fit.long_range.statistical)
    assert fit.long_range.weight == pytest.approx(1 + fit.base_scale + fit.long_range.free)
    assert fit.long_range.statistical < 0.03
    assert fit.long_range.systematic >= 0.2 * (fit.long_range.weight - 1)
    assert deviation(fit) < 0.05


def test_dipoles_that_the_labels_do_not_speak_for_are_those_of_the_base() -> None:
    fit = fit_readout(polar_labels(0.0), N_ATOMS, SETTINGS)
    assert fit.long_range is not None
    assert fit.long_range.free is None
    assert fit.long_range.weight == pytest.approx(1 + fit.base_scale)


def test_a_crystal_that_is_not_polar_has_no_long_range() -> None:
    assert fit_readout(labels(), N_ATOMS, SETTINGS).long_range is None
