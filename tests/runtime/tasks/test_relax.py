"""Relaxation before an evaluation: at rest, in the symmetry it had, and a sentence where it cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.tasks.evaluate_settings import Relax
from aiida_mlcc.runtime.tasks.relax import relaxed
from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests import crystals
from tests.runtime.jobs import run
from tests.runtime.tasks.test_evaluate import force_field_job, rattled

SETTINGS = Relax(cell=False, fmax=1e-3, max_steps=100, symprec=1e-5)


def morse() -> MorsePotential:
    return MorsePotential(epsilon=1.0, r0=2.0, rho0=4.0, rcut1=2.6, rcut2=3.0)


def test_wurtzite_comes_to_rest_along_its_free_coordinate_only() -> None:
    start = bulk('ZnO', 'wurtzite', a=3.3, c=5.4, u=0.39) * (2, 2, 1)
    found = relaxed(morse(), start, SETTINGS)
    found.calc = morse()
    assert np.abs(found.get_forces()).max() < 1e-3
    moved = found.positions - start.positions
    assert np.abs(moved[:, 2]).max() > 0.01
    assert np.allclose(moved[:, :2], 0, atol=1e-8)
    assert np.allclose(found.cell, start.cell)


def test_a_cubic_cell_relaxes_to_the_minimum_of_the_energy_and_stays_cubic() -> None:
    start = bulk('Cu', 'fcc', a=3.7, cubic=True)
    found = relaxed(EMT(), start, replace(SETTINGS, cell=True))
    lengths = found.cell.lengths()
    assert np.ptp(lengths) < 1e-6

    def energy(length: float) -> float:
        trial = bulk('Cu', 'fcc', a=length, cubic=True)
        trial.calc = EMT()
        return float(trial.get_potential_energy())

    scan = np.linspace(lengths[0] - 0.01, lengths[0] + 0.01, 21)
    assert scan[np.argmin([energy(length) for length in scan])] == pytest.approx(lengths[0], abs=1.5e-3)


def test_too_few_steps_are_an_error_that_says_what_force_is_left() -> None:
    start = bulk('ZnO', 'wurtzite', a=3.3, c=5.4, u=0.39) * (2, 2, 1)
    with pytest.raises(EngineError, match='not at rest after 1 steps: the largest force is'):
        relaxed(morse(), start, replace(SETTINGS, max_steps=1))


def test_an_evaluation_relaxes_each_structure_with_each_calculator(tmp_path: Path) -> None:
    folder = force_field_job(tmp_path)
    content = json.loads((folder / 'input.json').read_text())
    content['parameters']['relax'] = SETTINGS.to_dict()
    (folder / 'input.json').write_text(json.dumps(content))
    output = run(folder)
    assert output['final']
    for name in ('soft', 'stiff'):
        frames = Snapshots.load(folder / f'evaluated_{name}.npz')
        (label,) = frames.labels.values()
        assert label.forces is not None
        labelled = label.labelled
        assert labelled.any()
        assert np.linalg.norm(label.forces[labelled], axis=2).max() < SETTINGS.fmax
        assert (
            np.abs(frames.positions[labelled] - [rattled(5)[i].positions for i in np.flatnonzero(labelled)]).max() > 0
        )


def test_force_constants_that_know_another_cell_are_a_sentence() -> None:
    strained = supercell(crystals.rocksalt(4.06), 2)
    calculator = ForceFieldCalculator(crystals.springs(crystals.rocksalt()), label='LDA')
    with pytest.raises(EngineError, match='a strain of'):
        relaxed(calculator, strained, SETTINGS)
