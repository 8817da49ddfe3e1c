"""``aiida-mlcc dataset``: files into nodes and back, and what stops them."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import click
import numpy as np
import pytest
from aiida import orm
from aiida.plugins import DataFactory

from aiida_mlcc.science.dataset import published_data
from aiida_mlcc.science.labels.extxyz import read_extxyz
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.cli.conftest import last_line, publish
from tests.published_files import N_FRAMES, crystal, forces_of, structures, write

SnapshotsData = DataFactory('mlcc.snapshots')

ENERGIES = [-100.125, -99.5, -99.25, -98.75, -98.5, -98.0]
HF = ['-50.125', '', '-49.25', '-48.75', '-48', '-47.999']


@pytest.fixture
def frames() -> Snapshots:
    return structures()


@pytest.fixture
def base(tmp_path, frames) -> Path:
    return write(tmp_path / 'pbe.xyz.gz', frames, ENERGIES, forces_of(frames))


@pytest.fixture
def hf(tmp_path, frames) -> Path:
    return write(tmp_path / 'hf.xyz', frames, HF, forces_of(frames))


@pytest.fixture
def name() -> str:
    """Return a name that no other test gives a data set."""
    return f'set-{uuid4()}'


@pytest.fixture
def dataset(command) -> Callable:
    """Return a function that runs ``aiida-mlcc dataset`` with the given words."""

    def invoke(*words: object):
        return command('dataset', *words)

    return invoke


@pytest.fixture
def imported(dataset, name, base, hf) -> tuple[SnapshotsData, str]:
    """Return the node of a data set that was imported, and what the command said."""
    result = dataset('import', name, '--base', base, '--base-method', 'PBE', '--label', f'HF={hf}')
    assert result.exit_code == 0, result.output
    return called(name), result.output


def called(name: str) -> SnapshotsData:
    return orm.QueryBuilder().append(SnapshotsData, filters={'label': name}).one()[0]


def n_nodes() -> int:
    return orm.QueryBuilder().append(orm.Data).count()


def test_import_stores_labels_with_the_checksums_of_their_files(imported):
    node, _ = imported
    labels = node.get_snapshots().labels
    assert labels['PBE'].energies.tolist() == ENERGIES
    assert np.flatnonzero(~labels['HF'].labelled).tolist() == [1]
    assert labels['HF'].source['file'] == 'hf.xyz'
    assert len(labels['HF'].source['sha256']) == 64


def test_import_says_what_was_dropped_and_whose_the_forces_are(imported):
    text = ' '.join(imported[1].split())
    assert 'HF, dropped: frame 1: the energy is empty.' in text
    assert 'HF: the forces in the file equal those of PBE' in text
    assert 'HF: energies are written to 1 meV per cell' in text


def test_import_ends_with_the_line_that_starts_a_run_on_the_crystal_found(imported, name):
    filters = {'label': f'crystal of {name}'}
    (structure,) = orm.QueryBuilder().append(orm.StructureData, filters=filters).one()
    assert structure.get_formula() == 'HLi'
    assert imported[1].rstrip().endswith(f'launch {structure.pk} --snapshots {name} --methods HF')


def test_a_run_can_be_planned_from_the_line(imported, command):
    computer = orm.Computer('datasets', 'localhost', transport_type='core.local', scheduler_type='core.direct').store()
    orm.InstalledCode(label='python', computer=computer, filepath_executable='/usr/bin/python3').store()
    words = imported[1].rstrip().splitlines()[-1].split()
    result = command(*words[words.index('launch') :], '--code', 'python@datasets', '--dry-run')
    assert result.exit_code == 0, result.output
    assert 'dft_md' not in result.output
    assert 'cc_energies' not in result.output


def test_show_gives_the_json_of_the_import(dataset, name, base, hf):
    words = ('import', name, '--base', base, '--base-method', 'PBE', '--label', f'hf={hf}', '--json')
    first = json.loads(dataset(*words).output)
    assert json.loads(dataset('show', name, '--json').output) == first
    assert first['files']['HF']['dropped'] == {'1': 'the energy is empty'}
    assert first['n_labelled'] == {'PBE': N_FRAMES, 'HF': N_FRAMES - 1}


def test_show_describes_snapshots_that_were_not_imported(dataset, imported):
    snapshots = imported[0].get_snapshots()
    node = SnapshotsData(snapshots).store()
    found = json.loads(dataset('show', node.pk, '--json').output)
    assert found['files'] == {}
    assert found['differences']['HF']['n_frames'] == N_FRAMES - 1


def test_a_crystal_given_as_a_node_is_taken_and_none_is_stored(dataset, name, base):
    node = orm.StructureData(ase=crystal()).store()
    before = n_nodes()
    result = dataset('import', name, '--base', base, '--base-method', 'PBE', '--structure', node.pk)
    assert f'launch {node.pk} --snapshots {name}' in result.output
    assert n_nodes() == before + 1


def test_list_names_what_was_imported_and_nothing_else(dataset, imported, name):
    SnapshotsData(imported[0].get_snapshots(), label='of a run').store()
    lines = dataset('list').output.splitlines()
    assert [str(imported[0].pk), name, 'Li4H4'] in [line.split()[:3] for line in lines]
    assert 'of a run' not in ' '.join(lines)


def test_export_gives_back_every_label_and_source(dataset, imported, name, tmp_path):
    assert dataset('export', name, '-o', tmp_path / 'lih.xyz.gz').exit_code == 0
    assert read_extxyz(tmp_path / 'lih.xyz.gz').content_hash() == imported[0].content_hash


def test_export_by_method_can_be_imported_again(dataset, imported, name, tmp_path):
    folder = tmp_path / 'lih'
    assert dataset('export', name, '-o', folder, '--file-per-method').exit_code == 0
    words = ('--base', folder / 'pbe.xyz', '--base-method', 'PBE', '--label', f'HF={folder / "hf.xyz"}')
    assert dataset('import', f'{name} again', *words).exit_code == 0
    before, after = (node.get_snapshots().to_arrays() for node in (imported[0], called(f'{name} again')))
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)


def test_export_overwrites_only_when_forced(dataset, imported, name, tmp_path):
    target = tmp_path / 'lih.xyz'
    target.write_text('mine')
    assert '--force overwrites it' in last_line(dataset('export', name, '-o', target))
    assert target.read_text() == 'mine'


@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        ('12', 'could be a PK'),
        ('cafe', 'the start of a UUID'),
        (' ', 'must not be empty'),
        (None, 'already: choose another one'),
    ],
)
def test_a_name_by_which_the_data_set_is_not_found_again_is_refused(dataset, imported, name, base, given, sentence):
    before = n_nodes()
    result = dataset('import', given or name, '--base', base, '--base-method', 'PBE')
    assert result.exit_code != 0
    assert sentence in last_line(result)
    assert n_nodes() == before


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (['--label', 'HF={hf}', '--label', 'hf={hf}'], 'HF is given twice'),
        (['--label', 'MP3,4={hf}'], "'MP3,4' cannot be the name of a method"),
        (['--label', 'HF'], 'write it as METHOD=FILE'),
        (['--label', 'HF=nowhere.xyz'], 'there is no file nowhere.xyz'),
        (['--label', 'HF={empty}'], 'none of its 6 frames has an entry energy=…'),
        (['--label', 'HF={broken}'], 'is gzipped and broken'),
        (['--label', 'HF={other}'], 'none of the 6 structures of other.xyz is in pbe.xyz'),
        (['--energy-key', 'E'], 'none of its 6 frames has an entry E=…'),
        (['--structure', '{nacl}'], 'the frames do not fit --structure'),
    ],
)
def test_what_cannot_be_imported_is_a_sentence_and_stores_nothing(dataset, base, hf, tmp_path, frames, words, sentence):
    broken = tmp_path / 'broken.xyz.gz'
    broken.write_bytes(base.read_bytes()[:-100])
    nacl = crystal()
    nacl.set_cell(nacl.cell.array * 1.4, scale_atoms=True)
    nacl.write(tmp_path / 'nacl.cif')
    files = {
        'hf': hf,
        'empty': write(tmp_path / 'empty.xyz', frames, None),
        'broken': broken,
        'other': write(tmp_path / 'other.xyz', structures(seed=8), HF),
        'nacl': tmp_path / 'nacl.cif',
    }
    before = n_nodes()
    result = dataset('import', 'x', '--base', base, '--base-method', 'PBE', *(word.format(**files) for word in words))
    assert result.exit_code != 0
    assert sentence in last_line(result)
    assert n_nodes() == before


def test_a_base_method_with_a_name_that_cannot_be_is_a_sentence(dataset, base):
    result = dataset('import', 'x', '--base', base, '--base-method', '3LYP')
    assert "'3LYP' cannot be the name of a method" in last_line(result)


def test_base_and_labels_have_any_name(dataset, name, base, hf):
    result = dataset('import', name, '--base', base, '--base-method', 'r2SCAN', '--label', f'RPA={hf}')
    assert result.exit_code == 0, result.output
    (node,) = orm.QueryBuilder().append(SnapshotsData, filters={'label': name}).first()
    assert node.get_snapshots().kinds == {'r2SCAN': 'dft', 'RPA': 'costly'}
    assert node.base_methods == ['r2SCAN']
    assert '--methods RPA' in result.output


def test_where_storing_fails_the_crystal_is_not_left_behind(dataset, base, monkeypatch):
    def fail(self):
        raise OSError('the disk is full')

    monkeypatch.setattr(SnapshotsData, 'store', fail)
    before = n_nodes()
    with pytest.raises(OSError, match='disk is full'):
        dataset('import', 'x', '--base', base, '--base-method', 'PBE')
    assert n_nodes() == before


@pytest.fixture
def collection(tmp_path, base, hf, monkeypatch, forget) -> Path:
    """Return a folder with a small collection in place of the published one, whose address is that folder."""
    return publish('diamond', {'PBE': base, 'HF': hf}, tmp_path / 'published', monkeypatch)


def test_fetch_downloads_checks_and_imports(dataset, collection):
    result = dataset('fetch', 'mlphonons', '--json')
    assert result.exit_code == 0, result.output
    node = called('mlphonons-diamond')
    assert node.source['version'] == published_data.COMMIT
    assert node.methods == ['PBE', 'HF']


def test_fetch_keeps_the_files_and_does_not_download_them_again(dataset, collection, tmp_path):
    kept = tmp_path / 'kept'
    assert dataset('fetch', 'mlphonons', '--keep', kept).exit_code == 0
    assert sorted(path.name for path in (kept / 'c').iterdir()) == ['HF.xyz', 'PBE.xyz']
    (collection / 'c/HF.xyz').unlink()
    assert dataset('fetch', 'mlphonons', '--keep', kept).exit_code == 0


def test_what_was_fetched_before_is_taken_as_it_is(dataset, collection):
    dataset('fetch', 'mlphonons')
    before = n_nodes()
    result = dataset('fetch', 'mlphonons', '--from', collection)
    assert 'mlphonons-diamond already exists' in result.output
    assert n_nodes() == before


def test_a_run_from_a_data_set_needs_no_other_crystal(command, dataset, collection, monkeypatch):
    found = []
    monkeypatch.setattr('aiida_mlcc.cli.inputs.read_code', lambda _: None)
    monkeypatch.setattr('aiida_mlcc.cli.inputs.build', lambda structure, *_, **given: found.append(structure) or stop())
    dataset('fetch', 'mlphonons')
    assert 'enough' in last_line(command('launch', '--snapshots', 'mlphonons-diamond'))
    assert found[0].uuid == called('mlphonons-diamond').base.extras.get('dataset_structure')


def stop():
    raise click.UsageError('enough')


def test_what_was_fetched_before_needs_no_network(dataset, collection):
    dataset('fetch', 'mlphonons')
    (collection / 'c/HF.xyz').unlink()
    result = dataset('fetch', 'mlphonons')
    assert result.exit_code == 0, result.output
    assert 'mlphonons-diamond already exists' in result.output


@pytest.mark.parametrize('words', [(), ('--from', '{folder}')])
def test_a_file_of_another_content_is_refused_and_nothing_is_stored(dataset, collection, words):
    (collection / 'c/HF.xyz').write_text('1\nenergy=-1\nC 0 0 0\n')
    before = n_nodes()
    result = dataset('fetch', 'mlphonons', *(word.format(folder=collection) for word in words))
    assert 'is not the published c/HF.xyz' in last_line(result)
    assert n_nodes() == before


def test_without_a_network_the_way_round_it_is_told(dataset, collection):
    (collection / 'c/HF.xyz').unlink()
    before = n_nodes()
    result = dataset('fetch', 'mlphonons')
    assert 'cannot be downloaded' in last_line(result)
    assert '--from' in last_line(result)
    assert n_nodes() == before


def test_the_published_diamond_is_imported_from_a_copy(published_data, dataset, forget):
    found = json.loads(dataset('fetch', 'mlphonons', '--from', published_data, '--crystal', 'diamond', '--json').output)
    report = found['mlphonons-diamond']
    assert report['n_labelled'] == dict.fromkeys(['PBE', 'HF', 'MP2', 'CCSD', 'CCSD(T)'], 200)
    assert report['crystal']['space_group'] == 'Fd-3m'


def test_a_mistyped_method_is_imported_with_a_remark(dataset, name, base, hf):
    words = ('import', name, '--base', base, '--base-method', 'PBE', '--label', f'CSSD(T)={hf}', '--json')
    result = dataset(*words)
    assert result.exit_code == 0
    found = json.loads(result.output)
    assert found['n_labelled'] == {'PBE': N_FRAMES, 'CSSD(T)': N_FRAMES - 1}
    assert any('if CCSD(T) is meant' in remark for remark in found['files']['CSSD(T)']['remarks'])
