"""Whether a Δ is worth having, on labels that are known to be, or not to be."""

import numpy as np
import pytest

from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.fit.harmonic_model import harmonic_model
from aiida_mlcc.science.fit.mapped_frames import mapped_frames
from aiida_mlcc.science.force_field.evaluate import energies_and_forces
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.crystals import heated, rocksalt, rocksalt_cube, spring_term

N_FRAMES = 40
QUICK = {'n_folds': 4, 'n_samples': 2}


def labelled(positions, difference, scale=0.1):
    """Return frames of springs (LDA), and a method that rescales their energies and adds `difference` of the frames."""
    cell = rocksalt_cube()
    frames = Snapshots(tuple(cell.symbols), np.repeat(cell.cell.array[None], len(positions), axis=0), positions)
    base = energies_and_forces((spring_term(rocksalt(), 3.0),), frames)[0]
    found = frames.with_label('LDA', Label(base)).with_label('HF', Label((1 + scale) * base + difference(frames)))
    return found


def hot(seed=0):
    cell = rocksalt_cube()
    return cell.positions + heated(cell, N_FRAMES, seed)


def stiffer(frames):
    """Springs between nearest neighbours alone, of which the base has others as well."""
    return 0.2 * energies_and_forces((spring_term(rocksalt(), 2.2),), frames)[0]


def noise(frames):
    return np.random.default_rng(5).normal(0, 0.005, frames.n_frames)


def errors_of(snapshots):
    return fit_delta(snapshots, rocksalt(), 'LDA', 'HF', **QUICK)


def test_force_constants_that_the_labels_hold_are_worth_it():
    errors = errors_of(labelled(hot(), stiffer)).errors
    assert errors['judged_by'] == 'held-out'
    assert errors['worth_it'] is True
    assert errors['predicted_rmse_mev_atom'] < 0.1 * errors['predicted_rescaling_mev_atom']
    assert 'remark' not in errors


def test_no_mode_is_called_undetermined_where_delta_only_rescales():
    """By the ridges that hold the force constants at zero every mode would seem to be so."""
    frames = labelled(hot(), noise)
    pulls = energies_and_forces((spring_term(rocksalt(), 3.0),), frames)[1]
    model = harmonic_model(frames.with_label('PBE', Label(frames.labels['LDA'].energies, pulls)), rocksalt(), 'PBE')
    found = fit_delta(frames, rocksalt(), 'LDA', 'HF', harmonic=model, **QUICK).errors
    assert found['rescaled_only'] is True
    assert 'undetermined_modes' not in found


def test_where_only_the_rescaled_energy_is_supported_it_is_used_alone():
    fit = errors_of(labelled(hot(), noise))
    assert fit.errors['evidence_gain'] <= 3
    assert 'Δ only rescales' in fit.errors['remark']
    (term,) = fit.force_field.terms
    assert np.abs(term.arrays['fc']).max() < 1e-3
    assert fit.force_field.base_scale == pytest.approx(0.1, abs=0.05)
    assert np.ptp(fit.samples.bootstrap[:, -1]) > 0


def frozen(amplitudes):
    """Return the crystal at rest twice, and sublattices and layers moved by each amplitude (Å)."""
    cell = rocksalt_cube()
    lithium = np.array(cell.get_chemical_symbols()) == 'Li'
    layer = np.cos(2 * np.pi * cell.get_scaled_positions()[:, 2]).round()
    patterns = np.zeros((3, 8, 3))
    patterns[0, :, 0] = np.where(lithium, 1.0, -1.0)
    patterns[1, :, 0] = layer
    patterns[2, :, 2] = layer
    return np.array([cell.positions] * 2 + [cell.positions + a * p for p in patterns for a in amplitudes])


def test_frozen_phonons_in_two_amplitudes_are_judged_by_the_smaller_one():
    """A quartic that the larger amplitude takes for harmonic: it says what the smaller one has to within 1 − (3/4)²."""
    snapshots = labelled(frozen((0.08, 0.06)), stiffer)
    errors = errors_of(snapshots).errors
    assert errors['judged_by'] == 'amplitudes'
    assert errors['worth_it'] is True
    assert errors['predicted_rmse_mev_atom'] < 0.3 * errors['predicted_rescaling_mev_atom']


def test_frozen_phonons_in_one_amplitude_cannot_be_judged():
    errors = errors_of(labelled(frozen((0.08,)), stiffer)).errors
    assert errors['judged_by'] == 'nothing'
    assert errors['worth_it'] is None


def test_amplitudes_that_contradict_each_other_are_not_worth_it():
    """The smaller amplitude says the opposite of the larger one."""
    positions = frozen((0.08, 0.06))
    snapshots = labelled(positions, stiffer)
    moved = mapped_frames(snapshots, rocksalt())[0].displacements
    small = np.isclose(np.abs(moved).max(axis=(1, 2)), 0.06, atol=0.01)
    label = snapshots.labels['HF']
    wrong = np.where(small, 1.1 * snapshots.labels['LDA'].energies - 5 * stiffer(snapshots), label.energies)
    errors = errors_of(snapshots.with_label('HF', Label(wrong))).errors
    assert errors['worth_it'] is False
