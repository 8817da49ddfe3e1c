"""What a program of the engine `command` may return, and what it may not: a sentence each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_mlcc.parsers.parse_raw.command_labels import CommandLabelsError, read_command_labels
from aiida_mlcc.science.labels.extxyz import to_extxyz
from aiida_mlcc.science.labels.snapshots import Snapshots

PLACES = np.array([[[0, 0, 0], [2.0, 2.0, 2.0 + 0.1 * number]] for number in range(3)])
SNAPSHOTS = Snapshots(('Li', 'H'), np.array([4.0 * np.eye(3)] * 3), PLACES)


def text_of(snapshots: Snapshots, *entries: str) -> str:
    """Return the snapshots with these entries, one of each frame."""
    frames = [to_extxyz(snapshots.select([number])) for number in range(snapshots.n_frames)]
    return ''.join(
        frame.replace('pbc="T T T"', f'pbc="T T T" {said}') for frame, said in zip(frames, entries, strict=True)
    )


@pytest.fixture
def read(tmp_path: Path):
    def read_text(text: str, methods: tuple[str, ...] = ('RPA',)):
        path = tmp_path / 'labels.extxyz'
        path.write_text(text)
        return read_command_labels(path, SNAPSHOTS, methods)

    return read_text


def test_energies_errors_and_version_are_read(read) -> None:
    found = read(
        text_of(SNAPSHOTS, 'energy_dmc=-1.5 sigma_dmc=0.1 version="QMCPACK 4"', 'energy_dmc=-2', 'energy=-3'), ('DMC',)
    )
    assert found.energies['DMC'].tolist() == [-1.5, -2.0, -3.0]
    assert found.sigma['DMC'][0] == 0.1
    assert np.isnan(found.sigma['DMC'][1:]).all()
    assert not found.failures
    label = found.onto(SNAPSHOTS, {'engine': 'command'}).labels['DMC']
    assert label.source == {'engine': 'command', 'version': 'QMCPACK 4'}


def test_energies_without_errors_have_no_sigma(read) -> None:
    found = read(text_of(SNAPSHOTS, *['energy_rpa=-1.0'] * 3))
    assert found.onto(SNAPSHOTS, {}).labels['RPA'].sigma is None


def test_structures_may_be_rounded_and_wrapped(read) -> None:
    moved = SNAPSHOTS.positions + 4e-4
    moved[1, 1] -= [4.0, 0.0, 0.0]
    found = read(text_of(Snapshots(SNAPSHOTS.symbols, SNAPSHOTS.cells, moved), *['energy=-1.0'] * 3))
    assert not found.failures


@pytest.mark.parametrize(
    ('entry', 'reason'),
    [
        ('energy_rpa=nan', "energy_rpa of frame 1 of labels.extxyz is 'nan', which is not a finite number"),
        ('energy_rpa=-inf', "energy_rpa of frame 1 of labels.extxyz is '-inf', which is not a finite number"),
        ('energy_rpa=failed', "energy_rpa of frame 1 of labels.extxyz is 'failed', which is not a finite number"),
        ('energy_rpa=-1 energy_rpa=-2', 'frame 1 of labels.extxyz names energy_rpa twice'),
        ('energy_ccsd=-1', 'frame 1 of labels.extxyz has no energy_rpa'),
        ('reason="no convergence"', 'no convergence'),
        ('energy_rpa=-1 sigma_rpa=-0.1', 'the sigma of frame 1 of labels.extxyz is -0.1: a standard error is above 0'),
        ('energy_rpa=-1 sigma_rpa=nan', "sigma_rpa of frame 1 of labels.extxyz is 'nan', which is not a finite number"),
    ],
)
def test_frame_without_a_usable_energy_is_named_and_the_others_are_kept(read, entry: str, reason: str) -> None:
    found = read(text_of(SNAPSHOTS, 'energy_rpa=-1.0', entry, 'energy_rpa=-3.0'))
    assert found.failures == [{'snapshot': 1, 'methods': ['RPA'], 'reason': reason}]
    assert np.isnan(found.energies['RPA'][1])
    assert found.energies['RPA'][[0, 2]].tolist() == [-1.0, -3.0]


def test_plain_energy_says_nothing_where_two_methods_are_asked_for(read) -> None:
    found = read(text_of(SNAPSHOTS, *['energy=-1.0'] * 3), ('HF', 'RPA'))
    assert found.failures[0] == {
        'snapshot': 0,
        'methods': ['HF', 'RPA'],
        'reason': 'frame 0 of labels.extxyz has no energy_hf',
    }


def test_fewer_frames_are_the_energies_of_the_first_ones(read) -> None:
    found = read(text_of(SNAPSHOTS.select([0, 1]), *['energy=-1.0'] * 2))
    assert found.failures == [
        {'snapshot': 2, 'methods': ['RPA'], 'reason': 'labels.extxyz has 2 frames, snapshots.extxyz has 3'}
    ]


def test_file_cut_off_in_a_frame_has_the_energies_before_it(read) -> None:
    whole = text_of(SNAPSHOTS, *['energy=-1.0'] * 3)
    found = read(whole.rstrip('\n').rsplit('\n', 1)[0])
    assert [entry['snapshot'] for entry in found.failures] == [2]
    assert 'breaks off in frame 2' in found.failures[0]['reason']


def test_other_order_of_frames_is_refused_with_where_each_is(read) -> None:
    with pytest.raises(CommandLabelsError, match=r'frame 0 of labels\.extxyz is the structure of snapshot 2: write'):
        read(text_of(SNAPSHOTS.select([2, 1, 0]), *['energy=-1.0'] * 3))


def test_other_order_of_atoms_is_refused(read) -> None:
    turned = Snapshots(('H', 'Li'), SNAPSHOTS.cells, PLACES[:, ::-1])
    with pytest.raises(CommandLabelsError, match='has its atoms in another order'):
        read(text_of(turned, *['energy=-1.0'] * 3))


def test_other_atoms_are_refused(read) -> None:
    other = Snapshots(('Li', 'F'), SNAPSHOTS.cells, PLACES)
    with pytest.raises(CommandLabelsError, match='has other atoms than snapshot 0: LiF'):
        read(text_of(other, *['energy=-1.0'] * 3))


def test_other_structure_is_refused_with_how_far_it_is_off(read) -> None:
    relaxed = PLACES.copy()
    relaxed[1, 1, 0] += 0.25
    with pytest.raises(CommandLabelsError, match=r'frame 1 .* is not the structure of snapshot 1.* 0\.25 Å off'):
        read(text_of(Snapshots(SNAPSHOTS.symbols, SNAPSHOTS.cells, relaxed), *['energy=-1.0'] * 3))


def test_more_frames_than_snapshots_are_refused(read) -> None:
    with pytest.raises(CommandLabelsError, match=r'has 4 frames, but snapshots\.extxyz has 3'):
        read(text_of(SNAPSHOTS.select([0, 1, 2, 2]), *['energy=-1.0'] * 4))
