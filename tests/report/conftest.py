"""Runs made by hand for all tests of reports: they only read them."""

from pathlib import Path

import pytest

from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.page import Written, render, write_report
from tests.graphs import Run, build_run
from tests.report.full_run import FullRun, build_full_run
from tests.report.read_page import Page, findings_of


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
def written(run, tmp_path_factory) -> tuple[Path, Written]:
    """Return the folder of the report on `run`, and what was said of it."""
    folder = tmp_path_factory.mktemp('report')
    return folder, write_report(run.master, folder)


@pytest.fixture(scope='package')
def page_of_run(written) -> Page:
    """Return the page of `run`."""
    return Page((written[0] / 'index.html').read_text(encoding='utf-8'))


@pytest.fixture(scope='package')
def everything(full) -> Findings:
    """Return what is found of `full`."""
    return findings_of(full.process)


@pytest.fixture(scope='package')
def page_of_full(everything) -> Page:
    """Return the page of `full`."""
    return Page(render(everything))
