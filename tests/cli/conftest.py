"""The command line on the test profile, with one run made by hand."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aiida_mlcc.cli import cli
from aiida_mlcc.science.dataset import published_data
from aiida_mlcc.science.dataset.file_content import read_content
from aiida_mlcc.science.dataset.published_data import PublishedFile, PublishedSet
from tests.graphs import Run, build_run


@pytest.fixture(scope='package')
def run(aiida_profile) -> Run:
    """Return a finished run in the test profile."""
    from aiida import orm

    computer = orm.Computer('commands', 'localhost', transport_type='core.local', scheduler_type='core.direct')
    return build_run(computer.store())


@pytest.fixture
def command(aiida_profile) -> Callable[..., Result]:
    """Return a function that runs ``aiida-mlcc`` with the given words."""

    def invoke(*words: object) -> Result:
        result = CliRunner().invoke(cli, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def forget(aiida_profile) -> Iterator[None]:
    """Delete what was fetched after the test: its name is always the same."""
    from aiida import orm
    from aiida.tools import delete_nodes

    yield
    names = {'like': '%mlphonons-%'}
    fetched = orm.QueryBuilder().append(orm.Data, filters={'label': names}, project='id').all(flat=True)
    delete_nodes(fetched, dry_run=False)


def publish(crystal: str, paths: Mapping[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put files in place of the published ones, method → file with the base first; `folder` is their address."""
    (folder / 'c').mkdir(parents=True)
    files = {}
    for method, path in paths.items():
        content = read_content(path)
        (folder / f'c/{method}.xyz').write_bytes(content)
        files[method] = PublishedFile(f'c/{method}.xyz', hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(published_data, 'MLPHONONS', {crystal: PublishedSet(next(iter(files)), files)})
    monkeypatch.setattr(published_data, 'address_of', lambda file: (folder / file.path).as_uri())
    return folder


@pytest.fixture(scope='package')
def home(tmp_path_factory) -> Path:
    """Return a home in which `setup` has run once, and where nothing was before."""
    folder = tmp_path_factory.mktemp('home')
    first = at_home(folder, 'setup')
    assert first.returncode == 0, first.stderr
    (folder / 'first_setup').write_text(first.stdout)
    return folder


@pytest.fixture
def first_setup(home) -> str:
    """Return what `setup` said in the empty home."""
    return (home / 'first_setup').read_text()


_PROGRAMS = {
    'aiida-mlcc': 'from aiida_mlcc.cli import cli; cli(prog_name="aiida-mlcc")',
    'verdi': 'from aiida.cmdline.commands.cmd_verdi import verdi; verdi(prog_name="verdi")',
}


def at_home(home: Path, *words: str, program: str = 'aiida-mlcc', **environment: str) -> subprocess.CompletedProcess:
    """Run a command as a person with this home would, in a process of its own."""
    ours = ('AIIDA_PATH', 'AIIDA_PROFILE')
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join([here, *filter(None, [clean.get('PYTHONPATH')])])
    return subprocess.run(
        [sys.executable, '-c', _PROGRAMS[program], *words],
        env={**clean, 'HOME': str(home), 'PYTHONPATH': path, **environment},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def last_line(result: Result) -> str:
    """Return the sentence that a failed command ends with."""
    return result.output.strip().splitlines()[-1]
