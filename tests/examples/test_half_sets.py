"""The half-set study on a few frames of eight atoms: what it learns from, measures, and does not compute again."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import half_sets
import numpy as np
import pytest
from ase import Atoms
from half_sets import Half, deltas, mean_of, models_of, predict, random_half, study, train, without_base

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace.readout import ReadoutFitter
from aiida_mlcc.science.force_field import add_delta
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.workflows.training.delta_train import DeltaTrainWorkChain
from tests.benchmarks.data import load
from tests.runtime.mace.alloy import NETWORK, TRAINING

N_FRAMES = 25
N_TRAIN = 12
SEED = 5192
SCALE = 0.25
SHIFT = 3.0
METHODS = ('HF',)
ENTRY = {'method': 'HF', 'kind': 'mace', 'energy_rmse_mev_atom': {'train': 1.0, 'test': 2.0}}
"""What a study tells of one model."""


@pytest.fixture(autouse=True)
def one_method(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the other methods, which are treated like HF."""
    monkeypatch.setattr(half_sets, 'WAVEFUNCTION_METHODS', METHODS)


@cache
def crystal() -> tuple[Snapshots, Atoms]:
    """Frames of LiF whose HF energies are those of LDA, rescaled and shifted, and the primitive cell."""
    frames, primitive = load(None, 'lif8')
    frames = frames.select(range(N_FRAMES))
    rescaled = Label((1 + SCALE) * frames.labels['LDA'].energies + SHIFT)
    return frames.with_label('HF', rescaled), primitive


@cache
def protocol() -> dict[str, Any]:
    inputs = DeltaTrainWorkChain.get_protocol_inputs('paper')
    for part in (inputs['base'], inputs['delta']['mace']):
        part |= {'network': NETWORK, 'training': {**TRAINING, 'epochs': 1, 'dtype': 'float64'}}
    inputs['delta']['force_constants']['parameters'] |= {'anharmonic': False, 'n_samples': 2}
    return inputs


def half(frames: Snapshots) -> Half:
    return Half(frames, crystal()[1], 'LDA', random_half(N_FRAMES, N_TRAIN, SEED), protocol(), SEED)


@cache
def measured() -> list[dict[str, Any]]:
    return models_of(half(crystal()[0]))


def entry(entries: list[dict[str, Any]], method: str, kind: str) -> dict[str, Any]:
    (found,) = [e for e in entries if (e['method'], e['kind']) == (method, kind)]
    return found


def test_a_half_has_no_frame_in_common_with_the_other() -> None:
    drawn = half(crystal()[0])
    assert len(drawn.train) == N_TRAIN
    assert sorted([*drawn.train, *drawn.test]) == list(range(N_FRAMES))


def test_each_seed_draws_a_half_of_its_own() -> None:
    assert random_half(200, 98, 5192).tolist() != random_half(200, 98, 861).tolist()


@pytest.mark.nightly
def test_all_models_of_the_study_are_there() -> None:
    kinds = ('rescaling', 'mace', 'readout', 'force-constants')
    expected = [('LDA(E)', 'mace'), ('LDA', 'mace'), *((m, k) for m in METHODS for k in kinds)]
    assert [(e['method'], e['kind']) for e in measured()] == expected


@pytest.mark.nightly
def test_nothing_is_learnt_from_the_other_half() -> None:
    frames = crystal()[0]
    unseen = half(frames).test
    for method, label in frames.labels.items():
        energies = label.energies.copy()
        energies[unseen] += np.linspace(-1.0, 1.0, len(unseen))
        forces = None if label.forces is None else label.forces.copy()
        if forces is not None:
            forces[unseen] *= -1.0
        frames = frames.with_label(method, replace(label, energies=energies, forces=forces))
    for before, after in zip(measured(), models_of(half(frames)), strict=True):
        for name in (name for name in before if '_rmse_' in name):
            assert after[name]['train'] == pytest.approx(before[name]['train'], rel=1e-9, abs=1e-6)


@pytest.mark.nightly
@pytest.mark.parametrize('kind', ['rescaling', 'readout', 'force-constants'])
def test_a_rescaled_functional_is_learnt_to_the_last_digit_by_what_can_rescale(kind: str) -> None:
    errors = entry(measured(), 'HF', kind)['energy_rmse_mev_atom']
    assert max(errors.values()) < 0.01


def test_errors_are_told_per_atom_and_by_half() -> None:
    drawn = half(crystal()[0])
    wrong = np.where(np.isin(np.arange(N_FRAMES), drawn.train), 0.008, -0.016)
    assert drawn.energy_rmse(wrong) == pytest.approx({'train': 1.0, 'test': 2.0})


@pytest.mark.nightly
def test_a_delta_without_its_base_and_the_base_rescaled_are_their_sum() -> None:
    drawn = half(crystal()[0])
    base = train(drawn, 'LDA', None, forces=True)
    fitter = ReadoutFitter(drawn.known, base.terms[0], 'LDA')
    base_energy = predict(base, drawn.snapshots.select([3]))[0][0]
    for kind, delta in deltas(drawn, fitter, 'MP2').items():
        own = predict(without_base(delta, base), drawn.snapshots.select([3]))[0][0]
        whole = ForceFieldCalculator(add_delta(base, delta)).get_potential_energy(drawn.snapshots.atoms(3))
        assert own + (1 + delta.base_scale) * base_energy == pytest.approx(whole, abs=1e-8), kind


def test_the_mean_is_over_seeds() -> None:
    other = {**ENTRY, 'energy_rmse_mev_atom': {'train': 3.0, 'test': 6.0}}
    assert mean_of({'1': [ENTRY], '2': [other]}) == [{**ENTRY, 'energy_rmse_mev_atom': {'train': 2.0, 'test': 4.0}}]


def run(output: Path, seeds: list[int], n_train: int = N_TRAIN) -> dict[str, Any]:
    return study(*crystal(), 'LDA', protocol(), n_train, seeds, output)


def test_a_seed_that_the_output_has_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    monkeypatch.setattr(half_sets, 'models_of', lambda drawn: computed.append(drawn.seed) or [ENTRY])
    output = tmp_path / 'errors.json'
    run(output, [1, 2])
    result = run(output, [1, 2, 3])
    assert computed == [1, 2, 3]
    assert list(result['seeds']) == ['1', '2', '3']
    assert json.loads(output.read_text()) == result


def test_an_output_of_other_settings_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_sets, 'models_of', lambda _: [ENTRY])
    output = tmp_path / 'errors.json'
    run(output, [1])
    with pytest.raises(SystemExit, match='other n_train and n_test'):
        run(output, [1], n_train=10)


def test_seeds_of_another_run_into_the_same_output_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / 'errors.json'

    def meanwhile(drawn: Half) -> list[dict[str, Any]]:
        if drawn.seed == 1:
            run(output, [2])
        return [ENTRY]

    monkeypatch.setattr(half_sets, 'models_of', meanwhile)
    assert sorted(run(output, [1])['seeds']) == ['1', '2']


@pytest.mark.parametrize('n_train', [0, N_FRAMES])
def test_an_empty_half_is_refused(n_train: int, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match='leave none'):
        run(tmp_path / 'errors.json', [1], n_train)


def test_options_change_the_protocol_of_the_article() -> None:
    options = half_sets.options_of(['--data', 'x', '--output', 'y', '--channels', '8', '--energy-epochs', '70'])
    inputs = half_sets.protocol_of(options)
    assert inputs['base']['training']['epochs'] == 50
    assert inputs['delta']['mace']['training']['epochs'] == 70
    assert inputs['base']['network']['r_max'] == 3.0
    assert inputs['base']['network']['MLP_irreps'] == '8x0e'
