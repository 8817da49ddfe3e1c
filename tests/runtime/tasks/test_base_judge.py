"""A base judged by the modes of its training cell, and corrected: on springs, whose frequencies are known."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aiida_mlcc.runtime.__main__ import main
from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace.training_data import Labelled, Target, labelled_frames
from aiida_mlcc.science.force_field import ForceField
from tests.crystals import SPRING, optical_frequency_cm1, rocksalt
from tests.runtime.mace.alloy import NETWORK, TRAINING
from tests.workflows.data import snapshots_of_springs

N_FRAMES, AMPLITUDE, SEED = 30, 0.03, 5192
BASE = {'method': 'LDA', 'minus': None, 'forces': True}
PRIMITIVE = {
    'symbols': rocksalt().get_chemical_symbols(),
    'cell': rocksalt().cell.tolist(),
    'positions': rocksalt().positions.tolist(),
}
CORRECTION = {'cutoff': 2.5}


def train(folder: Path, **changes: Any) -> dict[str, Any]:
    """Train for a moment, and return the output."""
    snapshots_of_springs(N_FRAMES, {'HF': 3.6}, AMPLITUDE).save(folder / 'snapshots.npz')
    content = {
        'task': 'train',
        'max_seconds': None,
        'snapshots': 'snapshots.npz',
        'target': BASE,
        'network': {**NETWORK, 'r_max': 2.5},
        'training': {**TRAINING, 'epochs': 4, 'frame_weights': 'inverse-force'},
        'seed': SEED,
        'device': 'cpu',
        'dtype': 'float32',
        **changes,
    }
    (folder / 'input.json').write_text(json.dumps(content))
    main(['train'], folder)
    return json.loads((folder / 'output.json').read_text())


@cache
def corrected() -> tuple[ForceField, dict[str, Any]]:
    """A base that has been trained for a moment and corrected, and its errors."""
    folder = Path(mkdtemp())
    output = train(folder, primitive=PRIMITIVE, correction=CORRECTION)
    return ForceField.load(folder / 'force_field'), output['errors']


def network_alone() -> ForceField:
    whole = corrected()[0]
    return replace(whole, terms=whole.terms[:1], probe=None)


def data() -> Labelled:
    return labelled_frames(
        snapshots_of_springs(N_FRAMES, amplitude=AMPLITUDE), Target(**BASE), TRAINING['valid_fraction'], SEED
    )


def forces_left(force_field: ForceField, frames: NDArray[np.int64]) -> float:
    """Root mean square error of the forces, meV/Å."""
    calculator = ForceFieldCalculator(force_field)
    wrong = [calculator.get_forces(data().snapshots.atoms(i)) - data().forces[i] for i in frames]
    return 1e3 * float(np.sqrt(np.mean(np.square(wrong))))


def optical(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return max((e for e in entries if e['qpoint'] == [0, 0, 0]), key=lambda e: e['frequency_cm1'])


def optical_of(force_field: ForceField) -> float:
    """Optical frequency at Γ by a finite difference, cm⁻¹."""
    calculator = ForceFieldCalculator(force_field)
    step = 1e-3
    pulls = []
    for sign in (1, -1):
        atoms = rocksalt()
        atoms.positions[0, 0] += sign * step
        pulls.append(calculator.get_forces(atoms)[0, 0])
    curvature = -(pulls[0] - pulls[1]) / (2 * step)
    # The springs' own curvature is 2.4 times their stiffness.
    return float(optical_frequency_cm1(rocksalt()) * np.sqrt(curvature / (2.4 * SPRING)))


@pytest.mark.nightly
def test_a_corrected_base_is_the_network_with_force_constants_of_the_same_method() -> None:
    force_field = corrected()[0]
    assert [term.kind for term in force_field.terms] == ['mace', 'force-constants']
    assert force_field.method == 'LDA'


@pytest.mark.nightly
def test_the_errors_told_of_a_corrected_base_are_those_of_network_and_correction() -> None:
    force_field, errors = corrected()
    valid = data().valid
    assert errors['valid_forces_rmse_mev_angstrom'] == pytest.approx(forces_left(force_field, valid), rel=1e-3)
    calculator = ForceFieldCalculator(force_field)
    wrong = [calculator.get_potential_energy(data().snapshots.atoms(i)) - data().energies[i] for i in valid]
    expected = 1e3 * np.sqrt(np.mean(np.square(wrong))) / 8
    assert errors['valid_energy_rmse_mev_atom'] == pytest.approx(expected, rel=1e-3)


@pytest.mark.nightly
def test_the_residual_told_is_what_the_network_lacks_of_the_frequency() -> None:
    entry = optical(corrected()[1]['projected_residuals_uncorrected'])
    assert entry['frequency_cm1'] == pytest.approx(optical_frequency_cm1(rocksalt()), rel=1e-3)
    lacking = optical_frequency_cm1(rocksalt()) - optical_of(network_alone())
    assert abs(entry['shift_cm1'] - lacking) < 4 * entry['standard_error_cm1'] < 0.2 * lacking


@pytest.mark.nightly
def test_the_correction_brings_the_frequency_to_that_of_the_springs() -> None:
    wanted = optical_frequency_cm1(rocksalt())
    assert abs(optical_of(corrected()[0]) - wanted) < 0.1 * abs(optical_of(network_alone()) - wanted)


@pytest.mark.nightly
def test_every_mode_of_the_cell_is_told_before_and_after_the_correction() -> None:
    errors = corrected()[1]
    before, after = errors['projected_residuals_uncorrected'], errors['projected_residuals']
    # Γ and X of rocksalt: one and four frequencies.
    assert len(before) == len(after) == 5
    assert errors['correction']['cutoff_angstrom'] == 2.5
    assert optical(after)['shift_cm1'] < 0.1 * abs(optical(before)['shift_cm1'])


@pytest.mark.nightly
def test_a_correction_takes_force_from_frames_that_neither_it_nor_the_network_has_seen() -> None:
    assert forces_left(corrected()[0], data().valid) < forces_left(network_alone(), data().valid)


def test_a_base_on_energies_alone_is_judged_by_forces_it_has_not_seen(tmp_path: Path) -> None:
    training = {**TRAINING, 'epochs': 1}
    errors = train(tmp_path, target={**BASE, 'forces': False}, training=training, primitive=PRIMITIVE)['errors']
    assert errors['valid_forces_rmse_mev_angstrom'] > 0
    assert len(errors['projected_residuals']) == 5
    assert 'projected_residuals_uncorrected' not in errors
    assert ForceField.load(tmp_path / 'force_field').terms[0].trained_on['labels'] == ['energies']


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'correction': CORRECTION}, 'needs the primitive cell'),
        ({'target': {**BASE, 'forces': False}, 'correction': CORRECTION, 'primitive': PRIMITIVE}, 'energies alone'),
        ({'target': {'method': 'HF', 'minus': 'LDA', 'forces': False}, 'primitive': PRIMITIVE}, 'those of a base'),
        ({'primitive': {**PRIMITIVE, 'cell': (1.05 * rocksalt().cell.array).tolist()}}, 'strain'),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_training(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    assert sentence in train(tmp_path, **changes)['message']
    assert not (tmp_path / 'history.jsonl').exists()
