"""The privacy filter on an archive of a cluster written by hand: what it takes out, what it leaves, what it says."""

import json
import sqlite3
import zipfile

import pytest

from aiida_mlcc.report.publication.archive_file import UnpackedArchive
from aiida_mlcc.report.publication.privacy import filter_archive, licensed_texts, occurrences
from aiida_mlcc.report.publication.private_names import here, is_distinctive, of_profile, secrets_of
from tests.report.publication.small_archive import (
    ACCOUNT,
    ADDRESS,
    HOME,
    HOST,
    QUEUE,
    USER,
    SmallArchive,
    cluster_job,
    compressed,
)

PRIVATE = [USER, HOST, 'raven07', ACCOUNT, QUEUE, HOME, ADDRESS, 'Johanna', 'Doering', 'MPI of Secrets', 'id_rsa']


@pytest.fixture(scope='module')
def filtered(tmp_path_factory):
    """Return the filtered archive of a cluster job, the ids of its nodes, and what the filter said."""
    folder = tmp_path_factory.mktemp('archive') / 'unpacked'
    archive, nodes = cluster_job()
    archive.write(folder)
    with UnpackedArchive(folder) as unpacked:
        report = filter_archive(unpacked, secrets_of(unpacked))
        unpacked.pack(folder.parent / 'filtered.aiida')
    return folder.parent / 'filtered.aiida', nodes, report


@pytest.fixture
def reopened(filtered, tmp_path):
    with UnpackedArchive.unpack(filtered[0], tmp_path) as unpacked:
        yield unpacked


def attributes(unpacked, number):
    return next(json.loads(row['attributes']) for row in unpacked.rows('db_dbnode') if row['id'] == number)


def file_of(unpacked, number):
    (row,) = (row for row in unpacked.rows('db_dbnode') if row['id'] == number)
    tree = json.loads(row['repository_metadata'])['o']
    return {name: unpacked.content(entry['k']) for name, entry in tree.items()}


@pytest.mark.parametrize('word', PRIVATE)
def test_no_byte_of_the_archive_has_a_private_name(filtered, word):
    with zipfile.ZipFile(filtered[0]) as file:
        assert [name for name in file.namelist() if word.encode() in file.read(name)] == []


def test_what_a_reader_needs_of_a_job_stays(filtered, reopened):
    job = attributes(reopened, filtered[1]['job'])
    assert job['resources'] == {'num_machines': 2}
    assert job['last_job_info'] == {'job_id': '77', 'num_cpus': 8}
    assert job['detailed_job_info']['stdout'] == 'Elapsed\n00:10:00'


def test_a_script_keeps_its_lines_but_not_whose_they_are(filtered, reopened):
    script = file_of(reopened, filtered[1]['job'])['_aiidasubmit.sh'].decode()
    assert '#SBATCH --account=withheld\n' in script
    assert '#SBATCH --partition=withheld\n' in script
    assert '#SBATCH -p withheld -Awithheld --time=00:30:00\n#SBATCH --parsable\n' in script
    assert 'export PATH=/usr/bin:$PATH\n' in script
    assert "'/withheld/python' '-m' 'aiida_mlcc.runtime' > 'runtime.out'\n" in script


def test_a_traceback_keeps_the_name_of_the_file(filtered, reopened):
    text = file_of(reopened, filtered[1]['retrieved'])['runtime.err'].decode()
    assert text == 'File "/withheld/tools.py", line 3\n'


def test_text_in_another_encoding_keeps_its_other_bytes(filtered, reopened):
    text = file_of(reopened, filtered[1]['retrieved'])['latin1.out'].decode('latin-1')
    assert text == 'Größe in /withheld, gcc -I/withheld file:///withheld on withheld\n'


def test_the_template_of_a_job_is_json_still(filtered, reopened):
    template = json.loads(file_of(reopened, filtered[1]['job'])['job_tmpl.json'])
    assert template == {
        'account': 'withheld',
        'queue_name': 'withheld',
        'resources': {'num_machines': 2},
        'custom_scheduler_commands': '#SBATCH -q withheld\n#x',
    }


def test_paths_in_source_code_stay(filtered, reopened):
    assert file_of(reopened, filtered[1]['source'])['source_file'] == b"p = '/a/b/c'\n"


def test_hashes_are_dropped_of_what_was_changed_and_of_what_took_it(filtered, reopened):
    hashed = {row['id'] for row in reopened.rows('db_dbnode') if '_aiida_hash' in json.loads(row['extras'])}
    nodes = filtered[1]
    # The options of a job or a workflow enter no hash.
    assert hashed == {nodes['settings'], nodes['source'], nodes['other'], nodes['workflow']}
    assert filtered[2].n_without_hash == len(nodes) - 4


def test_what_was_deleted_is_in_no_free_page_of_the_database(filtered, tmp_path):
    with zipfile.ZipFile(filtered[0]) as file:
        file.extract('db.sqlite3', tmp_path)
    assert sqlite3.connect(tmp_path / 'db.sqlite3').execute('PRAGMA freelist_count').fetchone() == (0,)


def test_the_report_counts_what_was_replaced_and_shows_it_to_who_publishes(filtered):
    found = {finding.what: finding for finding in filtered[2].replaced}
    assert found['comments'].becomes == 'left out'
    assert found['work directories of jobs'].count == 1
    assert found['paths of remote folders'].examples == (f'{HOME}/scratch/aiida/ab/cd/ef',)


def test_a_name_in_a_file_that_is_not_text_is_left_and_listed(tmp_path):
    archive, _ = cluster_job()
    archive.node('data.core.singlefile.SinglefileData.', {}, {'all.zip': compressed(f'by {USER}'.encode())})
    archive.write(tmp_path / 'a')
    with UnpackedArchive(tmp_path / 'a') as unpacked:
        left = {finding.what: finding.count for finding in filter_archive(unpacked, secrets_of(unpacked)).left}
    assert left == {'file all.zip of SinglefileData': 1}


def test_a_user_called_like_a_word_does_not_change_words(tmp_path):
    archive = SmallArchive()
    archive.add('db_dbuser', email='max@localhost', first_name='', last_name='', institution='')
    node = archive.node('data.core.dict.Dict.', {'note': 'the max of it'})
    archive.write(tmp_path / 'a')
    with UnpackedArchive(tmp_path / 'a') as unpacked:
        report = filter_archive(unpacked, secrets_of(unpacked))
        assert attributes(unpacked, node) == {'note': 'the max of it'}
    assert [finding.what for finding in report.left] == ['words that are also a user']


def test_models_are_left_out_where_they_are_not_wanted(tmp_path):
    archive, nodes = cluster_job()
    archive.write(tmp_path / 'a')
    with UnpackedArchive(tmp_path / 'a') as unpacked:
        filter_archive(unpacked, secrets_of(unpacked), without_models=True)
        assert set(file_of(unpacked, nodes['job'])) == {'_aiidasubmit.sh', 'job_tmpl.json'}
        assert b'\0weights' not in [unpacked.content(key) for key in unpacked.object_keys()]


def test_remote_folders_are_left_out_where_they_are_not_wanted(tmp_path):
    archive, nodes = cluster_job()
    archive.write(tmp_path / 'a')
    with UnpackedArchive(tmp_path / 'a') as unpacked:
        filter_archive(unpacked, secrets_of(unpacked), without_remote=True)
        assert nodes['remote'] not in {row['id'] for row in unpacked.rows('db_dbnode')}
        assert nodes['remote'] not in {row['output_id'] for row in unpacked.rows('db_dblink')}


@pytest.mark.parametrize('wrap', [lambda text: text, compressed], ids=['plain', 'compressed'])
def test_the_text_of_a_potential_is_found_in_any_file(tmp_path, wrap):
    potential = b'  PAW_PBE Li\n   VRHFIN =Li: s1p0\n local part\n  End of Dataset\n'
    archive = SmallArchive()
    archive.node('data.core.folder.FolderData.', {}, {'inputs.txt': wrap(potential)})
    archive.write(tmp_path / 'a')
    with UnpackedArchive(tmp_path / 'a') as unpacked:
        assert licensed_texts(unpacked) == [('00000001-0000-4000-8000-000000000000', 'inputs.txt')]


def test_an_outcar_is_not_taken_for_a_potential(tmp_path):
    head = b' POTCAR:    PAW_PBE Li\n   VRHFIN =Li: s1p0\n   local pseudopotential read in\n'
    archive = SmallArchive()
    archive.node('data.core.folder.FolderData.', {}, {'OUTCAR': head})
    archive.write(tmp_path / 'a')
    with UnpackedArchive(tmp_path / 'a') as unpacked:
        assert licensed_texts(unpacked) == []


def test_a_compressed_file_that_cannot_be_searched_is_told(tmp_path):
    archive = SmallArchive()
    archive.node(
        'data.core.folder.FolderData.', {}, {'whole.gz': compressed(b'text'), 'cut.gz': compressed(b'text')[:-9]}
    )
    archive.write(tmp_path / 'a')
    with UnpackedArchive(tmp_path / 'a') as unpacked:
        left = filter_archive(unpacked, secrets_of(unpacked)).left
    assert [(finding.what, finding.count) for finding in left] == [('file cut.gz of FolderData', 1)]


def test_who_publishes_is_private_too(monkeypatch):
    monkeypatch.setattr('socket.gethostname', lambda: 'desk9.example.org')
    monkeypatch.setattr('getpass.getuser', lambda: 'jdoe')
    monkeypatch.setenv('HOME', '/home/j.doering')
    found = here()
    assert found == {
        'host': {'desk9.example.org', 'desk9'},
        'user': {'jdoe', 'j.doering'},
        'directory': {'/home/j.doering'},
    }


def test_how_computers_are_reached_is_private_and_in_no_archive(aiida_localhost):
    parameters = {'username': 'p77user', 'proxy_jump': 'gate@jump.example.org:22,other.example.org'}
    info = aiida_localhost.get_authinfo(aiida_localhost.backend.default_user)
    before = info.get_auth_params()
    info.set_auth_params(parameters)
    try:
        found = of_profile()
    finally:
        info.set_auth_params(before)
    assert {'p77user', 'gate'} <= found['user']
    assert {'jump.example.org', 'other.example.org'} <= found['host']


def test_occurrences_tell_columns_and_files(tmp_path):
    archive, _ = cluster_job()
    archive.write(tmp_path / 'a')
    with UnpackedArchive(tmp_path / 'a') as unpacked:
        found = occurrences(unpacked, [ACCOUNT])
    assert found == {
        'attributes of CalcJobNode': 3,
        'attributes of WorkChainNode': 1,
        'attributes of Dict': 1,
        'file _aiidasubmit.sh of CalcJobNode': 1,
        'file job_tmpl.json of CalcJobNode': 1,
    }


@pytest.mark.parametrize(
    ('word', 'searched'), [('jdoering', True), ('root', False), ('max', False), ('localhost', False)]
)
def test_names_that_are_words_are_not_searched(word, searched):
    assert is_distinctive(word) is searched
