"""The loader of the benchmarks: the published files by geometry, their hazards left out."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import map_onto_crystal
from tests.benchmarks.data import SUFFIXES, base_method_of, load

N_FRAMES = 3


def write(folder: Path, suffix: str, energies: list[str], order: list[int]) -> None:
    """Write frames of diamond as the authors do: DFT forces beside every energy."""
    text = ''
    for frame in order:
        atoms = displaced(frame)
        lattice = ' '.join(map(str, atoms.cell.array.ravel()))
        text += f'{len(atoms)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3 '
        text += f'energy={energies[frame]} pbc="T T T"\n'
        text += ''.join('C {} {} {} 0.5 0 0\n'.format(*position) for position in atoms.positions)
    (folder / 'c').mkdir(exist_ok=True)
    (folder / f'c/200221forcc{suffix}.xyz.gz').write_bytes(gzip.compress(text.encode()))


def displaced(frame: int) -> Atoms:
    atoms = bulk('C', 'diamond', a=3.56, cubic=True) * (2, 2, 1)
    atoms.positions += np.random.default_rng(frame).normal(scale=0.05, size=atoms.positions.shape)
    return atoms


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, '', ['-1.5', '-1.25', '-1.0'], [0, 1, 2])
    for suffix in SUFFIXES.values():
        write(tmp_path, suffix, ['-7', '-6.5', ''], [2, 0, 1])
    return tmp_path


def test_energies_follow_the_structure_and_not_the_line(folder: Path) -> None:
    snapshots, _ = load(folder, 'diamond')
    assert snapshots.labels['PBE'].energies.tolist() == [-1.5, -1.25, -1.0]
    assert snapshots.labels['MP2'].energies[:2].tolist() == [-7.0, -6.5]


def test_an_empty_energy_is_no_label(folder: Path) -> None:
    snapshots, _ = load(folder, 'diamond')
    assert snapshots.labelled_by('CCSD(T)').tolist() == [0, 1]


def test_only_the_density_functional_has_forces(folder: Path) -> None:
    labels = load(folder, 'diamond')[0].labels
    assert [method for method, label in labels.items() if label.forces is not None] == ['PBE']


def test_the_frames_are_supercells_of_the_primitive_cell(folder: Path) -> None:
    snapshots, primitive = load(folder, 'diamond')
    assert map_onto_crystal(primitive, snapshots.atoms(1)).n_cells == 16


def test_the_base_is_the_density_functional(folder: Path) -> None:
    assert base_method_of(load(folder, 'diamond')[0]) == 'PBE'


def test_published_data_without_a_folder_is_asked_for() -> None:
    with pytest.raises(SystemExit, match='--data'):
        load(None, 'lih')
