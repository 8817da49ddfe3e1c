"""Setting up on a machine where nothing is: a home that is empty, and no AIIDA_PATH."""

import json
import subprocess
import sys

from tests.cli.conftest import at_home


def test_the_first_setup_says_what_it_made(home, first_setup):
    for name in ('profile mlcc', 'computer localhost', 'code mlcc-python@localhost'):
        assert f'created the {name}' in first_setup


def test_a_second_setup_changes_nothing_and_prints_the_line_that_leads_to_the_profile(home):
    config = (home / '.aiida-mlcc/.aiida/config.json').read_text()
    again = at_home(home, 'setup')
    assert again.returncode == 0, again.stderr
    assert 'created the' not in again.stdout
    assert again.stdout.count('already exists') == 3
    assert (home / '.aiida-mlcc/.aiida/config.json').read_text() == config
    assert f'export AIIDA_PATH={home}/.aiida-mlcc ' in again.stdout


def test_the_profile_has_a_directory_of_its_own(home):
    assert not (home / '.aiida').exists()
    config = json.loads((home / '.aiida-mlcc/.aiida/config.json').read_text())
    assert list(config['profiles']) == ['mlcc']
    assert config['profiles']['mlcc']['storage']['backend'] == 'core.sqlite_dos'
    assert config['profiles']['mlcc']['process_control']['backend'] == 'core.zeromq'
    assert config['profiles']['mlcc']['options']['caching.enabled_for'] == ['aiida.calculations:mlcc.*']


def test_another_command_without_that_line_says_what_to_do(home):
    result = at_home(home, 'results', '1')
    assert result.returncode != 0
    assert f'export AIIDA_PATH={home}/.aiida-mlcc' in result.stderr
    assert not (home / '.aiida').exists()


def test_a_profile_that_does_not_exist_is_a_sentence_and_nothing_is_made(home):
    result = at_home(home, 'setup', '--profile', 'mine', AIIDA_PATH=str(home / '.aiida-mlcc'))
    assert result.returncode != 0
    assert "There is no profile 'mine'" in result.stderr


def test_help_imports_neither_aiida_nor_torch(home):
    program = (
        'import sys\nfrom aiida_mlcc.cli import cli\n'
        'cli(["launch", "--help"], standalone_mode=False)\n'
        'print([name for name in ("aiida", "torch", "pyscf", "numpy", "matplotlib") if name in sys.modules])'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == '[]'
