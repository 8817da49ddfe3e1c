"""The task that fits readouts: base and Δ together give the method, whose forces help where there are any."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_mlcc.runtime.__main__ import main
from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.science.force_field import ForceField, add_delta
from aiida_mlcc.science.force_field.readout import readout_term
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.runtime.mace.alloy import random_force_field, rattled

N_FRAMES = 30
SCALE = 0.2


def base() -> ForceField:
    return replace(random_force_field(), method='LDA')


def truth() -> ForceField:
    """The Δ that the labels are made with."""
    weights = np.random.default_rng(5).normal(scale=0.3, size=(2, 8))
    return ForceField((readout_term(base().terms[0], ['Au', 'Cu'], weights),), {'Cu': 0.5, 'Au': 0.5}, SCALE)


@cache
def snapshots(hf_forces: bool = False) -> Snapshots:
    """LDA is the base itself, HF base and Δ; CCSD has too few labels."""
    frames = Snapshots.from_atoms(rattled(N_FRAMES))

    def label(force_field: ForceField, forces: bool) -> Label:
        calculator = ForceFieldCalculator(force_field)
        images = [frames.atoms(i) for i in range(N_FRAMES)]
        energies = np.array([calculator.get_potential_energy(atoms) for atoms in images])
        return Label(energies, np.array([calculator.get_forces(atoms) for atoms in images]) if forces else None)

    lda, hf = label(base(), True), label(add_delta(base(), truth()), hf_forces)
    few = Label(np.where(np.arange(N_FRAMES) < 3, hf.energies, np.nan))
    return frames.with_label('LDA', lda).with_label('HF', hf).with_label('CCSD', few)


def run(folder: Path, methods: list[str], data: Snapshots | None = None, **changes: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    (snapshots() if data is None else data).save(folder / 'snapshots.npz')
    base().save(folder / 'base')
    content = {
        'task': 'fit',
        'kind': 'readout',
        'max_seconds': None,
        'snapshots': 'snapshots.npz',
        'base': 'base',
        'base_method': 'LDA',
        'methods': methods,
        'seed': 7,
        'device': 'cpu',
        'parameters': {'ridge': [1e-12, 1e-8, 1e-4], 'n_folds': 5},
        **changes,
    }
    (folder / 'input.json').write_text(json.dumps(content))
    main(['fit'], folder)
    return json.loads((folder / 'output.json').read_text())


@pytest.mark.parametrize(
    'hf_forces', [pytest.param(False, marks=pytest.mark.nightly), True], ids=['energies', 'energies and forces']
)
def test_base_and_readout_give_energy_and_forces_of_the_method(tmp_path: Path, hf_forces: bool) -> None:
    output = run(tmp_path, ['HF'], snapshots(hf_forces))
    assert output['final'] is True
    assert output['errors']['HF']['labels'] == (['energies', 'forces'] if hf_forces else ['energies'])
    total = ForceFieldCalculator(add_delta(base(), ForceField.load(tmp_path / 'delta_hf')))
    wanted = ForceFieldCalculator(add_delta(base(), truth()))
    unseen = rattled(1, seed=99)[0]
    assert total.get_potential_energy(unseen) == pytest.approx(wanted.get_potential_energy(unseen), abs=1e-3)
    assert np.allclose(total.get_forces(unseen), wanted.get_forces(unseen), rtol=0, atol=1e-2)


@pytest.mark.nightly
def test_a_method_without_enough_labels_is_named_and_the_others_are_fitted(tmp_path: Path) -> None:
    output = run(tmp_path, ['CCSD', 'HF'])
    assert output['final'] is True
    assert [failure['method'] for failure in output['failures']] == ['CCSD']
    assert '3 frames' in output['failures'][0]['reason']
    assert (tmp_path / 'delta_hf').is_dir()
    assert not (tmp_path / 'delta_ccsd').exists()


def test_the_delta_says_what_it_was_fitted_to(tmp_path: Path) -> None:
    run(tmp_path, ['HF'])
    (term,) = ForceField.load(tmp_path / 'delta_hf').terms
    assert term.settings['trunk'] == base().terms[0].content_hash
    assert (term.trained_on['method'], term.trained_on['minus'], term.trained_on['n_train']) == ('HF', 'LDA', N_FRAMES)


def test_a_base_of_another_method_is_refused(tmp_path: Path) -> None:
    output = run(tmp_path, ['HF'], base_method='PBE')
    assert 'the base stands for LDA, but the base method is PBE' in output['message']


def test_a_base_without_a_network_is_refused(tmp_path: Path) -> None:
    run(tmp_path, ['HF'])
    ForceField((), {'Cu': 0.0, 'Au': 0.0}).save(tmp_path / 'base')
    main(['fit'], tmp_path)
    assert 'the base has 0 networks' in json.loads((tmp_path / 'output.json').read_text())['message']
