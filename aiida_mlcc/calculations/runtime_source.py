"""The code that a job or a calcfunction runs, as an input: compute nodes need no aiida-mlcc, and changed code is a
changed input.

It is the files that the job's task or the calcfunction reaches by its imports, and no others. A change elsewhere, in
what reads data sets for instance, leaves its results in the cache.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from aiida import orm

from aiida_mlcc.calculations.reached_files import reached_files

RUNTIME_SOURCE_FILE = 'runtime_source.zip'
_EPOCH = (1980, 1, 1, 0, 0, 0)
_RUNTIME = 'aiida_mlcc.runtime'
_DIGEST = 'sha256'

NodeType = TypeVar('NodeType', bound=orm.Data)


@cache
def runtime_zip(task: str) -> bytes:
    """Return what ``python -m aiida_mlcc.runtime TASK`` reaches as one zip; equal sources give equal bytes.

    Python imports from it as it stands, so nothing needs to be unpacked.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in reached_files(f'{_RUNTIME}.__main__', f'{_RUNTIME}.tasks.{task}').items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def runtime_source(task: str) -> orm.SinglefileData:
    """Return the code of a task as a node: the stored one where the profile has it, else a new one."""
    content = runtime_zip(task)
    digest = hashlib.sha256(content).hexdigest()
    stored = _find(orm.SinglefileData, {f'attributes.{_DIGEST}': digest})
    if stored is not None:
        return stored
    node = orm.SinglefileData(io.BytesIO(content), filename=RUNTIME_SOURCE_FILE)
    node.base.attributes.set(_DIGEST, digest)
    return node


def science_hash(function: Callable[..., Any]) -> orm.Str:
    """Return the hash of the files that a calcfunction reaches, which is one of its inputs.

    :param function: the calcfunction; its own file counts as well.
    """
    digest = _digest_of(function.__module__)
    return _find(orm.Str, {'attributes.value': digest}) or orm.Str(digest)


@cache
def _digest_of(module: str) -> str:
    digest = hashlib.sha256()
    for name, content in reached_files(module).items():
        digest.update(f'{name} {len(content)} '.encode() + content)
    return digest.hexdigest()


def _find(node_class: type[NodeType], filters: dict[str, str]) -> NodeType | None:
    return orm.QueryBuilder().append(node_class, filters=filters).limit(1).first(flat=True)
