"""Data sets from files: what is paired, what is left out and why, and what cannot be taken at all."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from aiida_mlcc.science.dataset.dataset import read_dataset
from aiida_mlcc.science.dataset.energy_file import DatasetError, LabelSource, read_labelled_file
from aiida_mlcc.science.dataset.published_data import MLPHONONS, locate
from aiida_mlcc.science.labels.extxyz import to_plain_extxyz, write_extxyz, write_text
from aiida_mlcc.science.labels.snapshots import Snapshots, concatenate
from tests.published_files import N_FRAMES, crystal, forces_of, structures, write

ENERGIES = [-100.125, -99.5, -99.25, -98.75, -98.5, -98.0]
HF = ['-50.125', '-49.5', '-49.251', '-48.75', '-48', '-47.999']


@pytest.fixture
def frames() -> Snapshots:
    return structures()


@pytest.fixture
def base(tmp_path, frames) -> Path:
    return write(tmp_path / 'pbe.xyz.gz', frames, ENERGIES, forces_of(frames))


def read_hf(base: Path, tmp_path: Path, frames: Snapshots, energies=HF, forces=None, **settings):
    """Return label and account of HF from a file with these frames."""
    file = write(tmp_path / 'hf.xyz', frames, energies, forces)
    found = read_dataset(base, 'PBE', {'HF': file}, **settings)
    return found.snapshots.labels['HF'], found.report.files['HF']


def test_energies_follow_the_structure_whatever_the_order_and_the_wrapping(base, tmp_path, frames):
    order = np.random.default_rng(3).permutation(N_FRAMES)
    jumps = np.random.default_rng(4).integers(-2, 3, size=frames.positions.shape) @ crystal().cell.array
    moved = Snapshots(frames.symbols, frames.cells, frames.positions + jumps).select(order)
    label, account = read_hf(base, tmp_path, moved, [HF[frame] for frame in order])
    assert label.energies.tolist() == [float(text) for text in HF]
    assert account.paired == account.frames_read == N_FRAMES


def test_the_base_brings_energies_forces_and_their_source(base, frames):
    label = read_dataset(base, 'PBE', {}).snapshots.labels['PBE']
    assert label.energies.tolist() == ENERGIES
    assert np.array_equal(label.forces, forces_of(frames))
    assert label.source['engine'] == 'imported'
    assert label.source['file'] == 'pbe.xyz'


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        (None, 'no energy'),
        ('', 'the energy is empty'),
        ('failed', "the energy is not a number: 'failed'"),
        ('-3.0d0', "the energy is not a number: '-3.0d0'"),
        ('nan', 'the energy is nan'),
        ('-inf', 'the energy is -inf'),
        ('"not converged"', "the energy is not a number: 'not converged'"),
    ],
)
def test_what_is_no_energy_is_no_label_and_the_reason_is_told(base, tmp_path, frames, text, reason):
    label, account = read_hf(base, tmp_path, frames, [HF[0], text, *HF[2:]])
    assert np.flatnonzero(~label.labelled).tolist() == [1]
    assert dict(account.dropped) == {'1': reason}


def test_a_repeated_structure_with_the_same_energy_is_merged(base, tmp_path, frames):
    label, account = read_hf(base, tmp_path, concatenate([frames, frames.select([2])]), [*HF, '-49.251'])
    assert label.labelled.all()
    assert dict(account.merged) == {'6': 2}


def test_two_energies_for_one_structure_are_both_dropped(base, tmp_path, frames):
    label, account = read_hf(base, tmp_path, concatenate([frames, frames.select([2])]), [*HF, '-49.1'])
    assert np.flatnonzero(~label.labelled).tolist() == [2]
    assert set(account.dropped) == {'2', '6'}
    assert account.dropped['6'] == 'one structure with frame 2, energies 0.151 eV apart'


def test_structures_that_the_base_lacks_are_left_over(base, tmp_path, frames):
    label, account = read_hf(base, tmp_path, concatenate([structures(2, seed=9), frames]), ['-1', '-2', *HF])
    assert account.left_over == (0, 1)
    assert label.labelled.all()


def test_every_frame_that_was_read_is_accounted_for(base, tmp_path, frames):
    many = concatenate([frames, frames.select([0, 1]), structures(1, seed=9)])
    _, account = read_hf(base, tmp_path, many, [*HF[:5], '', HF[0], '-7', '-8'])
    parts = (account.left_over, account.merged, account.dropped)
    assert account.frames_read == account.paired + sum(map(len, parts)) == 9


def test_frames_of_the_base_without_energy_or_forces_are_left_out(tmp_path, frames):
    forces = forces_of(frames)
    forces[4, 2, 1] = np.nan
    found = read_dataset(write(tmp_path / 'pbe.xyz', frames, ['', *ENERGIES[1:]], forces), 'PBE', {})
    assert found.snapshots.labels['PBE'].energies.tolist() == [-99.5, -99.25, -98.75, -98.0]
    assert dict(found.report.files['PBE'].dropped) == {'0': 'the energy is empty', '4': 'no forces'}


def test_a_repeated_frame_of_the_base_is_taken_once(tmp_path, frames):
    many = concatenate([frames, frames.select([3])])
    found = read_dataset(write(tmp_path / 'pbe.xyz', many, [*ENERGIES, ENERGIES[3]], forces_of(many)), 'PBE', {})
    assert found.snapshots.n_frames == N_FRAMES
    assert dict(found.report.files['PBE'].merged) == {'6': 3}


def test_forces_of_the_base_beside_another_energy_are_not_stored(base, tmp_path, frames):
    label, account = read_hf(base, tmp_path, frames, forces=forces_of(frames))
    assert label.forces is None
    assert account.forces == 'base'


def test_forces_that_differ_from_those_of_the_base_are_stored(base, tmp_path, frames):
    own = forces_of(frames, seed=5)
    label, account = read_hf(base, tmp_path, frames, forces=own)
    assert np.array_equal(label.forces, own)
    assert account.forces == 'own'


def test_of_mixed_forces_those_of_the_base_are_left_out(base, tmp_path, frames):
    mixed = forces_of(frames, seed=5)
    mixed[:2] = forces_of(frames)[:2]
    label, account = read_hf(base, tmp_path, frames, forces=mixed)
    assert np.isnan(label.forces[:2]).all()
    assert np.array_equal(label.forces[2:], mixed[2:])
    assert account.forces == 'own and base'


def test_forces_that_are_all_zero_are_a_placeholder(base, tmp_path, frames):
    label, account = read_hf(base, tmp_path, frames, forces=np.zeros(frames.positions.shape))
    assert label.forces is None
    assert account.forces == 'zero'


def test_atoms_at_rest_do_not_make_forces_those_of_the_base(tmp_path, frames):
    at_rest, own = forces_of(frames), forces_of(frames, seed=5)
    at_rest[0] = own[0] = 0.0
    base = write(tmp_path / 'pbe.xyz', frames, ENERGIES, at_rest)
    label, account = read_hf(base, tmp_path, frames, forces=own)
    assert account.forces == 'own'
    assert np.array_equal(label.forces[0], np.zeros((8, 3)))


def test_decimals_are_the_most_that_any_energy_has(base, tmp_path, frames):
    assert read_hf(base, tmp_path, frames)[1].decimals == 3
    assert read_hf(base, tmp_path, frames, ['-5', '-4e0', '-3', '-2', '-1', '-0.5e-2'])[1].decimals == 3


def test_a_gzipped_copy_is_the_same_data_set(tmp_path, frames):
    found = [
        read_dataset(write(tmp_path / name, frames, ENERGIES, forces_of(frames)), 'PBE', {}).snapshots.content_hash()
        for name in ('pbe.xyz', 'pbe.xyz.gz')
    ]
    assert found[0] == found[1]


def test_other_names_of_energy_and_forces_can_be_given(tmp_path, frames):
    file = write(tmp_path / 'mace.xyz', frames, ENERGIES, forces_of(frames), key='REF_energy')
    file.write_text(file.read_text().replace(':forces:', ':REF_forces:'))
    source = LabelSource(file, 'REF_energy', 'REF_forces')
    label = read_dataset(source, 'PBE', {}).snapshots.labels['PBE']
    assert label.energies.tolist() == ENERGIES
    assert np.array_equal(label.forces, forces_of(frames))


def test_what_this_package_writes_is_read_again(base, tmp_path, frames):
    hf = write(tmp_path / 'hf.xyz', frames, HF, forces_of(frames, seed=5))
    first = read_dataset(base, 'PBE', {'HF': hf}).snapshots
    write_extxyz(tmp_path / 'all.xyz.gz', first)
    write_text(tmp_path / 'pbe.xyz', to_plain_extxyz(first, 'PBE'))
    write_text(tmp_path / 'hf.xyz', to_plain_extxyz(first, 'HF'))
    for pbe, other in (('all.xyz.gz', 'all.xyz.gz'), ('pbe.xyz', 'hf.xyz')):
        again = read_dataset(tmp_path / pbe, 'PBE', {'HF': tmp_path / other}).snapshots
        for name, array in first.to_arrays().items():
            assert np.array_equal(again.to_arrays()[name], array), name


def test_a_method_without_energies_is_refused_with_the_entries_there_are(base, tmp_path, frames):
    with pytest.raises(DatasetError, match=r'hf.xyz: none of its 6 frames has an entry energy=…; frame 0 has nothing'):
        read_hf(base, tmp_path, frames, energies=None)


def test_a_file_whose_energies_are_all_empty_is_refused(base, tmp_path, frames):
    with pytest.raises(DatasetError, match='none of its 6 frames has an energy to use; of frame 0, the energy is empt'):
        read_hf(base, tmp_path, frames, energies=[''] * N_FRAMES)


def test_a_base_without_forces_is_refused(tmp_path, frames):
    with pytest.raises(DatasetError, match=r'pbe.xyz: no frame has forces'):
        read_dataset(write(tmp_path / 'pbe.xyz', frames, ENERGIES), 'PBE', {})


def test_two_energies_for_one_structure_of_the_base_are_refused(tmp_path, frames):
    many = concatenate([frames, frames.select([3])])
    file = write(tmp_path / 'pbe.xyz', many, [*ENERGIES, -98.0], forces_of(many))
    with pytest.raises(DatasetError, match=r'frames 3, 6 are one structure with the energies -98.75, -98 eV of PBE'):
        read_dataset(file, 'PBE', {})


def test_mixed_species_are_refused(base, tmp_path, frames):
    file = write(tmp_path / 'hf.xyz', frames, HF)
    lines = file.read_text().splitlines()
    start = 3 * (frames.n_atoms + 2) + 2
    lines[start] = lines[start].replace('Li', 'Na')
    file.write_text('\n'.join(lines))
    with pytest.raises(DatasetError, match=r'hf.xyz: frame 3 holds other species'):
        read_dataset(base, 'PBE', {'HF': file})


def test_mixed_cells_are_refused(base, tmp_path, frames):
    cells = frames.cells.copy()
    cells[4, 0, 0] += 0.01
    with pytest.raises(DatasetError, match=r'hf.xyz: the cell of frame 4 differs from that of frame 0 by up to 0.01 Å'):
        read_hf(base, tmp_path, Snapshots(frames.symbols, cells, frames.positions))


def test_a_file_of_which_nothing_is_in_the_base_is_refused_with_the_distance(base, tmp_path, frames):
    moved = frames.positions.copy()
    moved[:, 0, 0] += 0.02
    with pytest.raises(DatasetError, match=r'none of the 6 structures of hf.xyz is in pbe.xyz .* an atom is 0.02 Å'):
        read_hf(base, tmp_path, Snapshots(frames.symbols, frames.cells, moved))


def test_a_looser_tolerance_pairs_rounded_structures(base, tmp_path, frames):
    rounded = Snapshots(frames.symbols, frames.cells, frames.positions.round(2))
    assert read_hf(base, tmp_path, rounded, tolerance=0.02)[1].paired == N_FRAMES


def test_another_cell_is_named_as_the_reason_that_nothing_pairs(base, tmp_path, frames):
    with pytest.raises(DatasetError, match=r'the cells differ by up to 0.04 Å'):
        read_hf(base, tmp_path, Snapshots(frames.symbols, frames.cells * 1.01, frames.positions))


def test_another_crystal_is_refused(base, tmp_path, frames):
    other = Snapshots(('Na', *frames.symbols[1:]), frames.cells, frames.positions)
    with pytest.raises(DatasetError, match=r'hf.xyz and pbe.xyz: the two sets hold other species'):
        read_hf(base, tmp_path, other)


def test_a_broken_gzip_file_is_a_sentence(base):
    base.write_bytes(base.read_bytes()[:-300])
    with pytest.raises(DatasetError, match='is gzipped and broken'):
        read_dataset(base, 'PBE', {})


def test_a_file_that_breaks_off_is_a_sentence(tmp_path, frames):
    file = write(tmp_path / 'pbe.xyz', frames, ENERGIES)
    file.write_text('\n'.join(file.read_text().splitlines()[:-3]))
    with pytest.raises(DatasetError, match=r'pbe.xyz breaks off in frame 5: 5 of its 8 atoms are there'):
        read_labelled_file(file, 'PBE')


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        (b'', 'is empty'),
        (b'a poem\n', r'line 1: the number of atoms of frame 0 should stand here'),
        (b'\xff\xfe\x00', 'holds no text'),
        (b'1\nenergy=-1\nLi x y z\n', 'frame 0 cannot be read as extended XYZ'),
        (b'1\nenergy=-1\nLi 0 0 0\n', 'frame 0 is not a crystal'),
        (
            b'1\nenergy=-1 Lattice="2 0 0 0 2 0 0 0 2"\nLi nan 0 0\n',
            'a position or a cell with a number that is not finite',
        ),
    ],
)
def test_what_is_no_extended_xyz_is_a_sentence(tmp_path, content, sentence):
    (tmp_path / 'file.xyz').write_bytes(content)
    with pytest.raises(DatasetError, match=sentence):
        read_labelled_file(tmp_path / 'file.xyz', 'HF')


@pytest.mark.parametrize(
    ('base_method', 'method', 'sentence'),
    [
        ('PBE,LDA', 'MP2', "'PBE,LDA' cannot be the name"),
        ('PBE', 'ML(HF)', r"'ML\(HF\)' is the name of a force field"),
        ('PBE', 'PBE', 'PBE is the method of the base and of other labels'),
    ],
)
def test_what_cannot_be_the_name_of_a_method_is_refused(base, base_method, method, sentence):
    with pytest.raises(DatasetError, match=sentence):
        read_dataset(base, base_method, {method: base})


def test_published_lih_is_paired_less_its_two_empty_energies(published_data):
    files = _located(published_data, 'lih')
    found = read_dataset(files['LDA'], 'LDA', {'CCSD(T)': files['CCSD(T)']})
    account = found.report.files['CCSD(T)']
    assert (account.frames_read, account.paired, account.decimals, account.forces) == (202, 200, 3, 'base')
    assert set(account.dropped) == {'200', '201'}
    assert found.report.crystal.space_group == 'Fm-3m'


def test_published_diamond_has_a_whole_number_among_its_energies(published_data):
    files = _located(published_data, 'diamond')
    n_whole = sum('.' not in line.split('energy=')[1].split()[0] for line in _comments(files['CCSD(T)']))
    label = read_dataset(files['PBE'], 'PBE', {'CCSD(T)': files['CCSD(T)']}).snapshots.labels['CCSD(T)']
    assert label.labelled.all()
    assert np.sum(label.energies == label.energies.round()) == n_whole


def test_published_diamond_drifts_farther_than_half_its_cell(published_data):
    motion = read_dataset(_located(published_data, 'diamond')['PBE'], 'PBE', {}).report.motion
    assert motion.looks_like_trajectory
    assert motion.drift_angstrom > 3.5607 / 2
    assert motion.off_site == ()


def _located(folder: Path, crystal: str) -> dict[str, Path]:
    return {method: locate(folder, file) for method, file in MLPHONONS[crystal].files.items()}


def _comments(path: Path) -> list[str]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == '.gz' else content).decode()
    return [line for line in text.splitlines() if 'energy=' in line]
