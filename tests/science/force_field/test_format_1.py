"""Force fields of format 1, which the version that wrote them left with what they give."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.science.force_field import ForceField

FOLDERS = {folder.name: folder for folder in sorted((Path(__file__).parent / 'format_1').iterdir())}


@pytest.mark.parametrize('name', ['force_constants', 'networks'])
def test_a_force_field_of_format_1_is_the_one_that_was_stored(name: str, tmp_path: Path) -> None:
    """`networks`: a network, force constants and a readout; `force_constants`: those of a base and of a Δ."""
    expected = json.loads((FOLDERS[name] / 'expected.json').read_text())
    assert json.loads((FOLDERS[name] / 'force_field.json').read_text())['format'] == 1
    field = ForceField.load(FOLDERS[name])
    assert field.method == expected['method']
    assert field.content_hash() == expected['content_hash']
    atoms = Atoms(expected['symbols'], cell=expected['cell'], positions=expected['positions'], pbc=True)
    atoms.calc = ForceFieldCalculator(field)
    assert atoms.get_potential_energy() == pytest.approx(expected['energy'], abs=1e-9)
    assert np.allclose(atoms.get_forces(), expected['forces'], rtol=0, atol=1e-9)
    field.save(tmp_path)
    assert ForceField.load(tmp_path).describe() == field.describe()
    assert field.describe()['format'] == 2
