"""Fixtures shared by all tests."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiida import orm

from aiida_mlcc.data.force_field import ForceFieldData
from tests import quick_aiida, quick_symmetry
from tests.crystals import rocksalt, springs
from tests.curve_sources import drawn, dynamics, phonons
from tests.quick_aiida import POLL_SECONDS
from tests.warm_python import WarmPython

pytest_plugins = ['aiida.tools.pytest_fixtures']

FOLDERS = {
    '--published-data': ('MLCC_PUBLISHED_DATA', 'the published energies, with the folders c and lih'),
    '--upstream-cc4s-runs': ('MLCC_UPSTREAM_CC4S_RUNS', 'cc4s.in and cc4s.out.yaml of the runs that Cc4s is tested by'),
}
"""Data that the repository does not hold: for each option its environment variable and what the folder holds."""


def pytest_configure(config):
    if not os.environ.get('MLCC_PLAIN_AIIDA'):
        quick_aiida.install()
        quick_symmetry.install()


def pytest_collection_finish(session):
    # Imported modules stay: the collector need not look through them again, nor after every few objects.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_addoption(parser):
    group = parser.getgroup('data that the repository does not hold')
    for option, (variable, what) in FOLDERS.items():
        group.addoption(
            option,
            metavar='DIR',
            default=os.environ.get(variable),
            help=f'Folder of {what}. Default: the variable {variable}. Without a folder, tests are skipped.',
        )


def _folder(config, option):
    if not (given := config.getoption(option)):
        pytest.skip(f'needs {option} or {FOLDERS[option][0]}')
    if not Path(given).is_dir():
        raise pytest.UsageError(f'{option}: {given} is not a folder')
    return Path(given).resolve()


@pytest.fixture(scope='session')
def published_data(pytestconfig):
    """The folder of the energies published with the article."""
    return _folder(pytestconfig, '--published-data')


@pytest.fixture(scope='session')
def upstream_cc4s_runs(pytestconfig):
    """The folder of runs by the authors of Cc4s."""
    return _folder(pytestconfig, '--upstream-cc4s-runs')


@pytest.fixture(scope='session')
def warm_python(tmp_path_factory) -> Iterator[WarmPython]:
    """An interpreter that has torch, MACE and PySCF in memory."""
    python = WarmPython(tmp_path_factory.mktemp('warm'))
    yield python
    python.close()


@pytest.fixture(scope='session')
def aiida_localhost(aiida_profile, tmp_path_factory):
    """This computer, without a scheduler."""
    computer = orm.Computer(
        'localhost',
        'localhost',
        transport_type='core.local',
        scheduler_type='core.direct',
        workdir=str(tmp_path_factory.mktemp('localhost')),
    ).store()
    computer.set_minimum_job_poll_interval(POLL_SECONDS)
    computer.set_default_mpiprocs_per_machine(1)
    # A login shell reads the profile of whoever runs the tests, at each question after a job.
    return computer.configure(use_login_shell=False).computer


@pytest.fixture(scope='session')
def python(aiida_localhost, warm_python):
    """The Python that runs the tests, as a code on localhost: warm, so that a job starts at once."""
    return orm.InstalledCode(
        label='mlcc-python',
        computer=aiida_localhost,
        filepath_executable=str(warm_python.executable),
        prepend_text='export OMP_NUM_THREADS=1',
    ).store()


@pytest.fixture
def crystal(aiida_profile):
    """The primitive cell of LiF."""
    return orm.StructureData(ase=rocksalt()).store()


@pytest.fixture
def members(aiida_profile):
    """Two members whose springs differ by a known factor."""
    stiffness = {'seed_1': 3.0, 'seed_2': 3.3}
    return {name: ForceFieldData(springs(rocksalt(), value)).store() for name, value in stiffness.items()}


@pytest.fixture(scope='session')
def argon_phonons(aiida_profile):
    """What the harmonic curves of argon are calculated from."""
    return phonons()


@pytest.fixture(scope='session')
def curve_nodes(argon_phonons):
    """Every curve of the table once: entry → output → node."""
    return {**drawn('harmonic_phonon', argon_phonons)[0], **drawn('vacf', dynamics())[0]}
