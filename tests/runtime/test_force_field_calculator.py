"""The calculator sums the terms of a force field, with right forces, and refuses what has no energy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.science.force_field import ForceField, ForceFieldError, Term
from aiida_mlcc.science.force_field.force_constants import force_constants_term
from tests.runtime.mace.alloy import cell, forces_by_differences, random_force_field, random_term, rattled

NEIGHBOURS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def springs(stiffness: float = 2.0) -> Term:
    """Isotropic springs between each atom and its twelve nearest neighbours."""
    atoms = cell()
    pairs, vectors, blocks = [], [], []
    onsite = np.zeros((4, 3, 3))
    for i, j in [*NEIGHBOURS, *((j, i) for i, j in NEIGHBOURS)]:
        for shift in np.ndindex(3, 3, 3):
            vector = np.array(shift) - 1
            distance = np.linalg.norm(atoms.positions[j] + vector @ atoms.cell.array - atoms.positions[i])
            if distance < 3.0:
                pairs.append((i, j))
                vectors.append(vector)
                blocks.append(-stiffness * np.eye(3))
                onsite[i] += stiffness * np.eye(3)
    for i in range(4):
        pairs.append((i, i))
        vectors.append(np.zeros(3, dtype=int))
        blocks.append(onsite[i])
    return force_constants_term(atoms, np.array(pairs), np.array(vectors), np.array(blocks), cutoff=3.0)


def with_calculator(force_field: ForceField, atoms: Atoms | None = None) -> Atoms:
    atoms = rattled(1)[0] if atoms is None else atoms
    atoms.calc = ForceFieldCalculator(force_field)
    return atoms


@pytest.mark.parametrize('kind', ['mace', 'force-constants', 'sum'])
def test_forces_are_the_slope_of_the_energy(kind: str) -> None:
    terms = {'mace': (random_term(),), 'force-constants': (springs(),)}
    terms['sum'] = (
        random_term(weight=0.8),
        random_term(seed=1, r_max=3.0, weight=-0.4),
        replace(springs(), weight=0.3),
    )
    atoms = with_calculator(random_force_field(*terms[kind]))
    assert np.allclose(atoms.get_forces(), forces_by_differences(atoms), rtol=0, atol=2e-7)


def test_the_sum_is_that_of_its_terms_and_constants() -> None:
    terms = (random_term(weight=0.8), random_term(seed=1, r_max=3.0, weight=-0.4), replace(springs(), weight=0.3))
    whole = with_calculator(random_force_field(*terms))
    energy, forces = 3 * -1.0 - 2.0, np.zeros((4, 3))
    for term in terms:
        part = with_calculator(ForceField((replace(term, weight=1.0),), {'Cu': 0.0, 'Au': 0.0}))
        energy += term.weight * part.get_potential_energy()
        forces += term.weight * part.get_forces()
    assert whole.get_potential_energy() == pytest.approx(energy, abs=1e-12)
    assert np.allclose(whole.get_forces(), forces, rtol=0, atol=1e-12)


def test_springs_have_the_energy_of_springs() -> None:
    atoms = cell() * (2, 2, 2)
    atoms.positions[5] += [0.03, -0.01, 0.02]
    calculated = with_calculator(random_force_field(springs()), atoms).get_potential_energy()
    by_hand = 0.5 * 2.0 * 12 * (0.03**2 + 0.01**2 + 0.02**2)
    assert calculated == pytest.approx(8 * -5.0 + by_hand, abs=1e-10)


def test_an_atom_put_back_into_the_cell_feels_no_spring() -> None:
    atoms = with_calculator(random_force_field(springs()), rattled(1)[0] * (2, 2, 2))
    energy = atoms.get_potential_energy()
    atoms.positions[3] += atoms.cell[1]
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-10)


def test_the_same_structure_gives_the_same_bits() -> None:
    force_field = random_force_field(random_term(), springs())
    energies = {with_calculator(force_field).get_potential_energy() for _ in range(3)}
    assert len(energies) == 1


def test_a_supercell_evaluated_after_a_cell_is_a_structure_of_its_own() -> None:
    calculator = ForceFieldCalculator(random_force_field(random_term(), springs()))
    small, large = rattled(1)[0], rattled(1)[0] * (2, 2, 2)
    energy = calculator.get_potential_energy(small)
    assert calculator.get_potential_energy(large) == pytest.approx(8 * energy, abs=1e-9)


def test_float32_is_near_float64() -> None:
    atoms = rattled(1)[0]
    exact = ForceFieldCalculator(random_force_field()).get_forces(atoms)
    assert np.allclose(ForceFieldCalculator(random_force_field(), dtype='float32').get_forces(atoms), exact, atol=1e-4)


def test_the_source_of_its_labels_names_the_force_field() -> None:
    force_field = random_force_field(springs())
    calculator = ForceFieldCalculator(force_field, label='CCSD(T)')
    assert calculator.label_method == 'CCSD(T)'
    assert calculator.label_source == {'force_field': force_field.content_hash(), 'dtype': 'float64'}


def test_a_saved_force_field_gives_the_same_bits(tmp_path: Path) -> None:
    force_field = random_force_field(random_term(), springs())
    force_field.save(tmp_path)
    atoms, again = with_calculator(force_field), with_calculator(ForceField.load(tmp_path))
    assert atoms.get_potential_energy() == again.get_potential_energy()
    assert np.array_equal(atoms.get_forces(), again.get_forces())


def probe_of(force_field: ForceField, error: float) -> dict[str, object]:
    atoms = with_calculator(force_field)
    energy = atoms.get_potential_energy() + error
    symbols = atoms.get_chemical_symbols()
    return {'symbols': symbols, 'cell': atoms.cell.tolist(), 'positions': atoms.positions.tolist(), 'energy': energy}


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_a_force_field_with_its_own_probe_energy_is_accepted(dtype: str) -> None:
    force_field = random_force_field()
    ForceFieldCalculator(replace(force_field, probe=probe_of(force_field, 0.0)), dtype=dtype)


@pytest.mark.parametrize('error', [0.01, float('nan')])
def test_a_force_field_with_another_probe_energy_is_refused(error: float) -> None:
    force_field = random_force_field()
    with pytest.raises(ForceFieldError, match='probe structure'):
        ForceFieldCalculator(replace(force_field, probe=probe_of(force_field, error)))


def test_a_delta_that_rescales_its_base_has_no_energy_of_its_own() -> None:
    with pytest.raises(ForceFieldError, match='add it to a base force field first'):
        ForceFieldCalculator(replace(random_force_field(springs()), base_scale=0.02))


def test_an_element_it_does_not_know_is_named() -> None:
    atoms = cell()
    atoms.symbols[2] = 'Ag'
    with pytest.raises(ForceFieldError, match='not Ag'):
        with_calculator(random_force_field(), atoms).get_potential_energy()


def test_a_molecule_is_refused() -> None:
    atoms = cell()
    atoms.pbc = False
    with pytest.raises(ForceFieldError, match='periodic'):
        with_calculator(random_force_field(), atoms).get_potential_energy()


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(ForceFieldError, match='float16'):
        ForceFieldCalculator(random_force_field(springs()), dtype='float16')


def test_force_constants_alone_need_no_torch(tmp_path: Path) -> None:
    random_force_field(springs()).save(tmp_path)
    script = (
        'import sys\n'
        'from ase.build import bulk\n'
        'from aiida_mlcc.science.force_field import ForceField\n'
        'from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator\n'
        'atoms = bulk("Cu", "fcc", a=3.72, cubic=True)\n'
        'atoms.symbols[0] = "Au"\n'
        f'atoms.calc = ForceFieldCalculator(ForceField.load({str(tmp_path)!r}))\n'
        'atoms.get_forces()\n'
        'assert "torch" not in sys.modules\n'
    )
    subprocess.run([sys.executable, '-c', script], check=True)
