"""``aiida-mlcc upf``: files of a table, and what it says of one that is not there."""

import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_mlcc.cli import cli
from tests.engines.quantumespresso.test_gth_upf import TABLE


@pytest.fixture
def table(tmp_path):
    path = tmp_path / 'GTH'
    path.write_text(TABLE)
    return path


def run(*words):
    return CliRunner().invoke(cli, ['upf', *map(str, words)])


def test_files_of_the_elements_are_written(table, tmp_path):
    done = run(table, 'Li:1', 'Si', '--folder', tmp_path / 'upf')
    assert done.exit_code == 0, done.output
    assert 'Li: GTH-PADE-q1, 1 valence electrons' in done.output
    assert sorted(path.name for path in (tmp_path / 'upf').iterdir()) == ['Li.upf', 'Si.upf']


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (['Zn'], 'the table has no pseudopotential of Zn'),
        (['Li:1', 'Li:3'], 'Li is named twice'),
        (['Li:x'], 'give the valence electrons as a number, such as Li:1'),
    ],
)
def test_what_is_not_there_is_a_sentence(table, tmp_path, words, sentence):
    done = run(table, *words, '--folder', tmp_path / 'upf')
    assert done.exit_code != 0
    assert sentence in done.output
    assert not (tmp_path / 'upf').exists()


@pytest.mark.parametrize('words', [['Li'], ['Li', '--folder', 'full']], ids=['default', 'folder'])
def test_what_is_there_is_left_alone(table, monkeypatch, words):
    monkeypatch.chdir(table.parent)
    for name in ('GTH-upf', 'full'):
        (table.parent / name).mkdir()
        (table.parent / name / 'file').write_text('mine')
    done = run(table.name, *words)
    assert done.exit_code == 2
    assert 'is there already' in done.output
    assert [path.name for path in table.parent.rglob('*') if path.is_file()].count('file') == 2


def test_a_table_in_this_folder_needs_no_folder_named(table, monkeypatch):
    monkeypatch.chdir(table.parent)
    assert run('GTH', 'Li').exit_code == 0
    assert (table.parent / 'GTH-upf' / 'Li.upf').is_file()


def test_a_family_that_is_there_is_refused_before_anything_is_written(table, tmp_path, aiida_profile):
    orm.Group(label='taken').store()
    done = run(table, 'Li', '--folder', tmp_path / 'upf', '--family', 'taken')
    assert 'There is a group taken already' in done.output
    assert not (tmp_path / 'upf').exists()
