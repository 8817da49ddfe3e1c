"""The runtime as an input: deterministic, complete, and free of AiiDA."""

import subprocess
import sys
import zipfile

from aiida_mlcc.calculations import runtime_source as module
from aiida_mlcc.calculations.runtime_source import RUNTIME_SOURCE_FILE, runtime_source, runtime_zip, science_hash


def test_same_sources_give_the_same_bytes():
    first = runtime_zip()
    runtime_zip.cache_clear()
    assert runtime_zip() == first


def test_zip_holds_science_and_runtime_and_nothing_else_of_ours(tmp_path):
    path = tmp_path / RUNTIME_SOURCE_FILE
    path.write_bytes(runtime_zip())
    names = zipfile.ZipFile(path).namelist()
    assert {'aiida_mlcc/__init__.py', 'aiida_mlcc/runtime/__main__.py', 'aiida_mlcc/science/vdos.py'} <= set(names)
    assert {name.split('/')[1] for name in names} == {'__init__.py', 'runtime', 'science'}


def test_runtime_starts_from_the_zip_where_there_is_no_aiida(tmp_path):
    path = tmp_path / RUNTIME_SOURCE_FILE
    path.write_bytes(runtime_zip())
    program = (
        'import sys; sys.modules["aiida"] = None; '
        f'sys.path.insert(0, {str(path)!r}); import aiida_mlcc.runtime.__main__ as m, aiida_mlcc.runtime.evaluate; '
        'print(m.__file__)'
    )
    shown = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True).stdout
    assert shown.startswith(str(path))


def test_stored_source_is_used_again(aiida_profile_clean):
    first = runtime_source().store()
    assert runtime_source().uuid == first.uuid
    assert science_hash().store().uuid == science_hash().uuid


def test_changed_source_is_another_node(aiida_profile_clean, monkeypatch):
    first = runtime_source().store()
    monkeypatch.setattr(module, 'runtime_zip', lambda: b'another runtime')
    assert runtime_source().uuid != first.uuid
