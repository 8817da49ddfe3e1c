import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.crystal import (
    CrystalError,
    check_supercell,
    expand_matrix,
    map_onto_crystal,
    primitive_cell,
    supercell,
    unwrap,
)

SKEWED = [[2, 1, 0], [0, 3, 1], [1, 0, 2]]


def rotation() -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler('xyz', [20, 35, 50], degrees=True).as_matrix()


@pytest.mark.parametrize(
    ('given', 'expanded'), [(2, 2 * np.eye(3)), ([1, 2, 3], np.diag([1, 2, 3])), (SKEWED, np.array(SKEWED))]
)
def test_supercell_matrix_is_expanded(given, expanded):
    assert np.array_equal(expand_matrix(given), expanded)


@pytest.mark.parametrize('given', [0, -1, 1.5, [1, 2], [1, 0, 1], np.nan, [[1, 2, 3]] * 3])
def test_what_is_no_supercell_matrix_is_refused(given):
    with pytest.raises(CrystalError, match='supercell matrix'):
        expand_matrix(given)


def test_primitive_cell_keeps_the_orientation_of_a_rotated_conventional_cell():
    conventional = bulk('C', 'diamond', a=3.56, cubic=True)
    conventional.set_cell(conventional.cell.array @ rotation().T, scale_atoms=True)
    primitive = primitive_cell(conventional)
    assert len(primitive) == 2
    # In the same orientation the conventional vectors are whole multiples of the primitive ones.
    multiples = conventional.cell.array @ np.linalg.inv(primitive.cell.array)
    assert np.allclose(multiples, np.rint(multiples), atol=1e-8)


def test_supercell_matrix_is_read_as_phonopy_reads_it(diamond):
    from phonopy import Phonopy

    from aiida_mlcc.science.crystal import to_phonopy

    ours = supercell(diamond, SKEWED)
    theirs = Phonopy(to_phonopy(diamond), SKEWED, primitive_matrix='P').supercell
    assert np.allclose(ours.cell.array, theirs.cell)
    assert np.allclose(ours.positions, theirs.positions)


@pytest.mark.parametrize('matrix', [1, 2, [2, 2, 1], SKEWED, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]])
@pytest.mark.parametrize('crystal', ['diamond', 'rock_salt', 'wurtzite'])
def test_sites_are_found_under_motion_drift_wrapping_and_any_order(matrix, crystal, request):
    primitive = request.getfixturevalue(crystal)
    random = np.random.default_rng(11)
    cell = supercell(primitive, matrix)
    order = random.permutation(len(cell))
    motion = random.normal(scale=0.12, size=(len(cell), 3))
    motion -= motion.mean(axis=0)
    moved = cell[order]
    moved.positions += motion + np.array([1.83, -0.77, 12.4])
    moved.wrap()
    found = map_onto_crystal(primitive, moved)

    assert np.array_equal(primitive.numbers[found.sites], moved.numbers)
    recovered = moved.positions - found.reference_positions
    # An origin elsewhere that fits as well is as good a description; the displacements must be the thermal ones.
    assert np.allclose(recovered - recovered.mean(axis=0), motion, atol=1e-9)
    ideal = primitive.positions[found.sites] + found.lattice_vectors @ primitive.cell.array
    assert np.allclose(ideal + found.shift, found.reference_positions, atol=1e-9)
    assert np.array_equal(found.find(found.sites, found.lattice_vectors), np.arange(len(moved)))


def test_atoms_are_found_from_any_image_of_their_cell(diamond):
    found = map_onto_crystal(diamond, supercell(diamond, SKEWED))
    elsewhere = found.lattice_vectors + np.array([3, -2, 5]) @ found.multiples
    assert np.array_equal(found.find(found.sites, elsewhere), np.arange(len(found.sites)))


def test_a_strained_cell_is_refused(diamond):
    strained = supercell(diamond, 2)
    strained.set_cell(strained.cell.array * 1.01, scale_atoms=True)
    with pytest.raises(CrystalError, match=r'strain of 0\.01'):
        map_onto_crystal(diamond, strained)


def test_another_orientation_is_refused(diamond):
    rotated = supercell(diamond, 2)
    rotated.set_cell(rotated.cell.array @ rotation().T, scale_atoms=True)
    with pytest.raises(CrystalError, match='orientation'):
        map_onto_crystal(diamond, rotated)


def test_another_composition_and_a_vacancy_are_refused(diamond, rock_salt):
    vacancy = supercell(diamond, 2)
    del vacancy[3]
    with pytest.raises(CrystalError, match='atoms are missing'):
        map_onto_crystal(diamond, vacancy)
    silicon = bulk('Si', 'diamond', a=3.56)
    with pytest.raises(CrystalError, match='another crystal'):
        map_onto_crystal(diamond, silicon)


def test_another_structure_with_the_same_cell_is_refused(rock_salt):
    zincblende = Atoms('LiH', cell=rock_salt.cell, scaled_positions=[[0, 0, 0], [0.25] * 3], pbc=True)
    with pytest.raises(CrystalError, match='another crystal'):
        map_onto_crystal(rock_salt, supercell(zincblende, 2))


def test_a_molecule_is_refused(diamond):
    with pytest.raises(CrystalError, match='no crystal'):
        map_onto_crystal(diamond, Atoms('H2', positions=[[0, 0, 0], [0, 0, 0.7]]))


def test_unwrapping_removes_jumps_and_drift_from_every_frame():
    random = np.random.default_rng(5)
    cell = np.array([[7.0, 0.3, 0.0], [0.0, 7.2, 0.5], [1.0, 0.0, 3.6]])
    motion = random.normal(scale=0.2, size=(6, 32, 3))
    motion -= motion.mean(axis=1, keepdims=True)
    jumps = random.integers(-2, 3, size=(6, 32, 3)) @ cell
    drift = random.uniform(-4, 4, size=(6, 1, 3))
    assert np.allclose(unwrap(motion + jumps + drift, cell), motion, atol=1e-10)


def test_supercells_that_would_waste_a_run_are_refused(rock_salt):
    assert check_supercell(rock_salt, 3) == 54
    with pytest.raises(CrystalError, match='54 atoms'):
        check_supercell(rock_salt, 3, max_atoms=50)
    overlapping = rock_salt.copy()
    overlapping.positions[1] = overlapping.positions[0] + [0.1, 0, 0]
    with pytest.raises(CrystalError, match=r'0\.100 Å apart'):
        check_supercell(overlapping, 2)
    in_nanometres = rock_salt.copy()
    in_nanometres.set_cell(rock_salt.cell.array / 10, scale_atoms=True)
    with pytest.raises(CrystalError, match='in Å'):
        check_supercell(in_nanometres, 2)
