"""What OUTCAR of VASP says and vasprun.xml does not: plane waves, electrons, cost, whether the job came to its end."""

from __future__ import annotations

import re
from typing import Any, TypedDict, cast

_PATTERNS = {
    'n_plane_waves': (re.compile(r'maximum number of plane-waves:\s*(\d+)'), int),
    'n_electrons': (re.compile(r'NELECT\s*=\s*([\d.]+)'), float),
    'n_bands': (re.compile(r'NBANDS\s*=\s*(\d+)'), int),
    'n_ranks': (re.compile(r'running(?: on)?\s+(\d+)\s+(?:total cores|mpi-ranks)'), int),
    'threads_per_rank': (re.compile(r'mpi-ranks,\s*with\s+(\d+)\s+threads'), int),
    'wall_seconds': (re.compile(r'Elapsed time \(sec\):\s*([\d.]+)'), float),
    'memory_kb': (re.compile(r'Maximum memory used \(kb\):\s*([\d.]+)'), float),
}
_HEAD = re.compile(r'^ *vasp\.\d[^\n]*\) +(complex|gamma-only)\s*$', re.MULTILINE)
_LOOPS = re.compile(r'^ *(LOOP\+?): +cpu time +[\d.]+: real time +([\d.]+)', re.MULTILINE)
"""Time of an electronic step, and of all those of an ionic step together."""
_END = 'General timing and accounting informations for this job'
_SECONDS_PER_HOUR = 3600


class Outcar(TypedDict):
    """What OUTCAR says, the last value of each quantity; None where it is not there."""

    n_plane_waves: int | None
    n_electrons: float | None
    n_bands: int | None
    n_ranks: int | None
    threads_per_rank: int | None
    wall_seconds: float | None
    memory_kb: float | None
    gamma_only: bool | None
    loop_seconds: float
    finished: bool


class OutcarCost(TypedDict):
    """What a job of VASP cost, None where it does not say; memory of one rank."""

    wall_seconds: float | None
    cores: int | None
    core_hours: float | None
    memory_mb: float | None


def parse_outcar(text: str) -> Outcar:
    """Return the last value of each quantity, None where it is not there, and `finished`.

    ``gamma_only`` tells whether the program is the one for real orbitals at Γ, as the head says. ``n_plane_waves`` is
    the number in the file: with that program twice as many, less one, are the orbitals. ``loop_seconds`` is the real
    time of the electronic and ionic steps that ended.
    """
    found = {name: _last(pattern, kind, text) for name, (pattern, kind) in _PATTERNS.items()}
    head = _HEAD.search(text)
    gamma_only = None if head is None else head[1] == 'gamma-only'
    said = {**found, 'gamma_only': gamma_only, 'loop_seconds': _loop_seconds(text), 'finished': _END in text}
    return cast(Outcar, said)


def cost(outcar: Outcar) -> OutcarCost:
    """Return what a job cost: `wall_seconds`, `cores`, `core_hours`, `memory_mb` (of one rank); None where unknown.

    Of a job that did not come to its end they are at least that: the time of the steps that ended.
    """
    ranks = outcar['n_ranks']
    wall = outcar['wall_seconds'] if outcar['wall_seconds'] is not None else outcar['loop_seconds'] or None
    cores = None if ranks is None else ranks * (outcar['threads_per_rank'] or 1)
    return {
        'wall_seconds': wall,
        'cores': cores,
        'core_hours': None if cores is None or wall is None else cores * wall / _SECONDS_PER_HOUR,
        'memory_mb': None if outcar['memory_kb'] is None else outcar['memory_kb'] / 1000,
    }


def _last(pattern: re.Pattern[str], kind: type, text: str) -> Any:
    found = pattern.findall(text)
    return kind(found[-1]) if found else None


def _loop_seconds(text: str) -> float:
    ended, electronic = 0.0, 0.0
    for kind, seconds in _LOOPS.findall(text):
        if kind == 'LOOP':
            electronic += float(seconds)
        else:
            # The whole ionic step, its electronic ones included.
            ended, electronic = ended + float(seconds), 0.0
    return ended + electronic
