"""Arrays and a JSON description in one ``.npz`` file: no pickle, and equal content gives equal bytes."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.json_values import Json

_DESCRIPTION = 'description'
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_npz(path: Path | str, arrays: Mapping[str, NDArray[Any]], description: Json | None = None) -> None:
    """Write `arrays` and a plain-JSON `description` to `path`, atomically and deterministically."""
    text = json.dumps(description or {}, sort_keys=True)
    entries = {**arrays, _DESCRIPTION: np.frombuffer(text.encode(), dtype=np.uint8)}
    target = Path(path)
    scratch = target.with_name(f'{target.name}.partial')
    with zipfile.ZipFile(scratch, 'w', zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            stream = io.BytesIO()
            np.lib.format.write_array(stream, np.asarray(entries[name], order='C'), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f'{name}.npy', _EPOCH), stream.getvalue())
    os.replace(scratch, target)


def read_npz(path: Path | str) -> tuple[dict[str, NDArray[Any]], Json]:
    """Return the arrays and the description that :func:`write_npz` wrote.

    :raises ValueError: where the file holds pickled objects.
    """
    with np.load(Path(path), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    text = arrays.pop(_DESCRIPTION, None)
    return arrays, {} if text is None else json.loads(text.tobytes())


def write_json(path: Path | str, content: Any) -> None:
    """Write plain JSON to `path` atomically: a reader sees the old file or the whole new one."""
    target = Path(path)
    scratch = target.with_name(f'{target.name}.partial')
    scratch.write_text(json.dumps(content, indent=1, sort_keys=True) + '\n')
    os.replace(scratch, target)
