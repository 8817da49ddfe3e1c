"""What spglib, phonopy and symfc find of a crystal, found once: the tests have few crystals and ask many times.

A process asks spglib and phonopy once for each crystal. Basis sets of symfc, which take seconds, are kept in a folder
for the processes that come later.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

KEPT = ('p2s_map', 'compact_compression_matrix', 'basis_set')
"""What force constants are made of."""


def install() -> None:
    """Let this process ask spglib and phonopy once for each crystal."""
    import spglib
    from phonopy.structure.symmetry import Symmetry

    spglib.get_symmetry_dataset = _once(spglib.get_symmetry_dataset)
    Symmetry.__init__ = _with_what_is_known(Symmetry.__init__)


def _once(original: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[Any, Any] = {}

    @wraps(original)
    def get_symmetry_dataset(cell: Any, *args: Any, **kwargs: Any) -> Any:
        key = (*(np.asarray(part, dtype=float).tobytes() for part in cell), args, *sorted(kwargs.items()))
        if key not in known:
            known[key] = original(cell, *args, **kwargs)
        return known[key]

    return get_symmetry_dataset


def _with_what_is_known(original: Callable[..., None]) -> Callable[..., None]:
    known: dict[Any, dict[str, Any]] = {}

    @wraps(original)
    def __init__(self: Any, cell: Any, *args: Any, **kwargs: Any) -> None:
        # Arrays, of atoms that are not a symmetry of the cell, are compared by what they hold.
        settings = [value.tobytes() if isinstance(value, np.ndarray) else value for value in (*args, *kwargs.values())]
        arrays = (cell.cell, cell.scaled_positions, cell.magnetic_moments)
        content = (tuple(None if array is None else array.tobytes() for array in arrays), tuple(cell.symbols))
        key = (*content, *kwargs, *settings)
        if key not in known:
            original(self, cell, *args, **kwargs)
            known[key] = {name: value for name, value in vars(self).items() if value is not cell}
        vars(self).update({**known[key], '_cell': cell})

    return __init__


def keep_basis_sets(folder: Path) -> None:
    """Let this process, and what it forks, take basis sets of symfc from `folder` where they have been found before."""
    from symfc import basis_sets

    for name in ('FCBasisSetO2', 'FCBasisSetO3'):
        setattr(basis_sets, name, _kept(getattr(basis_sets, name), folder))


def _kept(original: type, folder: Path) -> type:
    class Kept:
        def __init__(self, cell: Any, spacegroup_operations: Any, cutoff: float) -> None:
            self._cell, self._operations, self._cutoff = cell, spacegroup_operations, cutoff

        def run(self) -> Kept:
            arrays = (self._cell.cell, self._cell.scaled_positions, self._cell.numbers, *self._operations.values())
            content = repr((original.__name__, self._cutoff, [array.tobytes() for array in arrays]))
            path = folder / hashlib.sha256(content.encode()).hexdigest()
            if not path.exists():
                found = original(self._cell, self._cutoff, self._operations).run()
                own = path.with_name(f'{path.name}.{os.getpid()}')
                own.write_bytes(pickle.dumps([getattr(found, name) for name in KEPT]))
                own.rename(path)
            for name, value in zip(KEPT, pickle.loads(path.read_bytes()), strict=True):
                setattr(self, name, value)
            return self

    return Kept
