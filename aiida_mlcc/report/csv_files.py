"""Curves and tables as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.report.curve_table import Content
from aiida_mlcc.report.data.arrays import AlongPath, Curve, Density, over_temperature
from aiida_mlcc.report.data.records import Results
from aiida_mlcc.science.dynamics.vdos_of_runs import TrajectorySampling
from aiida_mlcc.science.dynamics.vdos_peaks import Peak


def along_path(curve: AlongPath) -> Content:
    """Return a row a point and branch; with an error budget `sd` is that, and `sd_members` the sd over the members."""
    header = ['distance', 'q1', 'q2', 'q3', 'label', 'branch', 'mean', 'min', 'max', 'sd', *map(safe, curve.members)]
    labels = dict(curve.labels)
    marked = getattr(curve, 'undetermined', None)
    if marked is not None:
        header.append('lo_undetermined')
    over_members = getattr(curve, 'sd_members', None)
    if over_members is not None:
        header.append('sd_members')
    rows = (
        [
            curve.path.distances[point],
            *curve.qpoints[point],
            safe(labels.get(point, '')),
            branch + 1,
            *(array[point, branch] for array in (curve.mean, curve.low, curve.high, curve.sd, *curve.members.values())),
            *([] if marked is None else [bool(marked[point, branch])]),
            *([] if over_members is None else [over_members[point, branch]]),
        ]
        for branch in range(curve.mean.shape[1])
        for point in range(len(curve.qpoints))
    )
    return header, rows


def over(curve: Curve, along: str, **more: Any) -> Content:
    """Return the table of a curve over `along`, with its spread, its elements and `more` columns."""
    named = {along: curve.x, **_spread(curve)}
    named |= {safe(f'element_{symbol}'): values for symbol, values in curve.elements.items()}
    named |= {safe(name): values for name, values in more.items()}
    return list(named), zip(*named.values(), strict=True)


def of_density(curve: Density) -> Content:
    """Return the table of a density of states over the frequency (cm⁻¹)."""
    return over(curve, 'frequency_cm1', **curve.more)


def of_temperature(results: Results, kind: str, name: str) -> dict[str, Content]:
    """Return method → temperatures with the spread of every quantity beside them."""
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for quantity, curves in over_temperature(results, kind).items():
        for method, curve in curves.items():
            named = found.setdefault(method, {'temperature_K': curve.x})
            named |= {safe(f'{name.format(quantity)}_{part}'): values for part, values in _spread(curve).items()}
    return {method: (list(named), zip(*named.values(), strict=True)) for method, named in found.items()}


class TrajectoryRow(TrajectorySampling):
    """How well a trajectory samples, with its name."""

    trajectory: str


def of_rows(rows: Sequence[Peak | TrajectoryRow]) -> Content:
    """Return a table whose rows name their cells; empty cells where something is not known."""
    return list(rows[0]), [['' if cell is None else _text(cell) for cell in row.values()] for row in rows]


def safe(text: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{text}" if str(text)[:1] in ('=', '+', '-', '@') else str(text)


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a table to `path` and return the path."""
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(header)
        writer.writerows([_number(value) for value in row] for row in rows)
    return path


def _text(cell: Any) -> Any:
    return safe(cell) if isinstance(cell, str) else cell


def _spread(curve: Curve) -> dict[str, NDArray[np.float64]]:
    named = {'mean': curve.mean, 'min': curve.low, 'max': curve.high, 'sd': curve.sd}
    return named | {safe(name): values for name, values in curve.members.items()}


def _number(value: Any) -> Any:
    """Write a number, an empty cell where there is none, and leave what is no number as it is."""
    if not isinstance(value, (float, np.floating)):
        return value
    return f'{value:.10g}' if np.isfinite(value) else ''
