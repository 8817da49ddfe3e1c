"""What symmetry allows in third order, against springs bond by bond and what group theory counts."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import CrystalError, map_onto_crystal, supercell
from aiida_mlcc.science.fit.third_order_basis import ThirdOrderBasis, second_shell, third_order_basis
from aiida_mlcc.science.force_field.third_order import BoundThirdOrder, check_third_order
from tests.crystals import cubic_springs, stretched

FAR = second_shell(bulk('C', 'diamond', a=3.56))
"""A cutoff that other tests of diamond share, and with it the basis."""


def parameters_of(basis: ThirdOrderBasis, primitive: Atoms, cutoff: float, strength: float) -> np.ndarray:
    """Return θ of cubic springs, having found that the basis holds all of them."""
    triplets, blocks = cubic_springs(primitive, cutoff, strength)
    keys = np.hstack([basis.triplets.sites, basis.triplets.lattice_vectors.reshape(-1, 6)])
    place = {tuple(key): number for number, key in enumerate(keys.tolist())}
    there = np.zeros(basis.blocks.shape[1:])
    own_keys = np.hstack([triplets.sites, triplets.lattice_vectors.reshape(-1, 6)])
    for key, block in zip(own_keys.tolist(), blocks, strict=True):
        # Symmetry may leave nothing of a block: the springs of a rock salt pull evenly at each atom.
        if tuple(key) in place or np.abs(block).max() > 1e-10:
            there[place[tuple(key)]] = block
    parameters = np.einsum('ktabc,tabc->k', basis.blocks, there)
    np.testing.assert_allclose(np.einsum('k,ktabc->tabc', parameters, basis.blocks), there, atol=1e-8)
    return parameters


@pytest.mark.parametrize(
    ('crystal', 'reach'), [('diamond', 1.6), ('diamond', FAR), ('rock_salt', 2.1), ('wurtzite', 2.5)]
)
def test_the_basis_spans_cubic_springs_of_every_shell(crystal, reach, request):
    primitive = request.getfixturevalue(crystal)
    parameters_of(third_order_basis(primitive, reach), primitive, reach, 5.0)


def test_features_are_the_energies_of_the_springs_in_a_cell_that_folds_them(diamond):
    basis = third_order_basis(diamond, FAR)
    ideal = supercell(diamond, [[2, 1, 0], [0, 2, 0], [0, 0, 1]])
    moved = np.random.default_rng(1).normal(scale=0.05, size=(3, len(ideal), 3))
    found = basis.features(map_onto_crystal(diamond, ideal), moved) @ parameters_of(basis, diamond, FAR, 5.0)
    np.testing.assert_allclose(found, stretched(ideal, moved, FAR, 5.0)[0], atol=1e-10)


def test_force_features_are_the_forces_of_the_springs(wurtzite):
    basis = third_order_basis(wurtzite, 2.5)
    ideal = supercell(wurtzite, [2, 2, 1])
    moved = np.random.default_rng(1).normal(scale=0.05, size=(2, len(ideal), 3))
    features = basis.force_features(map_onto_crystal(wurtzite, ideal), moved)
    found = (features @ parameters_of(basis, wurtzite, 2.5, 5.0)).reshape(moved.shape)
    np.testing.assert_allclose(found, stretched(ideal, moved, 2.5, 5.0)[1], atol=1e-10)


def test_every_basis_function_is_an_energy_surface_and_they_are_orthonormal(wurtzite):
    basis = third_order_basis(wurtzite, 2.5)
    for block in basis.blocks:
        check_third_order(basis.triplets, block, len(wurtzite))
    overlaps = np.einsum('ktabc,ltabc->kl', basis.blocks, basis.blocks)
    np.testing.assert_allclose(overlaps, np.eye(basis.n_third), atol=1e-10)


def test_the_energy_has_the_symmetry_of_the_crystal(diamond):
    """A fourfold rotation about z with the exchange of the sublattices maps diamond onto itself."""
    basis = third_order_basis(diamond, FAR)
    random = np.random.default_rng(0)
    blocks = np.einsum('k,ktabc->tabc', random.normal(size=basis.n_third), basis.blocks)
    ideal = supercell(diamond, 2)
    moved = random.normal(scale=0.05, size=(len(ideal), 3))
    rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    quarter = diamond.positions[1] - diamond.positions[0]
    turned = Atoms(ideal.symbols, ideal.positions @ rotation.T + quarter, cell=ideal.cell @ rotation.T, pbc=True)
    energies = []
    for atoms, displacements in ((ideal, moved), (turned, moved @ rotation.T)):
        # The turned supercell is one in other vectors of the same lattice.
        atoms.set_cell(ideal.cell)
        bound = BoundThirdOrder(basis.triplets, blocks, map_onto_crystal(diamond, atoms))
        energies.append(bound.energy_forces(displacements)[0])
    assert energies[1] == pytest.approx(energies[0], rel=1e-9)


@pytest.mark.parametrize(('crystal', 'reach', 'number'), [('diamond', 2.0, 3), ('rock_salt', 2.4, 2)])
def test_nearest_neighbours_have_as_many_constants_as_their_bond_has_cubic_invariants(crystal, reach, number, request):
    """Translation makes Ψ of a bond symmetric in all three components: zzz and z(xx + yy) are invariant about any axis
    that is threefold or more, and xxx − 3xyy about a threefold one."""
    assert third_order_basis(request.getfixturevalue(crystal), reach).n_third == number


def test_a_primitive_cell_in_unusual_vectors_gives_as_many(wurtzite):
    skewed = wurtzite.copy()
    skewed.set_cell(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]]) @ wurtzite.cell.array)
    assert third_order_basis(skewed, 2.5).n_third == third_order_basis(wurtzite, 2.5).n_third


def test_the_second_shell_lies_between_the_second_and_the_third_neighbours(diamond, rock_salt):
    assert 3.56 * np.sqrt(1 / 2) < second_shell(diamond) < 3.56 * np.sqrt(11 / 16)
    assert 4.017 * np.sqrt(1 / 2) < second_shell(rock_salt) < 4.017 * np.sqrt(3 / 4)


def test_the_second_shell_of_a_molecular_crystal_is_far_beyond_the_bond():
    """α-N2, Pa3: molecules of 1.10 Å along the diagonals of a cube of 5.66 Å."""
    u = 1.10 / (2 * np.sqrt(3) * 5.66)
    along = np.array([[1, 1, 1], [-1, 1, -1], [-1, -1, 1], [1, -1, -1]])
    centres = np.array([[0, 0, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0.5, 0.5, 0]])
    fractions = np.concatenate([centres + u * along, centres - u * along])
    nitrogen = Atoms('N8', scaled_positions=fractions, cell=5.66 * np.eye(3), pbc=True)
    images = np.array(list(np.ndindex(3, 3, 3))) - 1
    apart = (fractions[None, :] + images[:, None] - fractions[0]).reshape(-1, 3) * 5.66
    distances = np.unique(np.linalg.norm(apart, axis=1).round(4))
    assert distances[1] == pytest.approx(1.10, abs=1e-3)
    assert distances[2] < second_shell(nitrogen) < distances[3]


def test_what_has_no_basis_is_refused(diamond):
    with pytest.raises(CrystalError, match='not primitive'):
        third_order_basis(bulk('C', 'diamond', a=3.56, cubic=True), 1.6)
    with pytest.raises(CrystalError, match='within the cutoff'):
        third_order_basis(diamond, 1.0)
