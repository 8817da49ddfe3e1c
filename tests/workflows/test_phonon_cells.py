"""In which cell the settings of the phonons are meant, and how its masses and tolerance reach the results."""

from types import SimpleNamespace

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.jobs.inputs import refuse_no_crystal, refuse_structure
from aiida_mlcc.science.crystal.cells import primitive_cell, supercell
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.phonons.dispersion import band_path, frequencies
from aiida_mlcc.science.phonons.gruneisen import strained
from aiida_mlcc.workflows.curve_table import Phonons, all_curves
from aiida_mlcc.workflows.curves.error_budget import error_budget
from aiida_mlcc.workflows.phonons.harmonic_phonon import HarmonicPhononWorkChain
from tests.crystals import optical_frequency_cm1, rocksalt, rocksalt_cube, springs
from tests.science.phonons.test_branches import phonon_of

SMALL = {
    'mesh': [2, 2, 2],
    'band_points': 3,
    'temperatures_K': {'start': 0, 'stop': 100, 'step': 100},
    'dos_spacing_cm1': 10.0,
    'relax': 'none',
}
POINT = [0.1, 0.2, 0.3]
PATH = {'points': {'GAMMA': [0, 0, 0], 'HERE': POINT}, 'path': [['GAMMA', 'HERE']]}
SKEW = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]])


def phonons_of(python, atoms, symprec=1e-5, matrix=(2, 2, 2), inputs=None, **parameters):
    overrides = {'supercell_matrix': list(matrix), 'symprec': symprec, 'parameters': {**SMALL, **parameters}}
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        python,
        orm.StructureData(ase=atoms),
        {'seed_1': ForceFieldData(springs(rocksalt()))},
        protocol='fast',
        overrides=overrides,
    )
    for name, value in (inputs or {}).items():
        setattr(builder, name, value)
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return outputs, node


def skewed() -> Atoms:
    atoms = rocksalt()
    atoms.set_cell(SKEW @ atoms.cell.array)
    return atoms


def test_a_path_is_in_the_basis_of_a_structure_that_is_primitive(python):
    outputs, _ = phonons_of(python, skewed(), path=PATH)
    expected = frequencies(phonon_of(springs(rocksalt()).terms[0]), np.array(POINT) @ np.linalg.inv(SKEW).T)[0]
    in_the_other_basis = frequencies(phonon_of(springs(rocksalt()).terms[0]), POINT)[0]
    assert np.abs(expected - in_the_other_basis).max() > 10
    assert np.allclose(outputs['special_points']['HERE']['mean'], expected, atol=0.5)
    assert np.allclose(outputs['dispersion'].cell, skewed().cell.array)


@pytest.mark.nightly
def test_standardised_vectors_make_the_point_mean_what_tables_have_it_mean(python):
    """X is (1/2, 0, 1/2) of the standard vectors of the fcc lattice, whatever those of the structure are."""
    path = {'points': {'GAMMA': [0, 0, 0], 'X': [0.5, 0, 0.5]}, 'path': [['GAMMA', 'X']]}
    outputs, _ = phonons_of(python, skewed(), path=path, primitive='standardised')
    lengths = np.linalg.norm(outputs['dispersion'].cell, axis=1)
    assert np.allclose(lengths, 4.03 / np.sqrt(2))
    expected = frequencies(phonon_of(springs(rocksalt()).terms[0]), [0.5, 0, 0.5])[0]
    assert np.allclose(outputs['special_points']['X']['mean'], expected, atol=0.5)


@pytest.mark.nightly
def test_a_conventional_cell_as_given_folds_the_modes_at_x_onto_gamma(python):
    outputs, _ = phonons_of(python, rocksalt_cube(), matrix=(1, 1, 1), path=PATH, primitive='as-given')
    found = np.array(outputs['special_points']['GAMMA']['mean'])
    phonon = phonon_of(springs(rocksalt()).terms[0])
    folded = [frequencies(phonon, q)[0] for q in ([0, 0, 0], [0.5, 0, 0.5], [0.5, 0.5, 0], [0, 0.5, 0.5])]
    assert np.allclose(found, np.sort(np.concatenate(folded)), atol=0.5)
    assert {entry['label'] for entry in outputs['gamma_modes']['modes']} == {None}


def test_a_conventional_cell_as_given_needs_a_path(python):
    with pytest.raises(ValueError, match='give a `path` of your own'):
        phonons_of(python, rocksalt_cube(), matrix=(1, 1, 1), primitive='as-given')
    with pytest.raises(ValueError, match='choose from auto, as-given, standardised'):
        phonons_of(python, rocksalt_cube(), matrix=(1, 1, 1), primitive='niggli')


@pytest.mark.nightly
def test_the_path_has_the_tolerance_that_was_given(python):
    """An atom 2e-4 Å off its place: a cubic path where 1e-3 Å are allowed, that of a triclinic crystal otherwise."""
    atoms = rocksalt()
    atoms.positions[1] += [2e-4, 1e-4, 0]
    wide, narrow = (band_path(atoms, 3, symprec) for symprec in (1e-3, 1e-5))
    assert wide.labels != narrow.labels
    outputs, _ = phonons_of(python, atoms, symprec=1e-3)
    assert [tuple(label) for label in outputs['dispersion'].labels] == list(wide.labels)


@pytest.mark.nightly
def test_an_isotope_lowers_the_optical_frequency_by_the_root_of_the_reduced_mass(python):
    heavy = rocksalt_cube()
    heavy.set_masses([6.015 if symbol == 'Li' else None for symbol in heavy.symbols])
    light = rocksalt()
    light.set_masses([6.015, None])
    outputs, _ = phonons_of(python, heavy, matrix=(1, 1, 1))
    gamma = outputs['special_points']['GAMMA']['mean']
    assert gamma[3] == pytest.approx(optical_frequency_cm1(light), rel=1e-4)
    assert gamma[3] > 1.02 * optical_frequency_cm1(rocksalt())


@pytest.mark.parametrize('refuse', [refuse_structure, refuse_no_crystal])
def test_a_left_handed_lattice_is_refused_in_a_sentence(aiida_profile, refuse):
    atoms = rocksalt()
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    assert 'left-handed: exchange two of them' in refuse(orm.StructureData(ase=atoms), None)
    assert refuse(orm.StructureData(ase=rocksalt()), None) is None


def test_isotopes_are_for_phonons_alone_and_one_to_an_element(aiida_profile):
    cube = rocksalt_cube()
    cube.set_masses([6.015 if symbol == 'Li' else None for symbol in cube.symbols])
    assert 'Li has the mass 6.015' in refuse_structure(orm.StructureData(ase=cube), None)
    assert refuse_no_crystal(orm.StructureData(ase=cube), None) is None
    masses = cube.get_masses()
    masses[0] = 7.016
    cube.set_masses(masses)
    assert 'Li has the masses 6.015 and 7.016' in refuse_no_crystal(orm.StructureData(ase=cube), None)


@pytest.mark.nightly
def test_a_relaxed_cell_keeps_its_error_budget_and_is_marked_by_the_cell_before(python):
    """Members 0.4 % larger than the cell that they were trained in, as `relax: cell` leaves them."""
    outputs, _ = phonons_of(
        python,
        rocksalt(),
        path={'points': {'G': [0, 0, 0], 'X': [0.5, 0, 0.5], 'P': POINT}, 'path': [['G', 'X'], ['X', 'P']]},
    )
    smaller = strained(rocksalt(), -0.004)
    trained = SnapshotsData(Snapshots.from_atoms([supercell(smaller, 2)]))
    given = {'training_snapshots': trained, 'members': dict(outputs['phonopy_data'])}
    curves = (outputs['special_points'], outputs['dispersion'])
    found = error_budget(*curves, orm.Str('science'), primitive=orm.StructureData(ase=smaller), **given)['error_budget']
    assert {label: entry['commensurate'] for label, entry in found.get_dict().items()} == {
        'G': True,
        'X': True,
        'P': False,
    }
    unknown = error_budget(*curves, orm.Str('science'), **given)['error_budget']
    assert {entry['commensurate'] for entry in unknown.get_dict().values()} == {None}
    assert len(unknown['X']['sd']) == 6


@pytest.mark.nightly
def test_a_member_without_forces_at_another_volume_costs_its_own_grueneisen_parameters_only(aiida_profile):
    volumes = {
        'at_rest': {'seed_1': 'd', 'seed_2': 'e'},
        'expanded': {'seed_1': 'a', 'seed_2': 'b'},
        'compressed': {'seed_1': 'c'},
    }
    phonons = Phonons(inputs={'parameters': orm.Dict()}, primitive=None, volumes=volumes)
    assert phonons.at_all_volumes == ['seed_1']
    compared = all_curves()['gruneisen'].arguments(phonons)
    assert [list(compared[volume]) for volume in volumes] == [['seed_1']] * 3
    ended = judged(phonons, {'gruneisen': orm.ArrayData()})
    assert ended.status == 410
    assert 'Grüneisen parameters of seed_2' in ended.message
    assert 'seed_1' not in ended.message


def judged(phonons, made):
    """Return how phonons end that were to have Grüneisen parameters and made these curves."""
    context = SimpleNamespace(volumes=phonons.volumes, lost={}, plan=SimpleNamespace(alternatives={}), made=made)
    return HarmonicPhononWorkChain.judge(
        SimpleNamespace(
            ctx=context,
            inputs=SimpleNamespace(parameters=orm.Dict({'gruneisen': {'strain': 0.01}})),
            exit_codes=HarmonicPhononWorkChain.exit_codes,
            phonons=lambda: phonons,
        )
    )


@pytest.mark.parametrize('volumes', [['at_rest'], ['at_rest', 'expanded', 'compressed']])
def test_grueneisen_parameters_that_fail_late_are_missing(aiida_profile, volumes):
    found = {volume: {'seed_1': volume} for volume in volumes}
    phonons = Phonons(inputs={'parameters': orm.Dict()}, primitive=None, volumes=found)
    ended = judged(phonons, {})
    assert ended.status == 410
    assert 'any Grüneisen parameters' in ended.message


@pytest.mark.nightly
def test_imaginary_modes_of_the_mesh_are_counted_and_reported(python):
    overrides = {'supercell_matrix': [2, 2, 2], 'parameters': SMALL}
    unstable = {'seed_1': ForceFieldData(springs(rocksalt(), stiffness=-1.0))}
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        python, orm.StructureData(ase=rocksalt()), unstable, protocol='fast', overrides=overrides
    )
    outputs, node = run_get_node(builder)
    # All modes of springs that push are imaginary, but for the three translations: 8·6 − 3 of 8·6.
    for name in ('thermal_properties', 'mean_square_displacements'):
        shares = outputs[name].base.attributes.get('imaginary_share')
        assert shares == {'seed_1': pytest.approx(45 / 48)}
    messages = [entry.message for entry in orm.Log.collection.get_logs_for(node)]
    assert any('leave out the imaginary modes of the mesh: seed_1 94 %' in message for message in messages)


def test_delta_knows_the_same_crystal_as_phonons_of_any_cell():
    """Force constants learnt in the default primitive cell are those of a supercell of any other choice."""
    from aiida_mlcc.science.crystal.cells import map_onto_crystal

    for kind in ('auto', 'as-given', 'standardised'):
        cell = primitive_cell(rocksalt_cube(), kind=kind)
        assert map_onto_crystal(primitive_cell(rocksalt_cube()), supercell(cell, 2)).n_cells == 8 * len(cell) // 2
