"""Phonon fine-tuning: the curvature of a network is that of its forces, and it comes nearer to what it is taught."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace.curvature import Curvature, hessian_vector_product
from aiida_mlcc.runtime.mace.graphs import neighbour_graph
from aiida_mlcc.runtime.mace.model import model_of
from aiida_mlcc.runtime.task import Job
from aiida_mlcc.science.crystal.cells import from_phonopy, to_phonopy
from aiida_mlcc.science.fit.hessian_columns import HessianColumns
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.science.units import CM1_PER_THZ
from tests.crystals import (
    SPRING,
    optical_frequency_cm1,
    rocksalt,
    rocksalt_cube,
    spring_label,
    spring_term,
    springs,
)
from tests.runtime.mace.alloy import NETWORK, TRAINING, cell, random_term, rattled
from tests.runtime.tasks.test_base_judge import PRIMITIVE
from tests.runtime.tasks.test_train import BASE, history_of, main_in, output_of, prepare
from tests.workflows.data import snapshots_of_springs

R_MAX = NETWORK['r_max']
TUNING = {**TRAINING, 'epochs': 6, 'hessian_epochs': 3, 'hessian_learning_rate': 0.005, 'hessian_weight': 10.0}


def forces_of(network: torch.nn.Module, positions: np.ndarray) -> np.ndarray:
    graph = neighbour_graph(cell().numbers, cell().cell.array, positions, R_MAX)
    output = network(graph.mace_input(network.atomic_numbers), compute_force=True)
    return output['forces'].detach().numpy()


def trainable() -> torch.nn.Module:
    return model_of(random_term()).requires_grad_(True)


def columns_of_springs() -> HessianColumns:
    phi = ForceConstantsModel(spring_term(cell(), 3.0, 20.0)).bind(cell()).force_constants()
    return HessianColumns.of_force_constants(phi, cell())


def reference() -> Snapshots:
    """Displacements of the crystal of springs in its cube."""
    frames = displaced_cells(rocksalt_cube(), [1, 1, 1], Displacements(0.02))
    moved = frames.positions - frames.positions[0]
    (term,) = springs(rocksalt()).terms
    label = spring_label(term, frames.atoms(0), moved)
    return frames.with_label('LDA', Label(label.energies, label.forces, {'springs': SPRING}))


def tuned_folder(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    reference().save(folder / 'reference.npz')
    network = {**NETWORK, 'r_max': 2.5}
    content = {'reference': 'reference.npz', 'primitive': PRIMITIVE, 'network': network, 'training': TUNING, **changes}
    return prepare(folder, snapshots_of_springs(24, {'HF': 3.6}, 0.05), **content)


@cache
def tuned() -> Path:
    folder = tuned_folder(Path(mkdtemp()))
    assert main_in(folder) == 0
    return folder


def test_the_product_with_the_hessian_is_the_derivative_of_the_forces() -> None:
    (atoms,) = rattled(1)
    network, direction = trainable(), np.random.default_rng(1).normal(size=(4, 3))
    graph = neighbour_graph(atoms.numbers, atoms.cell.array, atoms.positions, R_MAX)
    found = hessian_vector_product(network, graph, torch.as_tensor(direction)).detach().numpy()
    step = 1e-3
    near, far = (
        forces_of(network, atoms.positions + n * step * direction)
        - forces_of(network, atoms.positions - n * step * direction)
        for n in (1, 2)
    )
    assert np.abs(found + (8 * near - far) / (12 * step)).max() < 1e-8 * np.abs(found).max()


def test_the_loss_can_be_derived_by_the_weights() -> None:
    network = trainable()
    curvature = Curvature.of(columns_of_springs(), R_MAX, 'float64', 'cpu')
    curvature.mean_square(network, 0).backward()
    weight = next(network.parameters())
    expected, step = float(weight.grad.flatten()[0]), 1e-5
    values = []
    for sign in (1, -1):
        weight.data.flatten()[0] += sign * step
        values.append(float(curvature.mean_square(network, 0).detach()))
        weight.data.flatten()[0] -= sign * step
    assert expected == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)


def test_irreducible_columns_ask_for_as_much_as_random_ones() -> None:
    """The expected loss of a column drawn by its share is the mean over all atoms and directions."""
    network, columns = trainable(), columns_of_springs()
    phi = ForceConstantsModel(spring_term(cell(), 3.0, 20.0)).bind(cell()).force_constants()
    every = np.eye(12).reshape(12, 4, 3)
    whole = replace(
        columns, directions=every, responses=np.einsum('ijab,cjb->cia', phi, every), shares=np.full(12, 1 / 12)
    )
    few, all_of_them = (Curvature.of(each, R_MAX, 'float64', 'cpu') for each in (columns, whole))
    assert len(few.shares) == 3
    assert few.expected_mean_square(network) == pytest.approx(all_of_them.expected_mean_square(network), rel=1e-10)


def test_a_column_is_drawn_as_often_as_its_share_says() -> None:
    curvature = Curvature.of(columns_of_springs(), R_MAX, 'float64', 'cpu')
    random = np.random.default_rng(0)
    drawn = np.bincount([curvature.draw(random) for _ in range(4000)], minlength=3) / 4000
    assert drawn == pytest.approx(np.array(curvature.shares), abs=0.03)


@pytest.mark.nightly
def test_fine_tuning_follows_the_training_and_brings_the_curvature_nearer() -> None:
    history, errors = history_of(tuned()), output_of(tuned())['errors']
    assert [line['epoch'] for line in history] == list(range(1, 10))
    curvature = [line.get('valid_hessian_rmse_ev_angstrom2') for line in history]
    assert curvature[:6] == [None] * 6
    assert curvature[6] > curvature[7] > curvature[8]
    before, after = errors['before_fine_tuning']['phonons'], errors['phonons']
    assert after['frequencies_mae_cm1'] < before['frequencies_mae_cm1']
    assert after['reference'] == before['reference']


@pytest.mark.nightly
def test_the_reference_is_that_of_the_springs() -> None:
    told = output_of(tuned())['errors']['phonons']['reference']
    assert told['highest_cm1'] == pytest.approx(optical_frequency_cm1(rocksalt()), abs=0.5)


def test_phonons_are_told_of_the_force_field_that_is_kept() -> None:
    """The highest frequency, by phonopy's own displacements."""
    from phonopy import Phonopy

    calculator = ForceFieldCalculator(ForceField.load(tuned() / 'force_field'))
    phonon = Phonopy(to_phonopy(rocksalt_cube()), np.eye(3), primitive_matrix='F', log_level=0)
    phonon.generate_displacements(distance=0.005, is_plusminus=True)
    phonon.forces = [calculator.get_forces(from_phonopy(each)) for each in phonon.supercells_with_displacements]
    phonon.produce_force_constants()
    phonon.run_mesh([8, 8, 8], is_gamma_center=True)
    told = output_of(tuned())['errors']['phonons']['base']
    assert told['highest_cm1'] == pytest.approx(CM1_PER_THZ * phonon.mesh.frequencies.max(), abs=0.5)


def test_the_network_says_which_reference_it_learnt() -> None:
    (term,) = ForceField.load(tuned() / 'force_field').terms
    assert term.trained_on['reference'] == reference().content_hash()


@pytest.mark.nightly
def test_no_epochs_of_fine_tuning_leave_the_network_and_judge_it(tmp_path: Path) -> None:
    folder = tuned_folder(tmp_path, training={**TUNING, 'epochs': 1, 'hessian_epochs': 0})
    assert main_in(folder) == 0
    errors = output_of(folder)['errors']
    assert 'before_fine_tuning' not in errors
    assert errors['phonons']['frequencies_mae_cm1'] > 0


@pytest.mark.nightly
@pytest.mark.parametrize('epochs_before', [4, 6, 7], ids=['before', 'between', 'within'])
def test_a_fine_tuning_stopped_and_resumed_is_bit_by_bit_the_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs_before: int
) -> None:
    with monkeypatch.context() as patch:
        asked = iter([*[False] * epochs_before, True])
        patch.setattr(Job, 'must_stop', lambda *_, **__: next(asked))
        assert main_in(tuned_folder(tmp_path)) == 0
    assert output_of(tmp_path)['epochs_done'] == epochs_before
    assert main_in(tmp_path) == 0
    assert history_of(tmp_path) == history_of(tuned())
    weights = [folder / 'force_field' / 'weights.safetensors' for folder in (tmp_path, tuned())]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'primitive': None}, 'need the primitive cell of the crystal'),
        ({'target': {**BASE, 'forces': False}, 'primitive': PRIMITIVE}, 'for a base that learns forces'),
        ({'target': {**BASE, 'method': 'HF', 'forces': True}}, 'HF labels have no forces'),
    ],
    ids=['no crystal', 'no forces', 'another method'],
)
def test_a_reference_that_nothing_can_be_learnt_from_is_refused(tmp_path: Path, changes: Any, sentence: str) -> None:
    folder = tuned_folder(tmp_path, **changes)
    assert main_in(folder) == 1
    assert sentence in json.loads((folder / 'output.json').read_text())['message']
