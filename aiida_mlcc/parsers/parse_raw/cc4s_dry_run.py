"""What a dry run of Cc4s counts, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import yaml

from aiida_mlcc.calculations.cc4s_input import Dimensions
from aiida_mlcc.parsers.parse_raw.cc4s import parse_stdout

_SECONDS_PER_HOUR = 3600.0
_COMPLEX_FACTOR = 4
"""A complex multiplication and addition are eight operations, real ones two. Cc4s counts so in CCSD, but it counts (T)
as if it were real."""
_TRIPLES = ('PerturbativeTriples', 'PerturbativeTriplesReference')
_COUNTED_AS_REAL = 'PerturbativeTriples'
_BYTES = 8
_SETS_OF_AMPLITUDES = 2
"""The last one, until the next one is written."""


class Forecast(TypedDict):
    """What a calculation will cost, see :func:`forecast_of`."""

    n_occupied: int
    n_virtual: int
    n_fields: int
    real: bool
    core_hours: dict[str, float]
    operations: dict[str, float]
    memory_gb: float
    memory_gb_per_rank: float
    disk_gb: float
    ranks: int
    gflops_per_core: float


def forecast_of(
    output_text: str, stdout_text: str, dimensions: Dimensions, ranks: int, gflops_per_core: float
) -> Forecast:
    """Return what a calculation will cost, from the two files of its dry run.

    :returns: ``core_hours`` of CCSD and, where it was asked for, of CCSD(T); ``operations`` of each step; ``memory_gb``
        and ``memory_gb_per_rank`` (1024³ bytes); ``disk_gb`` of amplitudes while a new set is written; ``ranks``,
        ``gflops_per_core`` and the dimensions.
    :raises ValueError: where the files hold no estimate.
    """
    operations = _operations(output_text)
    estimates = parse_stdout(stdout_text)['estimates']
    if not operations or 'memory_gb' not in estimates:
        raise ValueError('the dry run of Cc4s ended without an estimate: is the code Cc4s?')
    if not dimensions.real and _COUNTED_AS_REAL in operations:
        operations[_COUNTED_AS_REAL] *= _COMPLEX_FACTOR
    before_triples = sum(count for name, count in operations.items() if name not in _TRIPLES)
    per_hour = gflops_per_core * 1e9 * _SECONDS_PER_HOUR
    amplitudes = amplitudes_bytes(dimensions.n_occupied, dimensions.n_virtual, dimensions.real)
    core_hours = {'CCSD': before_triples / per_hour}
    if any(name in operations for name in _TRIPLES):
        core_hours['CCSD(T)'] = sum(operations.values()) / per_hour
    return {
        'core_hours': core_hours,
        'operations': operations,
        'memory_gb': estimates['memory_gb'],
        'memory_gb_per_rank': estimates['memory_gb_per_rank'],
        'disk_gb': _SETS_OF_AMPLITUDES * amplitudes / 1024**3,
        'ranks': ranks,
        'gflops_per_core': gflops_per_core,
        'n_occupied': dimensions.n_occupied,
        'n_virtual': dimensions.n_virtual,
        'n_fields': dimensions.n_fields,
        'real': dimensions.real,
    }


def amplitudes_bytes(n_occupied: int, n_virtual: int, real: bool) -> int:
    """Return the size of the single and double amplitudes."""
    pairs = n_occupied * n_virtual
    return _BYTES * (1 if real else 2) * (pairs + pairs**2)


def _operations(text: str) -> dict[str, float]:
    """Return step → floating-point operations, steps of the same name together."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return {}
    steps = content.get('steps') if isinstance(content, Mapping) else None
    counted: dict[str, float] = {}
    for step in (steps or {}).values():
        count = float(step['statistics']['floatingPointOperations'])
        counted[step['name']] = counted.get(step['name'], 0.0) + count
    return counted
