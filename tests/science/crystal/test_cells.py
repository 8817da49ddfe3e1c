import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from aiida_mlcc.science.crystal.cells import (
    CrystalError,
    conventional_matrix,
    expand_matrix,
    from_phonopy,
    isotopes,
    map_onto_crystal,
    primitive_cell,
    supercell,
    to_phonopy,
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


def hexagonal_with_sixty_degrees() -> Atoms:
    cell = [[3.2, 0, 0], [1.6, 1.6 * np.sqrt(3), 0], [0, 0, 5.2]]
    return Atoms('Mg2', cell=cell, scaled_positions=[[1 / 3, 1 / 3, 0.25], [2 / 3, 2 / 3, 0.75]], pbc=True)


def permuted_rock_salt() -> Atoms:
    cell = 2.015 * np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    return Atoms('LiF', cell=cell, positions=[[0, 0, 0], [2.015] * 3], pbc=True)


def skewed_diamond() -> Atoms:
    atoms = bulk('C', 'diamond', a=3.56)
    atoms.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 2, 1]]) @ atoms.cell.array)
    return atoms


PRIMITIVE_ALREADY = [hexagonal_with_sixty_degrees(), permuted_rock_salt(), skewed_diamond()]


@pytest.mark.parametrize('crystal', PRIMITIVE_ALREADY, ids=['hexagonal', 'permuted', 'skewed'])
def test_a_cell_that_is_primitive_already_stays_as_it_is(crystal):
    found = primitive_cell(crystal)
    assert np.allclose(found.cell.array, crystal.cell.array, atol=1e-12)
    assert np.allclose(found.positions, crystal.positions, atol=1e-12)
    assert found.get_chemical_symbols() == crystal.get_chemical_symbols()


@pytest.mark.parametrize('turned', [False, True])
@pytest.mark.parametrize('crystal', [*PRIMITIVE_ALREADY, bulk('Fe', cubic=True)])
def test_standardised_vectors_are_those_of_seekpath_and_the_atoms_stay_where_they_are(crystal, turned):
    import seekpath

    crystal = crystal.copy()
    if turned:
        crystal.set_cell(crystal.cell.array @ rotation().T, scale_atoms=True)
    found = primitive_cell(crystal, kind='standardised')
    cell = (crystal.cell.array, crystal.get_scaled_positions(), crystal.numbers)
    theirs = seekpath.get_path(cell)['primitive_lattice']
    # Lengths and angles are theirs, the orientation is that of the crystal: whole multiples lead back to its cell.
    assert np.allclose(found.cell.array @ found.cell.array.T, theirs @ theirs.T, atol=1e-8)
    multiples = crystal.cell.array @ np.linalg.inv(found.cell.array)
    assert np.allclose(multiples, np.rint(multiples), atol=1e-8)
    sites = map_onto_crystal(found, crystal)
    assert np.allclose(sites.reference_positions, crystal.positions, atol=1e-8)


def test_a_cell_can_be_kept_though_it_is_not_primitive():
    cube = bulk('C', 'diamond', a=3.56, cubic=True)
    found = primitive_cell(cube, kind='as-given')
    assert np.allclose(found.positions, cube.positions)
    with pytest.raises(CrystalError, match='choose from auto, as-given, standardised'):
        primitive_cell(cube, kind='niggli')


def test_a_left_handed_cell_is_refused_in_a_sentence():
    crystal = bulk('Mg')
    crystal.set_cell(crystal.cell.array[[1, 0, 2]])
    for kind in ('auto', 'as-given', 'standardised'):
        with pytest.raises(CrystalError, match='left-handed: exchange two of them'):
            primitive_cell(crystal, kind=kind)


def test_two_atoms_in_one_place_are_no_crystal_whichever_cell_is_meant():
    doubled = Atoms('C2', cell=3 * np.eye(3), positions=np.zeros((2, 3)), pbc=True)
    for kind in ('auto', 'standardised'):
        with pytest.raises(CrystalError, match='do two atoms share a place'):
            primitive_cell(doubled, kind=kind)


def test_isotopes_keep_their_mass_in_primitive_cells_and_supercells():
    cube = bulk('LiH', 'rocksalt', a=4.08, cubic=True)
    cube.set_masses([2.014 if symbol == 'H' else None for symbol in cube.symbols])
    assert isotopes(cube) == {'H': [2.014]}
    for cell in (primitive_cell(cube), supercell(primitive_cell(cube), 2), primitive_cell(cube, kind='standardised')):
        masses = cell.get_masses()
        assert np.allclose(masses[cell.symbols.search('H')], 2.014)
        assert np.allclose(masses[cell.symbols.search('Li')], 6.94)


def test_masses_of_another_table_of_the_elements_are_no_isotopes():
    """phonopy has 6.941 for lithium and 98 for technetium, which has no stable isotope; ASE has 6.94 and 97.907."""
    from phonopy.structure.atoms import PhonopyAtoms

    theirs = PhonopyAtoms(['Li', 'Tc'], cell=3 * np.eye(3), scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]])
    ours = Atoms('LiTc')
    assert np.array_equal(from_phonopy(theirs).get_masses(), ours.get_masses())
    assert np.allclose(to_phonopy(from_phonopy(theirs)).masses, ours.get_masses())
    enriched = bulk('C', 'diamond', a=3.56)
    enriched.set_masses([12.0, 12.0])
    assert isotopes(enriched) == {'C': [12.0]}
    assert isotopes(from_phonopy(theirs)) == {}


def test_supercell_matrix_is_read_as_phonopy_reads_it(diamond):
    from phonopy import Phonopy

    from aiida_mlcc.science.crystal.cells import to_phonopy

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


@pytest.mark.parametrize(
    ('structure', 'lattice', 'n_cells'),
    [
        ('rocksalt', [4.6, 4.6, 4.6, 90, 90, 90], 4),
        ('cesiumchloride', [4.6, 4.6, 4.6, 90, 90, 90], 1),
        ('wurtzite', [4.6, 4.6, 7.36, 90, 90, 120], 1),
    ],
)
def test_a_primitive_cell_leads_to_the_conventional_one_as_it_lies(structure, lattice, n_cells):
    length = {'a': 4.6, **({'c': 7.36} if structure == 'wurtzite' else {})}
    primitive = bulk('NaF', structure, **length)
    primitive.rotate(33, (1, 2, 3), rotate_cell=True)
    matrix = conventional_matrix(primitive)
    assert supercell(primitive, matrix).cell.cellpar() == pytest.approx(lattice, abs=1e-6)
    assert round(np.linalg.det(matrix)) == n_cells


def test_a_body_centred_and_a_rhombohedral_cell_lead_to_cells_of_two_and_three():
    corundum = crystal(
        ['Al', 'O'], [(0, 0, 0.352), (0.306, 0, 0.25)], spacegroup=167, cellpar=[4.76, 4.76, 12.99, 90, 90, 120],
        primitive_cell=True,
    )  # fmt: skip
    assert supercell(corundum, conventional_matrix(corundum)).cell.cellpar() == pytest.approx(
        [4.76, 4.76, 12.99, 90, 90, 120]
    )
    assert round(np.linalg.det(conventional_matrix(bulk('Fe', 'bcc', a=2.8)))) == 2


@pytest.mark.parametrize('repeats', [(2, 1, 1), (2, 2, 2)])
def test_what_is_not_a_primitive_cell_is_taken_as_it_is(repeats):
    assert (conventional_matrix(bulk('NaF', 'rocksalt', a=4.6).repeat(repeats)) == np.eye(3)).all()
    assert (conventional_matrix(bulk('NaF', 'rocksalt', a=4.6, cubic=True)) == np.eye(3)).all()
