"""Reference displacements that are given to ``launch``."""

import click
import numpy as np
import pytest
from aiida.plugins import DataFactory
from phonopy import Phonopy

from aiida_mlcc.cli.displacements import read_displacements
from aiida_mlcc.science.crystal.cells import to_phonopy
from aiida_mlcc.science.fit.reference import reference_model
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.crystals import optical_frequency_cm1, rocksalt, rocksalt_cube, springs

SnapshotsData = DataFactory('mlcc.snapshots')


@pytest.fixture
def frames(aiida_profile):
    """Return frames of LDA with a source."""
    label = Label(np.zeros(1), np.zeros((1, 8, 3)), {'engine': 'springs'})
    return SnapshotsData(Snapshots.from_atoms([rocksalt_cube()]).with_label('LDA', label))


@pytest.fixture
def of_phonopy(tmp_path):
    """Return the file of phonopy with the forces of springs between neighbours."""
    from aiida_mlcc.science.force_field.evaluate import energies_and_forces

    phonon = Phonopy(to_phonopy(rocksalt_cube()), primitive_matrix='P')
    phonon.generate_displacements(distance=0.01)
    cells = [to_ase(cell) for cell in phonon.supercells_with_displacements]
    phonon.forces = energies_and_forces(springs(rocksalt()).terms, Snapshots.from_atoms(cells))[1]
    path = tmp_path / 'phonopy_params.yaml'
    phonon.save(path, settings={'force_sets': True})
    return path


def to_ase(cell):
    atoms = rocksalt_cube()
    assert list(cell.symbols) == atoms.get_chemical_symbols()
    atoms.positions = cell.positions
    return atoms


def test_a_file_of_phonopy_gives_its_force_constants(frames, of_phonopy):
    found = read_displacements(str(of_phonopy), frames).get_snapshots()
    assert found.labels['LDA'].source == {'engine': 'springs'}
    modes = reference_model(found, rocksalt(), 'LDA', rocksalt_cube()).modes()
    at_gamma = [mode.frequency_cm1 for mode in modes if not np.any(mode.qpoint)]
    assert at_gamma == pytest.approx([optical_frequency_cm1(rocksalt())], rel=1e-6)


def test_a_file_without_snapshots_does_not_say_which_dft(of_phonopy):
    with pytest.raises(
        click.UsageError, match='does not say which DFT settings its forces were computed with: give --snapshots'
    ):
        read_displacements(str(of_phonopy), None)


@pytest.mark.parametrize('energy', ['1.0', 'failed'])
def test_frames_that_do_not_belong_together_are_a_sentence(frames, tmp_path, energy):
    path = tmp_path / 'moved.xyz'
    line = f'Properties=species:S:1:pos:R:3:forces:R:3 Lattice="4 0 0 0 4 0 0 0 4" energy={energy}'
    path.write_text(f'1\n{line}\nLi 0 0 0 0 0 0\n2\n{line}\nLi 0 0 0 0 0 0\nF 2 2 2 0 0 0\n')
    with pytest.raises(click.UsageError, match=f'{path}: '):
        read_displacements(str(path), frames)


def test_frames_without_forces_are_a_sentence(frames, tmp_path):
    path = tmp_path / 'moved.xyz'
    rocksalt_cube().write(path, format='extxyz')
    with pytest.raises(click.UsageError, match=r'moved\.xyz: frame 0 has no forces'):
        read_displacements(str(path), frames)
