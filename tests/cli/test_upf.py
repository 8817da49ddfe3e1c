"""``aiida-mlcc upf``: files of a table, and what it says of one that is not there."""

import pytest
from click.testing import CliRunner

from aiida_mlcc.cli import cli
from tests.science.test_gth_upf import TABLE


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
        (['Li:x'], 'give the valence electrons as a number, such as Li:1'),
    ],
)
def test_what_is_not_there_is_a_sentence(table, tmp_path, words, sentence):
    done = run(table, *words, '--folder', tmp_path / 'upf')
    assert done.exit_code != 0
    assert sentence in done.output
    assert not (tmp_path / 'upf').exists()


def test_folder_with_files_is_left_alone(table, tmp_path):
    assert 'is not empty' in run(table, 'Li', '--folder', tmp_path).output
