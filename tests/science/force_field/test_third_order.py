"""Third order against springs that are counted bond by bond."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.science.crystal.cells import map_onto_crystal, supercell
from aiida_mlcc.science.force_field import ForceField, ForceFieldError, Term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel, force_constants_term
from aiida_mlcc.science.force_field.third_order import BoundThirdOrder, Triplets, check_third_order
from tests.crystals import cubic_springs, stretched

REACH, STRENGTH = 2.6, -20.0
SKEWED = [[2, 1, 0], [0, 3, 1], [1, 0, 2]]


@pytest.fixture
def anharmonic(springs: Callable[..., Term], diamond: Atoms) -> Term:
    """Harmonic springs of diamond with cubic ones beside them."""
    term = springs(diamond, 2.0)
    arrays = term.arrays
    parts = (arrays['pairs'], arrays['lattice_vectors'], arrays['fc'])
    return force_constants_term(diamond, *parts, 2.0, third_order=cubic_springs(diamond, REACH, STRENGTH))


def displacements(n_atoms: int, n_frames: int = 3) -> np.ndarray:
    return np.random.default_rng(4).normal(scale=0.06, size=(n_frames, n_atoms, 3))


@pytest.mark.parametrize('matrix', [2, 3, SKEWED])
@pytest.mark.parametrize('crystal', ['diamond', 'rock_salt', 'wurtzite'])
def test_energy_and_forces_are_those_of_the_bonds_one_by_one(crystal, matrix, request):
    primitive = request.getfixturevalue(crystal)
    ideal = supercell(primitive, matrix)
    bound = BoundThirdOrder(*cubic_springs(primitive, REACH, STRENGTH), map_onto_crystal(primitive, ideal))
    moved = displacements(len(ideal))
    energies, forces = stretched(ideal, moved, REACH, STRENGTH)
    for frame in range(len(moved)):
        energy, force = bound.energy_forces(moved[frame])
        assert energy == pytest.approx(energies[frame], abs=1e-10)
        np.testing.assert_allclose(force, forces[frame], atol=1e-10)


def test_forces_are_the_finite_differences_of_the_energy(anharmonic, diamond):
    atoms = supercell(diamond, SKEWED)
    atoms.rattle(0.08, seed=2)
    bound = ForceConstantsModel(anharmonic).bind(atoms)
    forces = bound.energy_forces(atoms.positions)[1]
    for atom, axis in ((0, 0), (5, 2), (len(atoms) - 1, 1)):
        step = np.zeros_like(forces)
        step[atom, axis] = 1e-4
        plus, minus = (bound.energy_forces(atoms.positions + s)[0] for s in (step, -step))
        assert forces[atom, axis] == pytest.approx((minus - plus) / 2e-4, abs=1e-6)


def test_energy_knows_neither_drift_nor_wrapping_nor_the_order_of_the_atoms(anharmonic, diamond):
    model = ForceConstantsModel(anharmonic)
    atoms = supercell(diamond, 2)
    atoms.rattle(0.08, seed=3)
    energy, forces = model.bind(atoms).energy_forces(atoms.positions)
    order = np.random.default_rng(8).permutation(len(atoms))
    other = atoms[order]
    other.positions += [1.8, -0.4, 7.7]
    other.wrap()
    moved_energy, moved_forces = model.bind(other).energy_forces(other.positions)
    assert moved_energy == pytest.approx(energy, abs=1e-10)
    np.testing.assert_allclose(moved_forces, forces[order], atol=1e-10)


def test_a_periodic_displacement_has_the_same_energy_per_cell_in_every_supercell(anharmonic, diamond):
    model = ForceConstantsModel(anharmonic)
    small = supercell(diamond, 2)
    small.rattle(0.08, seed=5)
    per_atom = model.bind(small).energy_forces(small.positions)[0] / len(small)
    for matrix in (2, [[1, 1, 0], [0, 2, 1], [1, 0, 1]]):
        large = supercell(small, matrix)
        assert model.bind(large).energy_forces(large.positions)[0] / len(large) == pytest.approx(per_atom, rel=1e-9)


def test_the_sign_of_the_displacement_counts_in_third_order_alone(anharmonic, diamond):
    model = ForceConstantsModel(anharmonic)
    ideal = supercell(diamond, 2)
    moved = displacements(len(ideal), 1)[0]
    moved -= moved.mean(axis=0)
    bound = model.bind(ideal)
    plus, minus = (bound.energy_forces(ideal.positions + sign * moved)[0] for sign in (1, -1))
    assert (plus - minus) / 2 == pytest.approx(stretched(ideal, moved[None], REACH, STRENGTH)[0][0], abs=1e-10)


def test_a_force_field_with_third_order_survives_its_files(anharmonic, diamond, tmp_path: Path):
    field = ForceField((anharmonic,), {'C': -1.0})
    field.save(tmp_path)
    read = ForceField.load(tmp_path)
    assert read.content_hash() == field.content_hash()
    atoms = supercell(diamond, 2)
    atoms.rattle(0.05, seed=1)
    before, after = (ForceFieldCalculator(one).get_potential_energy(atoms) for one in (field, read))
    assert after == before


def test_the_calculator_gives_the_slope_of_its_energy(anharmonic, diamond):
    atoms = supercell(diamond, 2)
    atoms.rattle(0.08, seed=1)
    atoms.calc = ForceFieldCalculator(ForceField((anharmonic,), {'C': 0.0}))
    forces = atoms.get_forces()
    energies = []
    for step in (1e-4, -1e-4):
        displaced = atoms.copy()
        displaced.positions[3, 1] += step
        energies.append(atoms.calc.get_potential_energy(displaced))
    assert forces[3, 1] == pytest.approx((energies[1] - energies[0]) / 2e-4, abs=1e-6)


def test_arrays_that_are_no_third_derivative_are_refused(diamond):
    triplets, blocks = cubic_springs(diamond, 1.6, STRENGTH)
    check_third_order(triplets, blocks, 2)
    lopsided, resisting = blocks.copy(), blocks.copy()
    lopsided[0, 0, 1, 2] += 1.0
    at_home = (triplets.sites == triplets.sites[:, :1]).all(axis=1) & (triplets.lattice_vectors == 0).all(axis=(1, 2))
    resisting[at_home] += np.ones((3, 3, 3))
    for broken, sentence in ((lopsided, 'order in which'), (resisting, 'acoustic sum rule'), (blocks[1:], 'fit')):
        with pytest.raises(ForceFieldError, match=sentence):
            check_third_order(triplets, broken, 2)
    with pytest.raises(ForceFieldError, match='does not have'):
        check_third_order(Triplets(triplets.sites + 1, triplets.lattice_vectors), blocks, 2)
    rows = [*range(len(blocks)), 0]
    with pytest.raises(ForceFieldError, match='twice'):
        check_third_order(Triplets(triplets.sites[rows], triplets.lattice_vectors[rows]), blocks[rows], 2)


def test_a_force_field_with_broken_third_order_is_refused(anharmonic):
    arrays = {**anharmonic.arrays, 'third_order': anharmonic.arrays['third_order'] + 1.0}
    with pytest.raises(ForceFieldError, match='third-order'):
        ForceConstantsModel(replace(anharmonic, arrays=arrays))
