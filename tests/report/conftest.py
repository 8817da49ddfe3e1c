"""Runs made by hand for all tests of reports: they only read them."""

import pytest

from tests.graphs import Run, build_run
from tests.report.full_run import FullRun, build_full_run
from tests.report.read_page import Page, page_of


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


@pytest.fixture(scope='package')
def page_of_run(run) -> Page:
    """Return the page of `run`."""
    return page_of(run.master)


@pytest.fixture(scope='package')
def page_of_full(full) -> Page:
    """Return the page of `full`."""
    return page_of(full.process)
