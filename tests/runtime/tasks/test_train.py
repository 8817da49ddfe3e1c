"""Training: what it learns is measured on frames it has not seen; stopped and resumed it is the same training."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

from aiida_mlcc.runtime.__main__ import main as run_task
from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace.training_data import Target, labelled_frames
from aiida_mlcc.runtime.task import Job, JobError
from aiida_mlcc.runtime.tasks.train import CHECKPOINT_FILE, run
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.runtime.mace.alloy import NETWORK, TRAINING, labelled

BASE = {'method': 'LDA', 'minus': None, 'forces': True}
DELTA = {'method': 'HF', 'minus': 'LDA', 'forces': False}
N_FRAMES = 24


def prepare(folder: Path, snapshots: Snapshots | None = None, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (labelled(N_FRAMES) if snapshots is None else snapshots).save(folder / 'snapshots.npz')
    content = {
        'task': 'train',
        'max_seconds': None,
        'snapshots': 'snapshots.npz',
        'target': BASE,
        'network': NETWORK,
        'training': TRAINING,
        'seed': 5192,
        'device': 'cpu',
        **changes,
    }
    (folder / 'input.json').write_text(json.dumps(content))
    return folder


def output_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / 'output.json').read_text())


def history_of(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / 'history.jsonl').read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != 'seconds'} for line in lines]


@cache
def trained_base() -> Path:
    """A folder in which the base has been trained, once for all tests that only read."""
    folder = prepare(Path(mkdtemp()))
    assert main_in(folder) == 0
    return folder


@cache
def trained_delta() -> Path:
    folder = prepare(Path(mkdtemp()), target=DELTA, training={**TRAINING, 'epochs': 40})
    assert main_in(folder) == 0
    return folder


def main_in(folder: Path) -> int:
    job = Job(folder, 'train')
    try:
        run(job)
    except JobError as error:
        job.fail(str(error))
        return 1
    return 0


def test_the_base_knows_energies_and_forces_of_frames_it_has_not_seen() -> None:
    force_field = ForceField.load(trained_base() / 'force_field')
    unseen = labelled(10, seed=77)
    calculator = ForceFieldCalculator(force_field)
    forces = np.array([calculator.get_forces(unseen.atoms(i)) for i in range(10)])
    energies = np.array([calculator.get_potential_energy(unseen.atoms(i)) for i in range(10)])
    label = unseen.labels['LDA']
    assert np.sqrt(np.mean((forces - label.forces) ** 2)) < 0.4 * np.sqrt(np.mean(label.forces**2))
    assert np.sqrt(np.mean((energies - label.energies) ** 2)) < 0.5 * np.std(label.energies)


def test_the_errors_told_are_those_of_the_force_field_written() -> None:
    folder = trained_base()
    data = labelled_frames(labelled(N_FRAMES), Target(**BASE), TRAINING['valid_fraction'], 5192)
    calculator = ForceFieldCalculator(ForceField.load(folder / 'force_field'))
    errors = output_of(folder)['errors']
    for part, frames in (('train', data.train), ('valid', data.valid)):
        wrong = [calculator.get_forces(data.snapshots.atoms(i)) - data.forces[i] for i in frames]
        assert errors[f'{part}_forces_rmse_mev_angstrom'] == pytest.approx(1e3 * np.sqrt(np.mean(np.square(wrong))))
        wrong = [calculator.get_potential_energy(data.snapshots.atoms(i)) - data.energies[i] for i in frames]
        expected = 1e3 * np.sqrt(np.mean(np.square(wrong))) / 4
        assert errors[f'{part}_energy_rmse_mev_atom'] == pytest.approx(expected, rel=1e-3)
        assert errors[f'n_{part}'] == len(frames)


def test_a_line_of_history_and_a_best_epoch_tell_the_course() -> None:
    folder = trained_base()
    history, output = history_of(folder), output_of(folder)
    assert output['final'] is True
    assert [line['epoch'] for line in history] == list(range(1, 13))
    assert output['epochs_done'] == 12
    losses = [line['valid_loss'] for line in history]
    assert output['best_epoch'] == 1 + int(np.argmin(losses))
    assert min(losses) < 0.2 * losses[0]
    best = history[output['best_epoch'] - 1]
    told = output['errors']['valid_forces_rmse_mev_angstrom']
    assert told == pytest.approx(best['valid_forces_rmse_mev_angstrom'], rel=1e-3)


def test_the_force_field_says_where_it_comes_from() -> None:
    (term,) = ForceField.load(trained_base() / 'force_field').terms
    assert term.trained_on['method'] == 'LDA'
    assert term.trained_on['labels'] == ['energies', 'forces']
    assert term.trained_on['seed'] == 5192
    assert term.trained_on['snapshots'] == labelled(N_FRAMES).content_hash()


@pytest.mark.nightly
def test_the_delta_learns_from_energies_alone_and_errs_less_than_a_constant() -> None:
    errors = output_of(trained_delta())['errors']
    assert errors['valid_energy_rmse_mev_atom'] < 0.5 * errors['spread_mev_atom']
    assert 'valid_forces_rmse_mev_angstrom' not in errors


@pytest.mark.nightly
def test_the_delta_is_compared_with_rescaling() -> None:
    errors = output_of(trained_delta())['errors']
    better = errors['valid_energy_rmse_mev_atom'] < errors['rescaling_mev_atom']
    assert errors['better_than_rescaling'] is better


def test_training_on_energies_never_evaluates_forces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mace.modules import models

    def refuse(**_: Any) -> None:
        pytest.fail('forces were evaluated')

    output = models.get_outputs

    def watch(**arguments: Any) -> Any:
        return refuse() if arguments['compute_force'] else output(**arguments)

    monkeypatch.setattr(models, 'get_outputs', watch)
    folder = prepare(tmp_path, target=DELTA, training={**TRAINING, 'epochs': 1})
    assert main_in(folder) == 0


@pytest.mark.parametrize(('target', 'dtype'), [(BASE, 'float32'), (DELTA, 'float64')], ids=['base', 'delta'])
@pytest.mark.nightly
def test_a_training_stopped_and_resumed_is_bit_by_bit_the_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: dict[str, Any], dtype: str
) -> None:
    changes = {'target': target, 'training': {**TRAINING, 'epochs': 5, 'dtype': dtype}}
    whole = prepare(tmp_path / 'whole', **changes)
    assert main_in(whole) == 0

    first = prepare(tmp_path / 'first', **changes)
    with monkeypatch.context() as patch:
        asked = iter([False, False, True])
        patch.setattr(Job, 'must_stop', lambda *_, **__: next(asked))
        assert main_in(first) == 0
    stopped = output_of(first)
    assert (stopped['final'], stopped['reason'], stopped['epochs_done']) == (False, 'walltime', 2)
    assert not (first / 'force_field').exists()

    second = prepare(tmp_path / 'second', **changes)
    shutil.copytree(first / 'checkpoint', second / 'checkpoint')
    assert main_in(second) == 0
    assert history_of(second) == history_of(whole)
    assert output_of(second)['errors'] == output_of(whole)['errors']
    for name in ('force_field.json', 'weights.safetensors'):
        assert (second / 'force_field' / name).read_bytes() == (whole / 'force_field' / name).read_bytes()


@pytest.mark.nightly
def test_another_seed_splits_and_starts_otherwise(tmp_path: Path) -> None:
    short = {**TRAINING, 'epochs': 2}
    folders = [prepare(tmp_path / str(seed), seed=seed, training=short) for seed in (1, 2)]
    assert [main_in(folder) for folder in folders] == [0, 0]
    hashes = {ForceField.load(folder / 'force_field').content_hash() for folder in folders}
    assert len(hashes) == 2
    data = [labelled_frames(labelled(N_FRAMES), Target(**BASE), 0.2, seed) for seed in (1, 2)]
    assert data[0].valid.tolist() != data[1].valid.tolist()


@pytest.mark.nightly
def test_a_difference_of_forces_is_learnt_where_both_methods_have_them(tmp_path: Path) -> None:
    snapshots = labelled(N_FRAMES)
    label = snapshots.labels['LDA']
    stiffer = Label(1.1 * label.energies, 1.1 * label.forces, {'engine': 'a tenth more'})
    target = {'method': 'HF', 'minus': 'LDA', 'forces': True}
    assert main_in(prepare(tmp_path, snapshots.with_label('HF', stiffer), target=target)) == 0
    errors = output_of(tmp_path)['errors']
    assert errors['valid_forces_rmse_mev_angstrom'] < 0.5 * 100 * np.sqrt(np.mean(label.forces**2))


@pytest.mark.nightly
def test_no_patience_ends_the_training_early(tmp_path: Path) -> None:
    # A rate this small leaves the averaged weights where they are, so nothing gets better.
    training = {**TRAINING, 'epochs': 30, 'learning_rate': 1e-30, 'patience': 2}
    folder = prepare(tmp_path, training=training)
    assert main_in(folder) == 0
    assert output_of(folder)['epochs_done'] < 30


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Job, 'must_stop', lambda *_, **__: True)
        assert main_in(folder) == 0
    prepare(tmp_path, seed=1)
    assert main_in(folder) == 1
    assert 'other settings or snapshots' in output_of(folder)['message']


@pytest.mark.parametrize('n_bytes', [0, 4, 2000], ids=['empty', 'length', 'cut'])
def test_a_damaged_checkpoint_is_set_aside_and_the_training_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int
) -> None:
    folder = prepare(tmp_path, training={**TRAINING, 'epochs': 2})
    with monkeypatch.context() as patch:
        asked = iter([False, True])
        patch.setattr(Job, 'must_stop', lambda *_, **__: next(asked))
        assert main_in(folder) == 0
    assert output_of(folder)['epochs_done'] == 1
    checkpoint = folder / 'checkpoint' / CHECKPOINT_FILE
    checkpoint.write_bytes(checkpoint.read_bytes()[:n_bytes])
    assert main_in(folder) == 0
    output = output_of(folder)
    assert (output['final'], [line['epoch'] for line in history_of(folder)]) == (True, [1, 2])
    assert output['remarks'][0].startswith(f'{CHECKPOINT_FILE} of the checkpoint is damaged and was set aside')


def test_a_computer_without_the_gpu_that_is_asked_for_is_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    folder = prepare(tmp_path, device='cuda')
    assert run_task(['train'], folder) == 1
    output = output_of(folder)
    assert output['reason'] == 'computer'
    assert 'PyTorch finds no GPU' in output['message']


def test_a_loss_that_is_no_number_stops_with_a_sentence(tmp_path: Path) -> None:
    folder = prepare(tmp_path, training={**TRAINING, 'learning_rate': 1e20, 'ema_decay': None})
    with pytest.raises(ValueError, match=r'lower `training\.learning_rate` \(1e\+20\)'):
        main_in(folder)


def test_equal_energies_hold_nothing_to_learn(tmp_path: Path) -> None:
    snapshots = labelled(8)
    snapshots = snapshots.with_label('HF', Label(snapshots.labels['LDA'].energies, None))
    folder = prepare(tmp_path, snapshots, target=DELTA)
    assert main_in(folder) == 1
    assert 'nothing to learn' in output_of(folder)['message']
