"""What labels determine, against closed forms and against frames that move along known modes."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_mlcc.science.fit.delta import FitInput
from aiida_mlcc.science.fit.delta_features import candidate_bases, delta_problem
from aiida_mlcc.science.fit.force_constants import ForceConstants, fitter
from aiida_mlcc.science.fit.label_evidence import determined_shares, suspicious_labels, undetermined_modes
from aiida_mlcc.science.fit.mapped_frames import mapped_frames
from aiida_mlcc.science.fit.ridge import Problem, prepare
from aiida_mlcc.science.labels.snapshots import Label
from aiida_mlcc.science.phonons.modes import commensurate_modes
from tests.crystals import hessian_of, rocksalt, rocksalt_cube, snapshots_of, spring_label, spring_term

RIDGE = 1e-6


def test_a_share_is_that_of_one_parameter_in_closed_form() -> None:
    feature = np.random.default_rng(0).normal(size=20)
    problem = prepare(Problem(feature[:, None], feature, np.array([1])))
    # Scaled to unit variance, Σx² is the number of frames; the prior adds ridge·n.
    share = determined_shares(problem, [0.25], np.array([[3.0]]))
    assert share == pytest.approx([1 - 0.25 / 1.25])


def test_what_no_label_sees_has_no_share() -> None:
    random = np.random.default_rng(0)
    features = np.column_stack([random.normal(size=20), np.zeros(20)])
    problem = prepare(Problem(features, features[:, 0], np.array([1, 1])))
    shares = determined_shares(problem, [1e-6], np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    assert shares[0] > 0.99
    assert shares[1] == pytest.approx(0.0, abs=1e-9)
    assert 0 < shares[2] < 1


def share_of_modes(along_all: bool):
    cell, primitive = rocksalt_cube(), rocksalt()
    base, other = spring_term(primitive, 3.0), spring_term(primitive, 3.0, 9.0, 1.2)
    site_map = mapped_frames(snapshots_of(cell, np.zeros((1, 8, 3)), {}), primitive)[0].site_map
    modes = commensurate_modes(hessian_of(base, cell), primitive, site_map)
    masses = cell.get_masses()[:, None]
    optical = max((mode for mode in modes if np.allclose(mode.qpoint, 0.0)), key=lambda mode: mode.frequency_cm1)
    vectors = [vector for mode in (modes if along_all else [optical]) for vector in mode.vectors]
    amplitudes = np.random.default_rng(0).normal(scale=0.2, size=(60, len(vectors)))
    moved = np.einsum('fm,mpa->fpa', amplitudes, np.array(vectors) / np.sqrt(masses))
    labels = {'PBE': spring_label(base, cell, moved), 'HF': spring_label(other, cell, moved)}
    snapshots = snapshots_of(cell, moved, {name: Label(label.energies) for name, label in labels.items()})
    frames = mapped_frames(snapshots, primitive)
    basis = candidate_bases(primitive, frames, 60, None, anharmonic=False)[0]
    problem = prepare(delta_problem(basis, frames, snapshots.labels['PBE'], snapshots.labels['HF']))
    ridges = [RIDGE] * problem.problem.n_groups
    return undetermined_modes(problem, ridges, basis.second, modes, site_map, basis.n_parameters), modes


def test_frames_that_move_along_all_modes_determine_all() -> None:
    assert share_of_modes(along_all=True)[0] == []


def test_of_frames_along_the_optical_mode_at_gamma_others_are_named_and_this_one_is_not() -> None:
    found, modes = share_of_modes(along_all=False)
    named = [round(entry['frequency_cm1'], 3) for entry in found]
    optical = max(mode.frequency_cm1 for mode in modes if np.allclose(mode.qpoint, 0.0))
    assert round(optical, 3) not in named
    assert round(min(mode.frequency_cm1 for mode in modes), 3) in named
    assert [entry['share'] for entry in found] == sorted(entry['share'] for entry in found)


def test_the_errors_of_a_fit_name_the_modes_that_its_labels_do_not_determine() -> None:
    """Forces of the base tell all modes, energies of the other method those along which their frames move."""
    cell, primitive = rocksalt_cube(), rocksalt()
    base, other = spring_term(primitive, 3.0), spring_term(primitive, 3.0, 7.0, 3.0)
    random = np.random.default_rng(0)
    is_lithium = np.array(cell.get_chemical_symbols()) == 'Li'
    optical = np.where(is_lithium, 0.1, -0.03)[:, None]
    alternating = 0.1 * (is_lithium * np.where(np.isclose(cell.get_scaled_positions()[:, 0] % 1, 0.5), -1, 1))[:, None]
    # A single mode would be described by rescaling alone, and no mode be named.
    along = random.normal(size=(30, 1, 3)) * optical + random.normal(size=(30, 1, 3)) * alternating
    everywhere = random.normal(scale=0.03, size=(30, 8, 3))
    moved = np.concatenate([along, everywhere])
    labels = {'PBE': spring_label(base, cell, moved), 'HF': spring_label(other, cell, moved)}
    energies = labels['HF'].energies.copy()
    named = {}
    for few in (True, False):
        energies[30:] = np.nan if few else labels['HF'].energies[30:]
        snapshots = snapshots_of(cell, moved, {'PBE': labels['PBE'], 'HF': Label(energies.copy())})
        settings = ForceConstants.of({**ForceConstants.defaults(), 'anharmonic': False, 'n_samples': 2})
        given = FitInput(snapshots, 'PBE', settings, 0, primitive)
        named[few] = fitter(given)('HF').errors['undetermined_modes']
    assert named[True]
    assert len(named[False]) < len(named[True])


def energies(wrong: dict[int, float], n: int = 40) -> Problem:
    random = np.random.default_rng(1)
    features = np.column_stack([random.normal(size=(n, 3)), random.uniform(0, 2, n)])
    targets = features @ [1.0, -2.0, 0.5, 0.1] + 0.01 * random.normal(size=n)
    for frame, error in wrong.items():
        targets[frame] += error
    return Problem(features, targets, np.array([1, 1, 1, 0]))


@pytest.mark.parametrize('wrong', [{}, {7: 0.15}, {7: 0.15, 20: -0.2}])
def test_labels_with_errors_of_their_own_are_named_and_no_others(wrong) -> None:
    found = suspicious_labels(prepare(energies(wrong)), [1e-8], 3)
    assert {label.frame for label in found} == set(wrong)
    assert [label.deviations for label in found] == sorted((label.deviations for label in found), reverse=True)
    for label in found:
        assert label.residual_ev == pytest.approx(wrong[label.frame], rel=0.5)


def test_of_few_labels_none_is_judged() -> None:
    assert suspicious_labels(prepare(energies({3: 5.0}, n=8)), [1e-8], 3) == []
