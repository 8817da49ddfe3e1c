"""Fourth order along bonds against sums over the bonds of a supercell."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from aiida_mlcc.science.crystal.cells import map_onto_crystal, supercell
from aiida_mlcc.science.force_field import ForceFieldError
from aiida_mlcc.science.force_field.fourth_order import Bonds, BoundFourthOrder, bonds_within, check_fourth_order

SKEWED = [[2, 1, 0], [0, 3, 1], [1, 0, 2]]


def bond_sum(ideal: Atoms, moved: np.ndarray, cutoff: float, a: float, b: float, c: float) -> float:
    """Return Σ a·p⁴ + b·p²t² + c·t⁴ over the bonds of a supercell."""
    i, j, apart = neighbor_list('ijD', ideal, cutoff)
    unit = apart / np.linalg.norm(apart, axis=1)[:, None]
    change = moved[j] - moved[i]
    p = np.sum(change * unit, axis=1)
    t2 = np.sum(change**2, axis=1) - p**2
    return 0.5 * float(np.sum(a * p**4 + b * p**2 * t2 + c * t2**2))


@pytest.mark.parametrize('matrix', [2, SKEWED])
@pytest.mark.parametrize('crystal', ['diamond', 'rock_salt', 'wurtzite'])
def test_the_energy_is_that_of_the_bonds_one_by_one(crystal, matrix, request):
    primitive = request.getfixturevalue(crystal)
    ideal = supercell(primitive, matrix)
    moved = np.random.default_rng(1).normal(scale=0.1, size=(len(ideal), 3))
    bonds = bonds_within(primitive, 2.45)
    bound = BoundFourthOrder(bonds, primitive, map_onto_crystal(primitive, ideal))
    expected = bond_sum(ideal, moved, 2.45, 3.0, -1.0, 2.0)
    coefficients = np.tile([3.0, -1.0, 2.0], (bonds.n_kinds, 1))
    assert bound.energy_forces(moved, coefficients)[0] == pytest.approx(expected, rel=1e-10)
    assert bound.features(moved) @ coefficients.ravel() == pytest.approx(expected, rel=1e-10)


def test_forces_are_the_finite_differences_of_the_energy_and_add_up_to_nothing(wurtzite):
    ideal = supercell(wurtzite, [2, 2, 1])
    random = np.random.default_rng(2)
    moved = random.normal(scale=0.1, size=(len(ideal), 3))
    bonds = bonds_within(wurtzite, 2.45)
    bound = BoundFourthOrder(bonds, wurtzite, map_onto_crystal(wurtzite, ideal))
    coefficients = random.normal(size=(bonds.n_kinds, 3))
    forces = bound.energy_forces(moved, coefficients)[1]
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-12)
    for atom, axis in ((0, 0), (5, 2)):
        step = np.zeros_like(moved)
        step[atom, axis] = 1e-4
        plus, minus = (bound.energy_forces(moved + s, coefficients)[0] for s in (step, -step))
        assert forces[atom, axis] == pytest.approx((minus - plus) / 2e-4, abs=1e-7)


def test_bonds_of_one_length_between_the_same_elements_are_of_one_kind(diamond, rock_salt, wurtzite):
    assert bonds_within(diamond, 2.7).n_kinds == 2
    # Li–H, then Li–Li and H–H at the same distance.
    assert bonds_within(rock_salt, 2.9).n_kinds == 3
    # The bond along c is longer than the other three.
    assert bonds_within(wurtzite, 2.45).n_kinds == 2


def test_rounding_divides_no_kind_of_bond():
    length = 1.5005
    crystal = bulk('C', 'diamond', a=4 * length / np.sqrt(3))
    crystal.rotate(17.0, (1, 2, 3), rotate_cell=True)
    assert bonds_within(crystal, 1.1 * length).n_kinds == 1


def test_arrays_that_are_no_bonds_are_refused(diamond):
    bonds = bonds_within(diamond, 2.7)
    coefficients = np.ones((2, 3))
    check_fourth_order(bonds, coefficients, 2)
    one_way, twice = np.arange(1, len(bonds.kinds)), [*range(len(bonds.kinds)), 0]
    odd = bonds.kinds.copy()
    odd[0] = 1 - odd[0]
    at_itself = Bonds(np.zeros((1, 2), dtype=int), np.zeros((1, 3), dtype=int), np.zeros(1, dtype=int))
    for broken, sentence in (
        (Bonds(bonds.pairs + 1, bonds.lattice_vectors, bonds.kinds), 'does not have'),
        (Bonds(bonds.pairs[one_way], bonds.lattice_vectors[one_way], bonds.kinds[one_way]), 'both ways'),
        (Bonds(bonds.pairs[twice], bonds.lattice_vectors[twice], bonds.kinds[twice]), 'twice'),
        (Bonds(bonds.pairs, bonds.lattice_vectors, odd), 'one kind'),
        (Bonds(bonds.pairs, bonds.lattice_vectors[1:], bonds.kinds), 'fit together'),
    ):
        with pytest.raises(ForceFieldError, match=sentence):
            check_fourth_order(broken, coefficients, 2)
    with pytest.raises(ForceFieldError, match='with itself'):
        check_fourth_order(at_itself, np.ones((1, 3)), 2)
