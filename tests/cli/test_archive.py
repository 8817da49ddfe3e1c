"""Archives are read without being imported, and without torch, MACE and PySCF, which a plain installation lacks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ARCHIVE = Path(__file__).parents[1] / 'archives' / 'before_entry_points.aiida'
RUN = '706960f5-b989-4dc8-9981-07d2a6c29bae'

WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('torch', 'mace', 'e3nn', 'pyscf'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Absent())
from click.testing import CliRunner
from aiida_mlcc.cli import cli

for words in COMMANDS:
    done = CliRunner().invoke(cli, words)
    print(words[0], done.exit_code, repr(done.exception))
    print(done.output[:2000])
"""


def run(home, *commands):
    """Return what commands say in an empty home."""
    script = WITHOUT.replace('COMMANDS', json.dumps(commands))
    environment = {name: value for name, value in os.environ.items() if name != 'AIIDA_PATH'} | {'HOME': str(home)}
    environment['PYTHONPATH'] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, '-c', script]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def said(tmp_path_factory):
    """Return what `results` said, and the home."""
    home = tmp_path_factory.mktemp('home')
    missing = ['results', '-p', str(home / 'missing.aiida'), RUN]
    return run(home, ['results', '-p', str(ARCHIVE), RUN], missing), home


def test_results_reads_an_archive_without_torch_and_pyscf(said):
    assert 'results 0 None' in said[0]


@pytest.mark.nightly
def test_trace_and_plot_read_an_archive_without_torch_and_pyscf(tmp_path):
    figure = tmp_path / 'figure.svg'
    trace = ['trace', '-p', str(ARCHIVE), RUN, '--method', 'HF']
    found = run(tmp_path, trace, ['plot', '-p', str(ARCHIVE), RUN, '-o', str(figure)])
    assert all(f'{command} 0 None' in found for command in ('trace', 'plot'))
    assert 'dispersion of HF' in found
    assert 'MdCalculation md, frame 0' in found
    assert figure.is_file()


def test_an_archive_that_is_not_there_is_a_sentence(said):
    assert 'There is no archive' in said[0]


def test_reading_leaves_nothing_in_the_home(said):
    assert [path.name for path in said[1].iterdir() if path.name.startswith('.aiida')] == []
