"""The tutorial "A crystal of your own", command by command, in an empty home."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.pages import blocks

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]

PAGE = 'tutorials/own_crystal.md'


def commands() -> list[str]:
    """Return the blocks of the page but the first, the installation: this environment is what it makes."""
    install, *others = blocks(PAGE, 'sh')
    assert 'pip install' in install
    return others


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Run the page as one script that stops at the first command that fails, and return the folder."""
    home, folder = tmp_path_factory.mktemp('home'), tmp_path_factory.mktemp('own_crystal')
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(('AIIDA', 'PYTHON', 'MLCC'))
    }
    environment |= {
        'HOME': str(home),
        'PATH': f'{Path(sys.executable).parent}:{environment["PATH"]}',
        'OMP_NUM_THREADS': '1',
    }
    log = folder / 'log.txt'
    with log.open('w') as stream:
        done = subprocess.run(
            ['bash', '-exc', '\n'.join(commands())],
            cwd=folder,
            env=environment,
            stdout=stream,
            stderr=stream,
            text=True,
        )
    stop = {**environment, 'AIIDA_PATH': str(home / '.aiida-mlcc')}
    subprocess.run(['verdi', 'daemon', 'stop'], env=stop, capture_output=True)
    assert done.returncode == 0, log.read_text()[-5000:]
    return folder


def test_bundle_holds_the_frequencies_of_every_method(folder):
    results = json.loads((folder / 'bundle' / 'results.json').read_text(encoding='utf-8'))
    assert all(f'"{method}"' in json.dumps(results) for method in ('LDA', 'HF', 'MP2'))


def test_figure_and_page_are_written(folder):
    assert (folder / 'bands.pdf').stat().st_size > 0
    assert (folder / 'report' / 'index.html').stat().st_size > 0


def test_name_of_the_author_stands_in_the_bundle(folder):
    assert 'Carberry' in (folder / 'bundle' / 'CITATION.cff').read_text(encoding='utf-8')
