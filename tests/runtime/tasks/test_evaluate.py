"""Many structures in one job: labels of each calculator, nothing computed twice, failures named."""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.pyscf.calculator import PyscfCalculator
from aiida_mlcc.runtime.tasks.evaluate import Evaluation
from aiida_mlcc.runtime.tasks.evaluate_settings import Evaluate
from aiida_mlcc.runtime.tasks.side_by_side import Here, SideBySide, result_of
from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests import crystals
from tests.runtime.jobs import ENGINE, hydrogen, lithium_hydride, run, stop_after, write_job, write_snapshots
from tests.runtime.mace.alloy import random_force_field, rattled
from tests.runtime.test_force_field_calculator import springs


def evaluation(calculators: dict[str, Any], forces: bool) -> dict[str, Any]:
    parameters = Evaluate(forces=forces).to_dict()
    return {'task': 'evaluate', 'snapshots': 'snapshots.npz', 'calculators': calculators, 'parameters': parameters}


def force_field_job(folder: Path, checkpoint_of: Path | None = None, forces: bool = True) -> Path:
    """Five rattled cells on springs of two strengths."""
    write_snapshots(folder, 'snapshots.npz', *rattled(5))
    calculators = {}
    for name, stiffness, label in (('soft', 1.0, 'LDA'), ('stiff', 4.0, 'CCSD(T)')):
        random_force_field(springs(stiffness)).save(folder / 'force_fields' / name)
        calculators[name] = {'kind': 'force-field', 'path': f'force_fields/{name}', 'label': label}
    content = evaluation(calculators, forces)
    return write_job(folder, content, checkpoint_of)


def engine_job(folder: Path, *images: Atoms, checkpoint_of: Path | None = None) -> Path:
    write_snapshots(folder, 'snapshots.npz', *images)
    spec = {'kind': 'pyscf', 'method': 'HF', **ENGINE}
    content = evaluation({'engine': spec}, forces=False)
    return write_job(folder, content, checkpoint_of)


def test_each_calculator_labels_every_structure(tmp_path: Path) -> None:
    folder = force_field_job(tmp_path)
    output = run(folder)
    assert (output['final'], output['n_evaluated'], output['failures']) == (True, 10, [])
    for name, method in (('soft', 'LDA'), ('stiff', 'CCSD(T)')):
        label = Snapshots.load(folder / f'evaluated_{name}.npz').labels[f'ML({method})']
        calculator = ForceFieldCalculator(ForceField.load(folder / 'force_fields' / name), label=method)
        for frame, atoms in enumerate(rattled(5)):
            atoms.calc = calculator
            assert label.energies[frame] == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
            assert label.forces is not None
            assert np.allclose(label.forces[frame], atoms.get_forces(), rtol=0, atol=1e-10)
        assert dict(label.source) == calculator.label_source


def test_a_net_force_belongs_to_the_one_atom_that_is_displaced_from_the_first_structure(tmp_path: Path) -> None:
    class Meshed:
        """Finds a net force on the first atom, and subtracts it in equal shares."""

        def __init__(self) -> None:
            self.results: dict[str, Any] = {}

        def calculate(self, atoms: Atoms, *_: Any) -> None:
            net = np.array([0.4, 0.0, 0.0])
            self.results = {'energy': 1.0, 'forces': np.array([net / 2, -net / 2]), 'net_force': net}

    at_rest = Atoms('H2', [[0, 0, 0], [0, 0, 1]], cell=[4, 4, 4], pbc=True)
    one, two = at_rest.copy(), at_rest.copy()
    one.positions[0, 0] += 0.1
    two.positions[:, 0] += [0.1, -0.1]
    evaluation = Evaluation(tmp_path / 'x.npz', Snapshots.from_atoms([at_rest, one, two]), {}, Evaluate())
    for frame in evaluation.open_frames:
        evaluation.take(frame, evaluation.start(frame, Here(Meshed())))
    assert evaluation.forces is not None
    assert evaluation.forces[:, 0, 0].tolist() == pytest.approx([0.2, 0.0, 0.2])
    assert evaluation.forces[:, 1, 0].tolist() == pytest.approx([-0.2, 0.0, -0.2])


def test_forces_are_left_out_where_they_are_not_asked_for(tmp_path: Path) -> None:
    folder = force_field_job(tmp_path, forces=False)
    run(folder)
    assert Snapshots.load(folder / 'evaluated_soft.npz').labels['ML(LDA)'].forces is None


def test_a_resumed_job_computes_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[float] = []
    original = PyscfCalculator.calculate

    def count(self: PyscfCalculator, atoms: Atoms, *arguments: Any) -> None:
        computed.append(atoms.positions[1, 0])
        original(self, atoms, *arguments)

    monkeypatch.setattr(PyscfCalculator, 'calculate', count)
    images = [lithium_hydride(0.05 * number) for number in range(3)]
    first = engine_job(tmp_path / 'first', *images)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        output = run(first)
    assert (output['final'], output['n_evaluated']) == (False, 2)
    second = engine_job(tmp_path / 'second', *images, checkpoint_of=first)
    assert run(second)['final']
    assert computed == [atoms.positions[1, 0] for atoms in images]
    assert Snapshots.load(second / 'evaluated_engine.npz').labels['HF'].labelled.all()


def test_a_structure_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    folder = engine_job(tmp_path, hydrogen(1e-6), hydrogen(0.75))
    output = run(folder)
    assert output['final']
    assert [(failure['calculator'], failure['snapshot']) for failure in output['failures']] == [('engine', 0)]
    assert 'linearly dependent' in output['failures'][0]['reason']
    assert Snapshots.load(folder / 'evaluated_engine.npz').labels['HF'].labelled.tolist() == [False, True]


def test_structures_side_by_side_are_those_one_by_one(tmp_path: Path) -> None:
    """A structure that fails in another process is named as in this one."""
    images = hydrogen(0.75), hydrogen(1e-6), hydrogen(0.8)
    alone, beside = engine_job(tmp_path / 'alone', *images), engine_job(tmp_path / 'beside', *images)
    content = json.loads((beside / 'input.json').read_text())
    (beside / 'input.json').write_text(json.dumps({**content, 'n_processes': 2}))
    outputs = run(alone), run(beside)
    assert [failure['snapshot'] for failure in outputs[1]['failures']] == [1]
    assert outputs[0]['failures'] == outputs[1]['failures']
    labels = [Snapshots.load(folder / 'evaluated_engine.npz').labels['HF'] for folder in (alone, beside)]
    assert np.isfinite(labels[1].energies).tolist() == [True, False, True]
    assert np.allclose(labels[0].energies, labels[1].energies, rtol=0, atol=1e-9, equal_nan=True)


@pytest.mark.nightly
def test_a_process_that_is_killed_is_said_to_want_memory_and_may_be_continued(tmp_path: Path) -> None:
    beside = SideBySide(1, {'kind': 'pyscf', 'method': 'HF', **ENGINE}, tmp_path)
    with closing(beside), pytest.raises(MemoryError, match='was killed'):
        result_of(beside.submit(_kill))


def _kill(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_in_which_all_fail_is_an_error(tmp_path: Path) -> None:
    output = run(engine_job(tmp_path, Atoms('Li', cell=3.5 * np.eye(3), pbc=True)))
    assert output['reason'] == 'error'
    assert '3 valence electrons' in output['message']


def test_a_force_field_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = force_field_job(tmp_path)
    (folder / 'force_fields' / 'soft').rename(folder / 'force_fields' / 'other')
    assert 'force_fields/soft' in run(folder)['message']


@pytest.mark.parametrize('how', ['moved', 'strained'])
def test_a_structure_that_force_constants_refuse_is_named_and_costs_nothing_else(tmp_path: Path, how: str) -> None:
    """Of three structures the middle one has an atom on no site, or another cell than the force constants know."""
    whole = supercell(crystals.rocksalt(), 2)
    refused = whole.copy()
    if how == 'moved':
        refused.positions[3] += [1.2, 0.3, 0.2]
    else:
        refused.set_cell(1.005 * whole.cell.array, scale_atoms=True)
    write_snapshots(tmp_path, 'snapshots.npz', whole, refused, whole)
    crystals.springs(crystals.rocksalt()).save(tmp_path / 'force_fields' / 'one')
    crystals.springs(crystals.rocksalt(), 2.0).save(tmp_path / 'force_fields' / 'two')
    calculators = {
        name: {'kind': 'force-field', 'path': f'force_fields/{name}', 'label': 'LDA'} for name in ('one', 'two')
    }
    content = evaluation(calculators, forces=True)
    output = run(write_job(tmp_path, content))
    assert output['final']
    assert [(entry['calculator'], entry['snapshot']) for entry in output['failures']] == [('one', 1), ('two', 1)]
    reason = 'from its site' if how == 'moved' else 'a strain of'
    assert reason in output['failures'][0]['reason']
    for name in ('one', 'two'):
        label = Snapshots.load(tmp_path / f'evaluated_{name}.npz').labels['ML(LDA)']
        assert label.labelled.tolist() == [True, False, True]
