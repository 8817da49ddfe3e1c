"""``aiida-mlcc model import``: asks before it runs foreign code, and stores all of a model or nothing."""

from __future__ import annotations

import subprocess
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiida import orm

from aiida_mlcc.data.force_field import ForceFieldData
from tests.crystals import rocksalt, springs

# The package has the command of this name.
MODULE = import_module('aiida_mlcc.cli.model')


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / 'tiny.model'
    path.write_bytes(b'a pickle')
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of the processes that would have read a file; each writes a force field of springs."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        springs(rocksalt(), method='PBE').save(command[4])
        return subprocess.CompletedProcess(command, 0, '', '')

    monkeypatch.setattr(MODULE, 'subprocess', SimpleNamespace(run=run))
    return commands


def stored() -> int:
    return orm.QueryBuilder().append(ForceFieldData).count()


def test_nothing_is_read_without_the_word_of_the_person(command, file, asked):
    done = command('model', 'import', file, '--method', 'PBE')
    assert done.exit_code == 2
    assert 'reading it runs the code in it' in done.output
    assert asked == []


def test_a_model_is_stored_with_licence_and_source(command, file, asked):
    words = ('--licence', 'MIT', '--source', 'https://example.org', '--label', 'a network')
    done = command('model', 'import', file, '--unpickle', '--method', 'PBE', *words)
    assert done.exit_code == 0, done.output
    node = orm.load_node(done.output.rsplit('start_from=', 1)[1].strip())
    assert (node.label, node.method) == ('a network', 'PBE')
    assert (node.source['license'], node.source['uri']) == ('MIT', 'https://example.org')
    (ran,) = asked
    assert ran[1:4] == ['-m', 'aiida_mlcc.runtime.mace.import_model', str(file)]
    assert ran[5:] == ['--unpickle', '--method', 'PBE', '--licence', 'MIT', '--source', 'https://example.org']


def test_a_file_that_is_refused_leaves_nothing_behind(command, file, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, '', 'a warning\nit holds something else\n')
    monkeypatch.setattr(MODULE, 'subprocess', SimpleNamespace(run=lambda *_, **__: failed))
    before = stored()
    done = command('model', 'import', file, '--unpickle', '--method', 'PBE')
    assert done.exit_code == 1
    assert 'tiny.model was not imported: it holds something else' in done.output
    assert stored() == before


@pytest.mark.nightly
def test_the_process_of_its_own_says_what_is_wrong(command, file):
    done = command('model', 'import', file, '--unpickle', '--method', 'PBE')
    assert done.exit_code == 1
    assert 'tiny.model cannot be read as a model of PyTorch' in done.output
