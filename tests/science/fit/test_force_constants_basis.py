import numpy as np
import pytest
import spglib
from ase.build import bulk
from symfc.basis_sets import FCBasisSetO2
from symfc.utils.utils import SymfcAtoms

from aiida_mlcc.science.crystal.cells import CrystalError, map_onto_crystal, supercell
from aiida_mlcc.science.fit.force_constants_basis import (
    allowed_gradients,
    coset_operations,
    force_constants_basis,
    isotropic_multiples,
    shells,
)
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel, force_constants_term

CONVENTIONAL = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])


@pytest.mark.parametrize(('crystal', 'cutoff'), [('diamond', 4.0), ('rock_salt', 4.2), ('wurtzite', 4.0)])
def test_the_basis_spans_springs_of_every_shell(springs, crystal, cutoff, request):
    primitive = request.getfixturevalue(crystal)
    basis = force_constants_basis(primitive, cutoff)
    term = springs(primitive, cutoff)
    place = {tuple(key): n for n, key in enumerate(np.hstack([basis.pairs, basis.lattice_vectors]).tolist())}
    pairs, vectors = term.arrays['pairs'].tolist(), term.arrays['lattice_vectors'].tolist()
    blocks = np.zeros(basis.blocks.shape[1:])
    for pair, vector, block in zip(pairs, vectors, term.arrays['fc'], strict=True):
        blocks[place[(*pair, *vector)]] = block
    parameters = np.einsum('kpab,pab->k', basis.blocks, blocks)
    assert np.allclose(np.einsum('k,kpab->pab', parameters, basis.blocks), blocks, atol=1e-8)


def test_every_basis_function_is_an_energy_surface_and_they_are_orthonormal(wurtzite):
    basis = force_constants_basis(wurtzite, 4.0)
    for block in basis.blocks:
        ForceConstantsModel(force_constants_term(wurtzite, basis.pairs, basis.lattice_vectors, block, basis.cutoff))
    overlaps = np.einsum('kpab,lpab->kl', basis.blocks, basis.blocks)
    assert np.allclose(overlaps, np.eye(basis.n_second), atol=1e-10)


def test_the_number_of_force_constants_of_diamond_is_that_of_the_textbook(diamond):
    # Herman 1959: two for the nearest neighbours, four more for the second.
    assert force_constants_basis(diamond, 2.0).n_second == 2
    assert force_constants_basis(diamond, 2.7).n_second == 6


def test_a_primitive_cell_in_unusual_vectors_gives_as_many_force_constants(diamond):
    skewed = diamond.copy()
    skewed.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 2, 1]]) @ diamond.cell.array)
    assert force_constants_basis(skewed, 3.2).n_second == force_constants_basis(diamond, 3.2).n_second


def test_features_are_the_energies_of_the_basis_functions(wurtzite):
    basis = force_constants_basis(wurtzite, 4.0)
    atoms = supercell(wurtzite, [[2, 1, 0], [0, 2, 0], [0, 0, 1]])
    site_map = map_onto_crystal(wurtzite, atoms)
    displacements = np.random.default_rng(1).normal(scale=0.05, size=(3, len(atoms), 3))
    features = basis.features(site_map, displacements)
    random = np.random.default_rng(2)
    parameters = random.normal(size=basis.n_second + basis.n_first)
    second, first = np.split(parameters, [basis.n_second])
    model = ForceConstantsModel(
        force_constants_term(
            wurtzite,
            basis.pairs,
            basis.lattice_vectors,
            np.einsum('k,kpab->pab', second, basis.blocks),
            basis.cutoff,
            np.einsum('k,kia->ia', first, basis.gradients),
        )
    )
    bound = model.bind(atoms)
    expected = [bound.energy_forces(atoms.positions + moved)[0] for moved in displacements]
    assert np.allclose(features @ parameters, expected, atol=1e-9)


def test_gradients_are_allowed_only_where_sites_have_freedom(diamond, rock_salt, wurtzite):
    assert len(allowed_gradients(diamond)) == 0
    assert len(allowed_gradients(rock_salt)) == 0
    # Wurtzite has one internal parameter: the two sublattices against each other along c.
    gradients = allowed_gradients(wurtzite)
    assert gradients.shape == (1, 4, 3)
    assert np.allclose(gradients[0, :, :2], 0, atol=1e-8)
    assert np.allclose(np.abs(gradients[0, :, 2]), 0.5)
    zinc = gradients[0, wurtzite.numbers == 30, 2]
    assert zinc[0] == pytest.approx(zinc[1])


@pytest.mark.parametrize('cutoff', [2.5, 4.0, 5.3])
@pytest.mark.parametrize('crystal', ['diamond', 'rock_salt', 'wurtzite'])
def test_no_pair_within_the_cutoff_meets_its_own_image(crystal, cutoff, request):
    primitive = request.getfixturevalue(crystal)
    multiples = np.diag(isotropic_multiples(primitive, cutoff))
    cell = primitive.cell.array * multiples[:, None]
    vectors = np.array([v for v in np.ndindex(7, 7, 7) if v != (3, 3, 3)]) - 3
    assert np.linalg.norm(vectors @ cell, axis=1).min() > 2 * cutoff


def test_a_flat_crystal_needs_fewer_cells_along_its_long_vector():
    tetragonal = bulk('Si', 'bct', a=3.0, c=9.0)
    hexagonal = bulk('ZnS', 'wurtzite', a=3.0, c=12.0)
    assert len(set(np.diag(isotropic_multiples(tetragonal, 4.0)))) == 1
    assert np.diag(isotropic_multiples(hexagonal, 4.0)).tolist() == [3, 3, 1]


@pytest.mark.nightly
def test_the_training_cell_of_diamond_tells_apart_sixteen_force_constants_within_4_but_not_all_within_5(diamond):
    training_cell = supercell(diamond, CONVENTIONAL @ np.diag([2, 2, 1]))
    site_map = map_onto_crystal(diamond, training_cell)
    assert len(training_cell) == 32
    near, far = force_constants_basis(diamond, 4.0), force_constants_basis(diamond, 5.0)
    assert near.n_second == near.folded_rank(site_map) == 16
    assert far.folded_rank(site_map) < far.n_second


def test_shells_of_diamond_are_at_the_distances_of_geometry(diamond):
    expected = 3.56 * np.sqrt([3 / 16, 1 / 2, 11 / 16, 1, 19 / 16])
    assert np.allclose(shells(diamond, 4.0), expected)


@pytest.mark.parametrize('crystal', ['diamond', 'wurtzite'])
def test_one_operation_of_each_rotation_gives_the_basis_that_all_operations_give(crystal, request):
    large = supercell(request.getfixturevalue(crystal), 3)
    cell = SymfcAtoms(cell=large.cell.array, scaled_positions=large.get_scaled_positions(), numbers=large.numbers)
    some = coset_operations(cell)
    every = spglib.get_symmetry((cell.cell, cell.scaled_positions, cell.numbers))
    assert len(some['rotations']) < len(every['rotations']) / 5
    found, expected = (
        FCBasisSetO2(cell, cutoff=3.5, spacegroup_operations=operations).run() for operations in (some, every)
    )
    bases = [np.asarray(basis.compact_compression_matrix @ basis.basis_set) for basis in (found, expected)]
    assert np.array_equal(found.p2s_map, expected.p2s_map)
    assert np.allclose(bases[0] @ bases[0].T, bases[1] @ bases[1].T)


def test_what_has_no_basis_is_refused(diamond):
    with pytest.raises(CrystalError, match='not primitive'):
        force_constants_basis(bulk('C', 'diamond', a=3.56, cubic=True), 3.0)
    with pytest.raises(CrystalError, match='within the cutoff'):
        force_constants_basis(diamond, 1.0)
    with pytest.raises(CrystalError, match='more than 24'):
        isotropic_multiples(diamond, 60.0)
