"""What OUTCAR of VASP says and vasprun.xml does not: plane waves, electrons, cost, whether the job came to its end."""

from __future__ import annotations

import re
from typing import Any

_PATTERNS = {
    'n_plane_waves': (re.compile(r'maximum number of plane-waves:\s*(\d+)'), int),
    'n_electrons': (re.compile(r'NELECT\s*=\s*([\d.]+)'), float),
    'n_bands': (re.compile(r'NBANDS\s*=\s*(\d+)'), int),
    'n_ranks': (re.compile(r'running(?: on)?\s+(\d+)\s+(?:total cores|mpi-ranks)'), int),
    'threads_per_rank': (re.compile(r'mpi-ranks,\s*with\s+(\d+)\s+threads'), int),
    'wall_seconds': (re.compile(r'Elapsed time \(sec\):\s*([\d.]+)'), float),
    'memory_kb': (re.compile(r'Maximum memory used \(kb\):\s*([\d.]+)'), float),
}
_END = 'General timing and accounting informations for this job'
_SECONDS_PER_HOUR = 3600


def parse_outcar(text: str) -> dict[str, Any]:
    """Return the last value of each quantity, None where it is not there, and `finished`.

    ``n_plane_waves`` is the number in the file: with the gamma-only program twice that, less one, are the orbitals.
    """
    found: dict[str, Any] = {name: _last(pattern, kind, text) for name, (pattern, kind) in _PATTERNS.items()}
    return {**found, 'finished': _END in text}


def cost(outcar: dict[str, Any]) -> dict[str, float | int | None]:
    """Return what a job cost: `wall_seconds`, `cores`, `core_hours`, `memory_mb` (of one rank); None where unknown."""
    ranks, wall = outcar['n_ranks'], outcar['wall_seconds']
    cores = None if ranks is None else ranks * (outcar['threads_per_rank'] or 1)
    known = cores is not None and wall is not None
    return {
        'wall_seconds': wall,
        'cores': cores,
        'core_hours': cores * wall / _SECONDS_PER_HOUR if known else None,
        'memory_mb': None if outcar['memory_kb'] is None else outcar['memory_kb'] / 1000,
    }


def _last(pattern: re.Pattern[str], kind: type, text: str) -> Any:
    found = pattern.findall(text)
    return kind(found[-1]) if found else None
