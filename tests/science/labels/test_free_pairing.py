"""Structures whose atoms come in another order or lie elsewhere."""

import numpy as np
import pytest

from aiida_mlcc.science.dataset.dataset import read_dataset
from aiida_mlcc.science.dataset.energy_file import DatasetError
from aiida_mlcc.science.labels.free_pairing import pair_freely, right_handed, same_lattice
from aiida_mlcc.science.labels.snapshots import Snapshots, SnapshotsError
from tests.published_files import forces_of, structures, write

N = 6


@pytest.fixture
def frames():
    return structures(N)


def reordered(frames, order, shift=(0.0, 0.0, 0.0)):
    symbols = tuple(frames.symbols[atom] for atom in order)
    return Snapshots(symbols, frames.cells, frames.positions[:, order] + np.array(shift))


@pytest.mark.parametrize(
    ('order', 'shift'),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], (0.5, 0.2, 3.9)),
        ([2, 1, 0, 3, 4, 5, 6, 7], (0.0, 0.0, 0.0)),
        ([0, 2, 4, 6, 1, 3, 5, 7], (0.0, 0.0, 0.0)),
        ([6, 0, 4, 2, 7, 1, 3, 5], (-1.3, 2.0, 0.01)),
    ],
)
def test_frames_are_found_in_another_order_of_atoms_and_shifted(frames, order, shift):
    frame_order = np.random.default_rng(1).permutation(N)
    other = reordered(frames, order, shift).select(frame_order)
    found = pair_freely(frames, other)
    assert np.array_equal(frame_order[found.indices], np.arange(N))
    assert np.array_equal(found.orders, np.tile(np.argsort(order), (N, 1)))
    cell = frames.cells[0]
    fractions = (found.shifts - np.array(shift)) @ np.linalg.inv(cell)
    assert np.abs((fractions - np.rint(fractions)) @ cell).max() < 1e-6


def test_another_structure_is_not_taken_for_one_in_another_order(frames):
    moved = frames.positions.copy()
    moved[2, 3, 1] += 0.01
    found = pair_freely(frames, reordered(Snapshots(frames.symbols, frames.cells, moved), [2, 1, 0, 3, 4, 5, 6, 7]))
    assert np.flatnonzero(found.indices < 0).tolist() == [2]
    assert found.unmatched.tolist() == [2]


def test_other_atoms_cannot_be_paired(frames):
    with pytest.raises(SnapshotsError, match='other species'):
        pair_freely(frames, Snapshots(('Li',) * 8, frames.cells, frames.positions))


def test_energies_and_forces_go_to_the_atoms_of_the_base_and_the_report_says_so(tmp_path, frames):
    order = [6, 0, 4, 2, 7, 1, 3, 5]
    forces = forces_of(frames, seed=5)
    other = write(tmp_path / 'hf.xyz', reordered(frames, order, (0.3, 0, 0)), list(range(N)), forces[:, order])
    base = write(tmp_path / 'pbe.xyz', frames, np.linspace(-9, -8, N), forces_of(frames))
    found = read_dataset(base, 'PBE', {'HF': other})
    label = found.snapshots.labels['HF']
    assert label.energies.tolist() == list(range(N))
    assert np.array_equal(label.forces, forces)
    remarks = ' '.join(found.report.files['HF'].remarks)
    assert 'the atoms of 6 frames are in another order' in remarks
    assert '6 frames lie elsewhere as a whole, by up to 0.3 Å' in remarks


def sheared(frames):
    """Return the frames in a lattice without right angles, and that lattice."""
    cell = np.array([[4.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.0, 0.5, 5.0]])
    return Snapshots(frames.symbols, np.array([cell] * N), frames.positions)


@pytest.mark.parametrize(
    ('cells', 'said'),
    [
        (lambda cells: cells[:, [1, 0, 2]], 'left-handed'),
        (lambda cells: cells.transpose(0, 2, 1), 'stand as columns'),
        (lambda cells: np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ cells, 'others of the same lattice'),
    ],
)
def test_other_lattice_vectors_of_the_same_lattice_are_turned_and_said(tmp_path, frames, cells, said):
    frames = sheared(frames)
    base = write(tmp_path / 'pbe.xyz', frames, np.linspace(-9, -8, N), forces_of(frames))
    other = Snapshots(frames.symbols, cells(frames.cells), frames.positions)
    found = read_dataset(base, 'PBE', {'HF': write(tmp_path / 'hf.xyz', other, list(range(N)))})
    assert found.snapshots.labels['HF'].energies.tolist() == list(range(N))
    assert said in ' '.join(found.report.files['HF'].remarks)


def test_a_base_with_left_handed_vectors_is_turned_and_its_crystal_found(tmp_path):
    frames = structures(40, amplitude=0.03)
    left = Snapshots(frames.symbols, frames.cells[:, [1, 0, 2]], frames.positions)
    pulls = -2.0 * (frames.positions - structures(1, amplitude=0).positions)
    energies = 0.25 * np.sum(pulls**2, axis=(1, 2))
    found = read_dataset(write(tmp_path / 'pbe.xyz', left, energies, pulls), 'PBE', {})
    assert found.report.crystal.space_group == 'Fm-3m'
    assert 'left-handed' in found.report.files['PBE'].remarks[0]
    assert np.linalg.det(found.snapshots.cells[0]) > 0


def test_another_lattice_is_still_refused(tmp_path, frames):
    base = write(tmp_path / 'pbe.xyz', frames, np.linspace(-9, -8, N), forces_of(frames))
    other = Snapshots(frames.symbols, frames.cells * 1.01, frames.positions)
    with pytest.raises(DatasetError, match=r'the cells differ by up to 0\.04 Å'):
        read_dataset(base, 'PBE', {'HF': write(tmp_path / 'hf.xyz', other, list(range(N)))})


def test_a_right_handed_order_spans_the_same_lattice():
    for seed in range(20):
        cell = np.random.default_rng(seed).normal(size=(3, 3))
        turned = cell[right_handed(cell)]
        assert np.linalg.det(turned) > 0
        assert same_lattice(cell, turned, 1e-8)
    assert right_handed(np.eye(3)).tolist() == [0, 1, 2]
