"""Runs made by hand for all tests of reports: they only read them."""

import pytest

from tests.graphs import Run, build_run
from tests.report.full_run import FullRun, build_full_run


@pytest.fixture(scope='package')
def run(aiida_profile) -> Run:
    """Return a finished run in the test profile."""
    from aiida import orm

    computer = orm.Computer('reports', 'localhost', transport_type='core.local', scheduler_type='core.direct')
    return build_run(computer.store())


@pytest.fixture(scope='package')
def full(run) -> FullRun:
    """Return a finished run that has everything a page can show."""
    return build_full_run(run)
