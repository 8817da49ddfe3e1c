"""Bundles of a finished run, each made once: of the archive that the repository holds."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from aiida import orm
from aiida.tools.archive import import_archive

from aiida_mlcc.report.publication.build import list_files, write_contents
from aiida_mlcc.report.publication.bundle import publish, write_archive
from aiida_mlcc.report.publication.request import Author, Request
from aiida_mlcc.report.publication.verify_bundle import ARCHIVE as NAME

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
    """Return a bundle written from the profile instead of the filtered archive, its figures empty files.

    It takes a few seconds, and tests that change it copy it.
    """
    folder = tmp_path_factory.mktemp('written')
    target = folder / 'bundle'
    target.mkdir()
    write_archive([published_run], (), target / NAME, folder / 'archive', False, False)
    request = replace(request_of_run, privacy={'replaced': [], 'left': [], 'n_without_hash': 0})
    steps = write_contents(target, request)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        entries, description = end.value
    for name in [name for entry in entries for figure in entry['figures'] for name in figure['files']]:
        (target / name).touch()
    list_files(target, request, entries, description)
    return target


@pytest.fixture(scope='package')
def published(published_run, folder_of_maker, request_of_run, tmp_path_factory):
    """Return the bundle as a person publishes it: written from the filtered archive, drawn, and checked."""
    target = tmp_path_factory.mktemp('published') / 'bundle'
    publish([published_run], target, request_of_run)
    return target
