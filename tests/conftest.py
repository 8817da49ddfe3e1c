"""Fixtures shared by all tests."""

import sys

import pytest
from aiida import orm

from aiida_mlcc.data.force_field import ForceFieldData
from tests.crystals import rocksalt, springs

pytest_plugins = ['aiida.tools.pytest_fixtures']


@pytest.fixture
def python(aiida_profile_clean, aiida_localhost):
    """The Python that runs the tests, as a code on localhost."""
    aiida_localhost.set_minimum_job_poll_interval(0)
    return orm.InstalledCode(
        label='mlcc-python',
        computer=aiida_localhost,
        filepath_executable=sys.executable,
        prepend_text='export OMP_NUM_THREADS=1',
    ).store()


@pytest.fixture
def crystal(aiida_profile_clean):
    """The primitive cell of LiF."""
    return orm.StructureData(ase=rocksalt()).store()


@pytest.fixture
def members(aiida_profile_clean):
    """Two members whose springs differ by a known factor."""
    stiffness = {'seed_1': 3.0, 'seed_2': 3.3}
    return {name: ForceFieldData(springs(rocksalt(), value)).store() for name, value in stiffness.items()}
