"""Files of other programs and files that mean no good."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from aiida_mlcc.science.crystal.cells import to_phonopy
from aiida_mlcc.science.dataset.energy_file import DatasetError, LabelSource, read_labelled_file
from aiida_mlcc.science.dataset.file_content import ContentError
from aiida_mlcc.science.dataset.frame_files import read_frames
from tests.vasp_outputs import single_point_outputs

LATTICE = 'Lattice="3 0 0 0 3 0 0 0 3"'


def xyz(folder: Path, *comments: str, atoms: str = 'C 0 0 0') -> Path:
    path = folder / 'file.xyz'
    path.write_text(''.join(f'1\n{comment}\n{atoms}\n' for comment in comments))
    return path


@pytest.mark.parametrize(
    ('comment', 'energy'),
    [
        (f'{LATTICE} energy=-5.25', -5.25),
        (f'{LATTICE} energy = -5.25', -5.25),
        (f'{LATTICE} energy="-5.25"', -5.25),
        (f"{LATTICE} note='energy=9' energy=-5.25", -5.25),
        (f'{LATTICE} note="see energy=9 there" energy=-5.25', -5.25),
        (f'{LATTICE} stress="1 2 3 4 5 6 7 8 9" energy=-5.25 pbc="T T T"', -5.25),
        (f'{LATTICE} meta="_JSON {{}}" tags={{a b}} energy=-5.25', -5.25),
        (f'energy=-5.25 {LATTICE} flag', -5.25),
        (f'{LATTICE} energy=-291.4771002712345', -291.4771002712345),
    ],
)
def test_entries_are_read_as_they_are_written(tmp_path, comment, energy):
    assert read_labelled_file(xyz(tmp_path, comment), 'HF').energies.tolist() == [energy]


@pytest.mark.parametrize(
    'written', ['energy= pbc="T T T"', 'energy="" pbc="T T T"', "pbc='T T T' energy=", 'energy={}']
)
def test_an_empty_entry_is_empty_and_takes_nothing_of_the_next(tmp_path, written):
    (frame,) = read_frames(xyz(tmp_path, f'{LATTICE} {written}'))
    assert frame.entries['energy'] == ''
    assert frame.atoms.pbc.all()


def test_of_an_entry_that_comes_twice_the_last_counts_and_is_named(tmp_path):
    found = read_labelled_file(xyz(tmp_path, f'{LATTICE} energy=-1', f'{LATTICE} energy=-2 energy=-3'), 'HF')
    assert found.energies.tolist() == [-1.0, -3.0]
    assert found.remarks == ('energy stands more than once in frames 1: the last one is taken',)


@pytest.mark.parametrize(
    ('keys', 'columns'),
    [
        (('REF_energy', 'REF_forces'), 'REF_forces'),
        (('dft_energy', 'dft_force'), 'dft_force'),
        (('energy', 'force'), 'force'),
        (('energy', 'forces'), 'forces'),
        (('mace_mp_energy', 'mace_mp_forces'), 'mace_mp_forces'),
    ],
)
def test_names_of_other_programs_are_known(tmp_path, keys, columns):
    comment = f'{LATTICE} Properties=species:S:1:pos:R:3:{columns}:R:3 {keys[0]}=-5.5'
    found = read_labelled_file(xyz(tmp_path, comment, atoms='C 0 0 0 0.1 0.2 0.3'), 'PBE')
    assert found.energies.tolist() == [-5.5]
    assert found.forces.tolist() == [[[0.1, 0.2, 0.3]]]


def test_of_several_energies_none_of_which_is_the_plain_one_the_choice_is_asked_for(tmp_path):
    path = xyz(tmp_path, f'{LATTICE} REF_energy=-5.5 MACE_energy=-5.4')
    with pytest.raises(
        DatasetError, match='no entry energy, but REF_energy, MACE_energy: say which is the energy of HF'
    ):
        read_labelled_file(path, 'HF')
    assert read_labelled_file(LabelSource(path, 'MACE_energy'), 'HF').energies.tolist() == [-5.4]


def test_frames_of_isolated_atoms_are_left_out_and_counted(tmp_path):
    path = tmp_path / 'train.xyz'
    path.write_text(
        '1\nconfig_type=IsolatedAtom REF_energy=-3 pbc="F F F"\nH 0 0 0\n1\nREF_energy=-2 pbc="F F F"\nLi 0 0 0\n'
        f'2\n{LATTICE} REF_energy=-9\nLi 0 0 0\nH 1.5 1.5 1.5\n2\n{LATTICE} REF_energy=\nLi 0 0 0\nH 1.5 1.5 1.5\n'
    )
    found = read_labelled_file(path, 'PBE')
    assert found.numbers.tolist() == [2, 3]
    assert found.energies[0] == -9.0
    assert '2 frames of isolated atoms are left out' in found.remarks


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    found = []
    for _ in range(3):
        atoms = bulk('LiH', 'rocksalt', a=4.0)
        atoms.positions += random.normal(scale=0.05, size=(2, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=random.normal(), forces=random.normal(size=(2, 3)))
        found.append(atoms)
    return found


@pytest.mark.parametrize('name', ['run.traj', 'run.db', 'run.json', 'run.extxyz'])
def test_files_of_ase_are_read(tmp_path, images, name):
    write(tmp_path / name, images)
    found = read_labelled_file(tmp_path / name, 'PBE')
    assert found.energies == pytest.approx([atoms.get_potential_energy() for atoms in images], abs=1e-8)
    assert found.forces == pytest.approx(np.array([atoms.get_forces() for atoms in images]), abs=1e-8)


@pytest.mark.parametrize(('name', 'pack'), [('run.traj.gz', gzip.compress), ('run.json.xz', lzma.compress)])
def test_compressed_files_of_ase_are_read(tmp_path, images, name, pack):
    plain = tmp_path / name.rpartition('.')[0]
    write(plain, images)
    (tmp_path / name).write_bytes(pack(plain.read_bytes()))
    packed, unpacked = (read_labelled_file(path, 'PBE') for path in (tmp_path / name, plain))
    assert packed.energies.tolist() == unpacked.energies.tolist()
    assert (packed.name, packed.sha256) == (unpacked.name, unpacked.sha256)


ML_AB = """ 1.0 Version
**************************************************
     The number of configurations
--------------------------------------------------
          2
"""
CONFIGURATION = """**************************************************
     Configuration num.      {number}
==================================================
     System name
--------------------------------------------------
     LiH
==================================================
     The number of atom types
--------------------------------------------------
       2
==================================================
     The number of atoms
--------------------------------------------------
          2
**************************************************
     Atom types and atom numbers
--------------------------------------------------
     Li      1
     H       1
==================================================
     CTIFOR
--------------------------------------------------
   2.0E-003
==================================================
     Primitive lattice vectors (ang.)
--------------------------------------------------
     0.0  2.0  2.0
     2.0  0.0  2.0
     2.0  2.0  0.0
==================================================
     Atomic positions (ang.)
--------------------------------------------------
     0.0  0.0  0.1
     2.0  0.0  0.0
==================================================
     Total energy (eV)
--------------------------------------------------
     -6.{number}
==================================================
     Forces (eV ang.^-1)
--------------------------------------------------
     0.1  0.2  -0.3
    -0.1 -0.2  0.3
==================================================
     Stress (kbar)
--------------------------------------------------
     XX YY ZZ
--------------------------------------------------
     1.0 2.0 3.0
--------------------------------------------------
     XY YZ ZX
--------------------------------------------------
     1.0 2.0 3.0
"""


def test_training_data_of_vasp_are_read(tmp_path):
    (tmp_path / 'ML_AB').write_text(ML_AB + ''.join(CONFIGURATION.format(number=n) for n in (1, 2)))
    found = read_labelled_file(tmp_path / 'ML_AB', 'PBE')
    assert found.energies.tolist() == [-6.1, -6.2]
    assert found.forces[1].tolist() == [[0.1, 0.2, -0.3], [-0.1, -0.2, 0.3]]
    assert found.structures.symbols == ('Li', 'H')


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ('-3\nenergy=-1\nC 0 0 0\n', 'line 1: frame 0 cannot have -3 atoms'),
        ('0\nenergy=-1\n', 'line 1: frame 0 cannot have 0 atoms'),
        ('3000000000\nenergy=-1\nC 0 0 0\n', 'frame 0 cannot have 3000000000 atoms, only between 1 and 100000'),
        (f'1\n{LATTICE} Properties=species:S:1:pos:R:3:forces:R:3000000000 energy=1\nC 0 0 0\n', '3000000004 columns'),
        (f'1\n{LATTICE} Properties=species:S:1:pos:R:-3 energy=1\nC 0 0 0\n', 'Properties=.* cannot be read'),
        (f'1\n{LATTICE} Properties=species:S energy=1\nC 0 0 0\n', 'Properties=.* cannot be read'),
        ('1\nLattice="1e300 0 0 0 3 0 0 0 3" energy=1\nC 0 0 0\n', r'a lattice vector of 1e\+300 Å'),
        ('1\nLattice="1e400 0 0 0 3 0 0 0 3" energy=1\nC 0 0 0\n', 'a cell with a number that is not finite'),
        ('1\nLattice="3 0 0" energy=1\nC 0 0 0\n', 'frame 0 has entries that cannot be read'),
        (f'1\n{LATTICE} energy=1\nC 0 0 1e9\n', r'a position of 1e\+09 Å'),
        (
            f'1\n{LATTICE} energy=1\nC 0 0 0\n' + '9' * 5000 + '\n',
            'line 4: the number of atoms of frame 1 should stand',
        ),
    ],
)
def test_absurd_numbers_are_a_sentence(tmp_path, content, sentence):
    (tmp_path / 'file.xyz').write_text(content)
    with pytest.raises(ContentError, match=sentence):
        read_frames(tmp_path / 'file.xyz')


@pytest.mark.parametrize('name', ['a.traj', 'a.db', 'a.json', 'vasprun.xml', 'OUTCAR', 'ML_AB', 'phonopy_params.yaml'])
def test_what_is_no_such_file_is_a_sentence(tmp_path, name):
    (tmp_path / name).write_text('no such thing\n')
    with pytest.raises(ContentError, match=f'{name} (cannot be read as|is empty)'):
        read_frames(tmp_path / name)


@pytest.mark.parametrize('with_energies', [True, False])
def test_displaced_supercells_of_phonopy_are_read(tmp_path, with_energies):
    import phonopy

    found = phonopy.Phonopy(to_phonopy(bulk('LiH', 'rocksalt', a=4.0)), supercell_matrix=[2, 2, 2], log_level=0)
    found.generate_displacements(distance=0.02)
    forces = np.random.default_rng(0).normal(size=(len(found.supercells_with_displacements), 16, 3))
    found.forces = forces
    if with_energies:
        found.supercell_energies = [-5.5, -5.25]
    found.save(tmp_path / 'phonopy_params.yaml')
    if not with_energies:
        with pytest.raises(DatasetError, match='none of its 2 frames has an entry energy'):
            read_labelled_file(tmp_path / 'phonopy_params.yaml', 'PBE')
        return
    read = read_labelled_file(tmp_path / 'phonopy_params.yaml', 'PBE')
    assert read.energies.tolist() == [-5.5, -5.25]
    assert np.allclose(read.forces, forces)
    moved = read.structures.positions - found.supercell.positions
    assert np.sort(np.linalg.norm(moved, axis=2), axis=1)[:, -2:] == pytest.approx(np.array([[0.0, 0.02]] * 2))


def test_ionic_steps_of_vasp_are_read(tmp_path, images):
    forces = images[0].get_forces()
    outputs = single_point_outputs(images[0], -7.25, forces)
    (tmp_path / 'vasprun.xml').write_text(outputs['vasprun.xml'])
    read = read_labelled_file(tmp_path / 'vasprun.xml', 'PBE')
    # The writer of the test puts the energy for no smearing 0.1 eV above the free energy.
    assert read.energies.tolist() == [-7.15]
    assert read.forces[0] == pytest.approx(forces, abs=1e-7)
    free = LabelSource(tmp_path / 'vasprun.xml', 'free_energy')
    assert read_labelled_file(free, 'PBE').energies.tolist() == [-7.25]


USUAL = """2
Lattice="4 0 0 0 4 0 0 0 4.5" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.25 step=3 name=run_1 pbc="T T T"
Na 0.0 0.0 0.125 1e-3 -2 0.5
CL 2.0 2.0 2.25 -1e-3 2 -0.5
"""


@pytest.mark.parametrize(
    'text',
    [
        USUAL,
        USUAL.replace('forces:R:3', 'forces_hf:R:3'),
        USUAL.replace(' pbc="T T T"', ''),
        USUAL.replace('"T T T"', '"T T F"'),
        USUAL.replace('energy=-1.25', 'energy=-1 virial="1 2 3 4 5 6 7 8 9" done=T'),
    ],
    ids=['usual', 'named forces', 'no pbc', 'slab', 'other entries'],
)
def test_the_usual_frame_is_read_as_ase_reads_it(tmp_path, text):
    path = tmp_path / 'frames.xyz'
    path.write_text(text)
    (frame,) = read_frames(path)
    expected = read(path, format='extxyz')
    assert np.array_equal(frame.atoms.positions, expected.positions)
    assert np.array_equal(frame.atoms.cell, expected.cell)
    assert np.array_equal(frame.atoms.numbers, expected.numbers)
    assert np.array_equal(frame.atoms.pbc, expected.pbc)
    forces = expected.calc.results['forces'] if 'forces' in expected.calc.results else expected.arrays['forces_hf']
    (column,) = frame.columns.values()
    assert np.array_equal(column, forces)
    assert frame.entries['energy'] == expected.calc.results['energy']
    assert {key: frame.entries[key] for key in expected.info if np.ndim(expected.info[key]) == 0} == {
        key: value for key, value in expected.info.items() if np.ndim(value) == 0
    }


@pytest.mark.parametrize(
    ('wrong', 'told'),
    [('Xx 0.0', 'Xx'), ('Na zero', 'zero'), ('Na 0.0 0.0 0.125 1e-3 -2\n#', 'frame 0')],
    ids=['element', 'number', 'short row'],
)
def test_what_is_wrong_in_the_usual_frame_is_a_sentence(tmp_path, wrong, told):
    path = tmp_path / 'frames.xyz'
    path.write_text(USUAL.replace('Na 0.0', wrong, 1))
    with pytest.raises(ContentError, match=told):
        read_frames(path)
