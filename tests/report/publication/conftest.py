"""A bundle of a finished run, made once: of the archive that the repository holds."""

import os
from pathlib import Path

import pytest
from aiida import orm
from aiida.tools.archive import import_archive

from aiida_mlcc.report.publication.bundle import publish
from aiida_mlcc.report.publication.request import Author, Request

ARCHIVE = Path(__file__).parents[2] / 'archives' / 'before_entry_points.aiida'
RUN = '706960f5-b989-4dc8-9981-07d2a6c29bae'
JOSIAH = Author('Carberry, Josiah', '0000-0002-1825-0097', 'Brown University')
"""The example of ORCID."""


@pytest.fixture(scope='package')
def published_run(aiida_localhost):
    """Return lithium hydride by LDA, HF and CCSD(T), imported."""
    import_archive(ARCHIVE)
    return orm.load_node(RUN)


@pytest.fixture(scope='package')
def folder_of_maker(published_run):
    """Return the folder in which the run was made, as it is before anything is published."""
    jobs = [node for node in published_run.called_descendants if isinstance(node, orm.CalcJobNode)]
    folder = os.path.commonpath([job.get_remote_workdir() for job in jobs])
    assert len(folder) > 1
    return folder


@pytest.fixture(scope='package')
def request_of_run():
    """Return what is asked for: the run alone."""
    return Request(((RUN, ''),), 'Phonons of LiH', '2026-01-02T03:04:05+00:00', (JOSIAH,))


@pytest.fixture(scope='package')
def bundle(published_run, folder_of_maker, request_of_run, tmp_path_factory):
    """Return the bundle of the run; tests that change it copy it."""
    target = tmp_path_factory.mktemp('published') / 'bundle'
    publish([published_run], target, request_of_run)
    return target
