import io

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read

from aiida_mlcc.science.labels.extxyz import from_extxyz, from_labelled_atoms, read_extxyz, to_extxyz, write_extxyz
from aiida_mlcc.science.labels.methods import UnknownMethod
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError

SOURCE = {'engine': 'PySCF "2.14" \\ GDF', 'basis': "it's {gth}", 'kpoints': [1, 1, 1], 'pseudo': None, 'ok': True}


@pytest.fixture
def snapshots():
    random = np.random.default_rng(0)
    energies = np.array([-291.47710027, np.nan, -7])
    forces = random.normal(size=(3, 2, 3))
    forces[1] = np.nan
    plain = Snapshots(('Li', 'H'), random.normal(size=(3, 3, 3)) + 4 * np.eye(3), random.normal(size=(3, 2, 3)))
    label = Label(energies, forces, SOURCE, {'hf': energies + 1 / 3, 'triples': energies * 1e-17})
    return plain.with_label('CCSD(T)', label).with_label('HF', Label(energies[::-1].copy()))


def test_a_file_gives_back_every_digit_label_and_source(snapshots, tmp_path):
    write_extxyz(tmp_path / 'snapshots.xyz', snapshots)
    found = read_extxyz(tmp_path / 'snapshots.xyz')
    assert found.content_hash() == snapshots.content_hash()
    assert found.labels['CCSD(T)'].source == SOURCE
    assert [path.name for path in tmp_path.iterdir()] == ['snapshots.xyz']


def test_snapshots_without_labels_go_through_text(snapshots):
    bare = snapshots.without_labels()
    assert from_extxyz(to_extxyz(bare)).content_hash() == bare.content_hash()


def test_ase_reads_the_labels_by_their_slugs(snapshots):
    images = read(io.StringIO(to_extxyz(snapshots)), ':', format='extxyz')
    assert images[0].info['energy_ccsd_t'] == -291.47710027
    assert 'energy_ccsd_t' not in images[1].info
    assert np.array_equal(images[2].arrays['forces_ccsd_t'], snapshots.labels['CCSD(T)'].forces[2])


def test_an_energy_of_no_known_method_is_refused(snapshots):
    with pytest.raises(SnapshotsError, match='unknown methods b3lyp'):
        from_extxyz(to_extxyz(snapshots).replace('energy_hf', 'energy_b3lyp'))


def test_methods_of_any_name_go_through_the_text(snapshots):
    named = snapshots.with_label('RPA', Label(np.arange(float(snapshots.n_frames)))).with_label(
        'r2SCAN', Label(np.zeros(snapshots.n_frames), np.zeros(snapshots.positions.shape))
    )
    assert from_extxyz(to_extxyz(named)).content_hash() == named.content_hash()


def test_results_of_calculators_become_labels():
    images = [bulk('LiH', 'rocksalt', a=4.0) for _ in range(3)]
    for atoms in images[:2]:
        atoms.calc = SinglePointCalculator(atoms, energy=-3.5, forces=np.ones((2, 3)))
    found = from_labelled_atoms(images, 'LDA', SOURCE)
    label = found.labels['LDA']
    assert np.array_equal(label.labelled, [True, True, False])
    assert label.energies[0] == -3.5
    assert np.isnan(label.forces[2]).all()
    assert label.source == SOURCE
    assert from_labelled_atoms(images, 'HF', {}, forces=False).labels['HF'].forces is None


def test_an_empty_energy_is_no_label_and_a_whole_number_is_one():
    text = ''.join(
        f'1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3 energy={energy} pbc="T T T"\nC 0 0 0\n'
        for energy in ('-9.25', '-9', '')
    )
    found = from_labelled_atoms(read(io.StringIO(text), ':', format='extxyz'), 'HF', {}).labels['HF']
    assert np.array_equal(found.energies, [-9.25, -9.0, np.nan], equal_nan=True)
    assert found.forces is None


def test_images_without_energies_or_with_a_name_of_no_method_are_refused():
    atoms = bulk('LiH', 'rocksalt', a=4.0)
    with pytest.raises(SnapshotsError, match='none of the 1 frames'):
        from_labelled_atoms([atoms], 'HF', {})
    with pytest.raises(UnknownMethod):
        from_labelled_atoms([atoms], '3LYP', {})
