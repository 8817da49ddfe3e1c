"""Options of the HarmonicPhononWorkChain: charges, relaxation, other volumes, thermal properties, bad input."""

import io

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida_phonopy.data.preprocess import PreProcessData
from ase import Atoms

from aiida_mlcc.calculations.functions.phonon_from_forces import phonon_from_forces
from aiida_mlcc.calculations.functions.vasp_born_charges import vasp_born_charges
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.workflows.phonons.harmonic_phonon import HarmonicPhononWorkChain
from tests.crystals import optical_frequency_cm1, rocksalt, rocksalt_cube, spring_term, springs

BORN = '# elements: Li F\n2 0 0 0 2 0 0 0 2\n1 0 0 0 1 0 0 0 1\n-1.02 0 0 0 -1.02 0 0 0 -1.02\n'
SMALL = {
    'mesh': [4, 4, 4],
    'band_points': 5,
    'temperatures_K': {'start': 0, 'stop': 300, 'step': 100},
    'dos_spacing_cm1': 10.0,
}


def phonons_of(python, crystal, members, nac=None, cells=2, **parameters):
    overrides = {'supercell_matrix': [cells] * 3, 'parameters': {**SMALL, **parameters}}
    builder = HarmonicPhononWorkChain.get_builder_from_protocol(
        python, crystal, members, protocol='fast', overrides=overrides, nac=nac
    )
    return run_get_node(builder)


def born_file(text=BORN):
    return orm.SinglefileData(io.BytesIO(text.encode()), 'BORN')


def test_charges_split_the_optical_modes_of_every_member_and_the_rest_comes_along(python):
    # So wide that two primitive cells a side are enough for the correction.
    wide = rocksalt(6.0)
    members = {f'seed_{n}': ForceFieldData(springs(wide, stiffness)) for n, stiffness in ((1, 3.0), (2, 3.3))}
    outputs, node = phonons_of(python, orm.StructureData(ase=wide), members, born_file())
    assert node.is_finished_ok, node.exit_message
    gamma = outputs['special_points']['GAMMA']
    transverse = [optical_frequency_cm1(rocksalt(), stiffness) for stiffness in (3.0, 3.3)]
    assert np.allclose(np.array(gamma['members'])[:, 3:5], np.array(transverse)[:, None], rtol=1e-4)
    split = np.array(gamma['members'])[:, 5] ** 2 - np.array(transverse) ** 2
    assert split[0] == pytest.approx(split[1], rel=1e-3), 'the charges are the same for both'
    assert split[0] > 1e4
    dispersion = outputs['dispersion']
    assert np.allclose(dispersion.get_bands()[0], gamma['mean'], atol=1e-3)
    charges = outputs['born_charges']
    assert np.allclose(charges.get_array('born_charges'), [1.01 * np.eye(3), -1.01 * np.eye(3)])
    assert charges.base.attributes.get('net_charge') == pytest.approx(0.02)

    labels = [(entry['label'], entry['modes']) for entry in outputs['gamma_modes']['modes']]
    assert labels == [('T1u', [0, 1, 2]), ('T1u', [3, 4, 5])]
    assert outputs['gamma_modes']['modes'][1]['mean'] == pytest.approx(np.mean(transverse), rel=1e-4)

    thermal = outputs['thermal_properties']
    assert thermal.get_array('temperatures_K').tolist() == [0, 100, 200, 300]
    assert thermal.get_array('entropy_J_K_mol_members').shape == (2, 4)
    softer, stiffer = thermal.get_array('free_energy_kJ_mol_members')
    assert (softer < stiffer).all()
    assert (np.diff(outputs['mean_square_displacements'].get_array('F_mean')) > 0).all()
    velocities = outputs['group_velocities']
    assert velocities.get_array('members').shape == (2, *dispersion.get_bands().shape, 3)
    assert velocities.get_array('mean').shape == dispersion.get_bands().shape
    broken = outputs['force_constants']['seed_1']
    assert broken['translation_eV_A2'] < 1e-3 * broken['largest_eV_A2']
    assert 'relaxed' not in outputs, 'symmetry leaves nothing to relax'


def test_charges_of_vasp_are_taken_from_its_cell(aiida_profile):
    cube = rocksalt_cube()
    charges = orm.ArrayData({'born_charges': np.array([n * np.eye(3) for n in np.where(cube.numbers == 3, 1, -1)])})
    dielectrics = orm.ArrayData({'epsilon': 2 * np.eye(3)})
    found = vasp_born_charges(charges, dielectrics, orm.StructureData(ase=cube))
    from aiida_mlcc.calculations.functions.born_charges import born_of

    assert np.allclose(born_of(found, orm.StructureData(ase=rocksalt()), 1e-5).charges, [np.eye(3), -np.eye(3)])


def off_centre():
    """A tetragonal crystal whose second atom may move along z: there it is at rest at half the height."""
    return Atoms('LiF', cell=[3, 3, 4.6], scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.52]], pbc=True)


def with_a_pull(strength):
    """Springs between neighbours with an equal and opposite pull along z on the two atoms."""
    crystal = off_centre()
    term = spring_term(crystal, 3.6, 8.0, 2.0)
    pull = np.zeros((2, 3))
    pull[:, 2] = [strength, -strength]
    arrays = {**term.arrays, 'first_order': pull}
    term = type(term)(term.kind, term.settings, arrays, term.weight, {'method': 'LDA'})
    return ForceFieldData(ForceField((term,), {'Li': 0.0, 'F': 0.0}, method='LDA')).store()


@pytest.mark.nightly
def test_members_relax_the_positions_that_symmetry_leaves_free(python):
    crystal = orm.StructureData(ase=off_centre()).store()
    members = {'seed_1': with_a_pull(0.0), 'seed_2': with_a_pull(0.4)}
    outputs, node = phonons_of(python, crystal, members)
    assert node.is_finished_ok, node.exit_message
    start = off_centre().get_distance(0, 1, mic=True, vector=True)
    moved = {
        name: found.get_ase().get_distance(0, 1, mic=True, vector=True) - start
        for name, found in outputs['relaxed'].items()
    }
    assert np.allclose(moved['seed_1'], 0, atol=1e-4)
    assert abs(moved['seed_2'][2]) > 0.01
    assert np.allclose(moved['seed_2'][:2], 0, atol=1e-6)
    assert np.allclose(outputs['relaxed']['seed_2'].cell, crystal.cell)
    for broken in outputs['force_constants'].get_dict().values():
        assert broken['residual_force_eV_A'] < 2e-4, 'atoms are displaced from rest'
    # The springs are harmonic: where they are at rest does not change the frequencies.
    members = outputs['dispersion'].get_array('members')
    assert np.allclose(members[0], members[1], atol=1.0)


@pytest.mark.nightly
def test_without_relaxation_the_atoms_stay(python):
    crystal = orm.StructureData(ase=off_centre()).store()
    outputs, node = phonons_of(python, crystal, {'seed_2': with_a_pull(0.4)}, relax='none')
    assert node.is_finished_ok, node.exit_message
    assert 'relaxed' not in outputs
    assert outputs['force_constants']['seed_2']['residual_force_eV_A'] == pytest.approx(0.4, rel=1e-3)


@pytest.mark.nightly
def test_force_constants_know_one_cell_only_and_the_phonons_come_without_gruneisen_parameters(python, crystal, members):
    outputs, node = phonons_of(python, crystal, members, gruneisen={'strain': 0.005})
    assert node.is_finished_ok, node.exit_message
    assert 'gruneisen' not in outputs
    reports = [entry.message for entry in orm.Log.collection.get_logs_for(node)]
    assert any('no Grüneisen parameters: seed_1, seed_2 contain force constants' in message for message in reports)


def test_a_cell_that_force_constants_cannot_relax_is_refused_in_a_sentence(python, crystal, members):
    _, node = phonons_of(python, crystal, members, relax='cell')
    assert node.exit_status == HarmonicPhononWorkChain.exit_codes.ERROR_ONE_CELL_ONLY.status
    assert 'set `relax` to positions' in node.exit_message


@pytest.mark.nightly
def test_a_given_path_is_followed(python, crystal, members):
    path = {'points': {'GAMMA': [0, 0, 0], 'HERE': [0.25, 0.25, 0.1]}, 'path': [['GAMMA', 'HERE']]}
    outputs, node = phonons_of(python, crystal, members, path=path)
    assert node.is_finished_ok, node.exit_message
    assert [label for _, label in outputs['dispersion'].labels] == ['GAMMA', 'HERE']
    assert outputs['special_points']['HERE']['qpoint'] == [0.25, 0.25, 0.1]


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'mesh': [6, 6, 5]}, 'the mesh 6×6×5 breaks the symmetry of the crystal'),
        ({'mesh': [6, 6]}, 'three whole numbers above 0'),
        ({'relax': 'atoms'}, '`parameters.relax` is .atoms.: choose from none, positions, cell'),
        ({'gruneisen': {'strain': 0.2}}, 'must be above 0, at most 0.05'),
        ({'temperatures_K': {'start': 300, 'stop': 0, 'step': 10}}, 'no temperatures from 300 to 0 K'),
        ({'path': {'points': {'A': [0, 0, 0]}, 'path': [['A', 'B']]}}, 'give two labels of its `points`'),
        ({'nac': BORN.replace('Li F', 'Li H')}, 'names the atoms Li H, but those of the primitive cell are Li F'),
        ({'nac': BORN + '0 0 0 0 0 0 0 0 0\n'}, 'charges of 3 atoms, but the primitive cell has 2'),
    ],
)
def test_bad_input_is_refused_at_submission(python, crystal, members, changed, reason):
    nac = changed.pop('nac', None)
    with pytest.raises(ValueError, match=reason):
        phonons_of(python, crystal, members, None if nac is None else born_file(nac), cells=3, **changed)


@pytest.mark.nightly
def test_forces_that_are_no_numbers_cost_their_member_and_are_named(python, crystal, members):
    term = springs(rocksalt()).terms[0]
    arrays = {**term.arrays, 'fc': 1e200 * term.arrays['fc']}
    broken = type(term)(term.kind, term.settings, arrays, 1e200, term.trained_on)
    members = {**members, 'seed_3': ForceFieldData(ForceField((broken,), {'Li': 0.0, 'F': 0.0}, method='LDA'))}
    outputs, node = phonons_of(python, crystal, members)
    assert node.exit_status == HarmonicPhononWorkChain.exit_codes.ERROR_MEMBERS_MISSING.status
    assert 'seed_3' in node.exit_message
    assert outputs['dispersion'].get_array('members').shape[0] == 2


def test_a_single_force_that_is_no_number_is_named(aiida_profile):
    preprocess = PreProcessData(structure=orm.StructureData(ase=rocksalt()), supercell_matrix=[1, 1, 1])
    preprocess.set_displacements()
    n_cells = len(preprocess.displacements) + 1
    frames = Snapshots.from_atoms([rocksalt()] * n_cells)
    forces = np.zeros((n_cells, 2, 3))
    forces[1, 1, 2] = np.nan
    labelled = SnapshotsData(frames.with_label('LDA', Label(np.zeros(n_cells), forces)))
    _, process = phonon_from_forces.run_get_node(preprocess, labelled, orm.Int(0), orm.Str('science'))
    assert process.exit_message == 'a force of cell 1 is not a number'
