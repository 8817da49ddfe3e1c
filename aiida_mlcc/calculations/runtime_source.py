"""The code that a job runs, as a node: compute nodes need no aiida-mlcc, and a changed runtime is a changed input."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from aiida import orm

import aiida_mlcc

RUNTIME_SOURCE_FILE = 'runtime_source.zip'
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ROOMS = ('science', 'runtime')
_DIGEST = 'sha256'

NodeType = TypeVar('NodeType', bound=orm.Data)


def _source_files(*rooms: str) -> list[tuple[str, bytes]]:
    package = Path(aiida_mlcc.__file__).parent
    files = [package / '__init__.py', *(f for room in rooms for f in (package / room).rglob('*.py'))]
    return sorted((f.relative_to(package.parent).as_posix(), f.read_bytes()) for f in files)


@cache
def runtime_zip() -> bytes:
    """Return ``aiida_mlcc/{__init__,science,runtime}`` as one zip; equal sources give equal bytes.

    Python imports from it as it stands, so nothing needs to be unpacked.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in _source_files(*_ROOMS):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def runtime_source() -> orm.SinglefileData:
    """Return the runtime as a node: the stored one where the profile has it, else a new one."""
    content = runtime_zip()
    digest = hashlib.sha256(content).hexdigest()
    stored = _find(orm.SinglefileData, {f'attributes.{_DIGEST}': digest})
    if stored is not None:
        return stored
    node = orm.SinglefileData(io.BytesIO(content), filename=RUNTIME_SOURCE_FILE)
    node.base.attributes.set(_DIGEST, digest)
    return node


def science_hash(function: Callable[..., object] | None = None) -> orm.Str:
    """Return the hash of the ``science`` room, an input of every calcfunction that calls it."""
    digest = _science_digest()
    return _find(orm.Str, {'attributes.value': digest}) or orm.Str(digest)


@cache
def _science_digest() -> str:
    digest = hashlib.sha256()
    for name, content in _source_files('science'):
        digest.update(name.encode() + content)
    return digest.hexdigest()


def _find(node_class: type[NodeType], filters: dict[str, str]) -> NodeType | None:
    return orm.QueryBuilder().append(node_class, filters=filters).limit(1).first(flat=True)
