"""The task that fits Δ: every method for itself, with its errors and its force field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_mlcc.runtime.__main__ import main
from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.science.fit.force_constants import ForceConstants
from aiida_mlcc.science.force_field import ForceField, add_delta
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.crystals import rocksalt, rocksalt_cube, springs

N_FRAMES = 20


def snapshots() -> Snapshots:
    """Springs under the name LDA, ones of 1.1 times their stiffness under HF; CCSD has too few labels."""
    generator = np.random.default_rng(0)
    images = []
    for _ in range(N_FRAMES):
        atoms = rocksalt_cube()
        atoms.positions += generator.normal(scale=0.06, size=(len(atoms), 3))
        images.append(atoms)
    calculator = ForceFieldCalculator(springs(rocksalt()))
    energies = np.array([calculator.get_potential_energy(atoms) for atoms in images])
    few = np.where(np.arange(N_FRAMES) < 3, energies, np.nan)
    labels = {'LDA': Label(energies), 'HF': Label(1.1 * energies + 0.8), 'CCSD': Label(few)}
    return (
        Snapshots.from_atoms(images)
        .with_label('LDA', labels['LDA'])
        .with_label('HF', labels['HF'])
        .with_label('CCSD', labels['CCSD'])
    )


def run(folder: Path, methods: list[str], **changes: Any) -> tuple[int, dict[str, Any]]:
    data, primitive = snapshots(), rocksalt()
    data.save(folder / 'snapshots.npz')
    content = {
        'task': 'fit',
        'kind': 'force-constants',
        'max_seconds': None,
        'snapshots': 'snapshots.npz',
        'primitive': {
            'symbols': primitive.get_chemical_symbols(),
            'cell': primitive.cell.tolist(),
            'positions': primitive.positions.tolist(),
        },
        'base_method': 'LDA',
        'methods': methods,
        'parameters': {**ForceConstants.defaults(), 'cutoff': 2.5, 'ridge': [1e-8, 1e-4], 'n_folds': 5},
        'seed': 7,
        'device': 'cpu',
        **changes,
    }
    (folder / 'input.json').write_text(json.dumps(content))
    code = main(['fit'], folder)
    return code, json.loads((folder / 'output.json').read_text())


def test_base_and_fitted_delta_give_the_energy_of_the_method(tmp_path: Path) -> None:
    code, output = run(tmp_path, ['HF'])
    assert (code, output['final'], output['failures']) == (0, True, [])
    assert output['errors']['HF']['cv_rmse_mev_atom'] < 0.01
    total = add_delta(springs(rocksalt()), ForceField.load(tmp_path / 'delta_hf'))
    data = snapshots()
    energies = [ForceFieldCalculator(total).get_potential_energy(data.atoms(frame)) for frame in range(3)]
    assert energies == pytest.approx(data.labels['HF'].energies[:3], abs=1e-4)


def test_a_method_without_enough_labels_is_named_and_the_others_are_fitted(tmp_path: Path) -> None:
    code, output = run(tmp_path, ['CCSD', 'HF'])
    assert (code, output['final']) == (0, True)
    assert [failure['method'] for failure in output['failures']] == ['CCSD']
    assert '3 frames' in output['failures'][0]['reason']
    assert (tmp_path / 'delta_hf').is_dir()
    assert not (tmp_path / 'delta_ccsd').exists()


def test_where_nothing_can_be_fitted_the_reason_is_the_message(tmp_path: Path) -> None:
    code, output = run(tmp_path, ['CCSD'])
    assert (code, output['final'], output['reason']) == (1, False, 'error')
    assert '3 frames' in output['message']


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    _, output = run(tmp_path, ['HF'], parameters={'cut_off': 3.0})
    assert 'unknown force-constants setting `cut_off`' in output['message']


def test_a_primitive_cell_without_positions_is_named(tmp_path: Path) -> None:
    _, output = run(tmp_path, ['HF'], primitive={'symbols': ['Li', 'F'], 'cell': rocksalt().cell.tolist()})
    assert 'primitive.positions' in output['message']
