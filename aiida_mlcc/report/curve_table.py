"""The table of how curves are read and shown.

Each file of ``aiida_mlcc.report.curves`` is one entry, :data:`SHOWN`, for the curves that the file of the same name in
``aiida_mlcc.workflows.curves`` calculates. An imported archive is read without that file.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aiida import orm

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from aiida_mlcc.report.data.run import Findings
    from aiida_mlcc.report.page.tables import Table

LAST = 1000
"""The place of what does not mind its place: after all that has one."""

SHOWN = 'SHOWN'
"""The name that a file of the table gives its entry."""

Content = tuple[list[str], Iterable[Sequence[Any]]]
"""The header and the rows of a CSV file."""


@dataclass(frozen=True)
class Drawn:
    """A figure of the page.

    :param name: its id on the page.
    :param readout: q-points that the slider below it goes through; 0 without a slider.
    """

    name: str
    title: str
    figure: go.Figure
    caption: str
    readout: int = 0
    place: int = LAST


@dataclass(frozen=True)
class Placed:
    """A table of the page and its place."""

    table: Table | None
    place: int = LAST


@dataclass(frozen=True)
class Files:
    """CSV files of one kind, ``KIND_SLUG.csv``.

    :param contents: method → content. Frequencies are in cm⁻¹, distances in Å⁻¹ (with 2π), densities in modes per cm⁻¹
        of the primitive cell, lags in fs, temperatures in K; what else has a unit has it in the name of its column.
    :param outputs: the outputs of the run, ``OUTPUT__SLUG``, whose content it is.
    """

    kind: str
    contents: Mapping[str, Content]
    place: int = LAST
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Printed:
    """A figure for print, None where there is nothing to draw."""

    name: str
    figure: Figure | None
    place: int = LAST


def listed(names: Sequence[str]) -> str:
    """Write names as a person lists them."""
    return names[0] if len(names) == 1 else f'{", ".join(names[:-1])} and {names[-1]}'


def nothing(found: Any) -> list[Any]:  # noqa: ARG001
    """Show nothing of a kind."""
    return []


@dataclass(frozen=True)
class Shown:
    """An entry: how the curves of one calcfunction are read and shown.

    :param part: the part of the results where they stand: ``methods`` (of the harmonic crystal) or ``dynamics``.
    :param outputs: the outputs that are read.
    :param read: from output → node of one method, of those `outputs` that there are, to plain data; entries that name
        the same key are merged, in the order of their places.
    :param units: key of that data → its unit, or where the units stand.
    :param figures: and `tables`, of the page, `files` in CSV, `prints`: figures for print.
    :param missing: what the page says that a run lacks.
    """

    part: str
    outputs: tuple[str, ...]
    read: Callable[[Mapping[str, orm.Data]], Mapping[str, object]]
    units: Mapping[str, str]
    figures: Callable[[Findings], list[Drawn]] = nothing
    tables: Callable[[Findings], list[Placed]] = nothing
    files: Callable[[Findings], list[Files]] = nothing
    prints: Callable[[Findings], list[Printed]] = nothing
    missing: Callable[[Findings], list[str]] = nothing
    place: int = field(default=LAST)


@cache
def all_shown() -> dict[str, Shown]:
    """Return the whole table, name → entry, in the order of the places."""
    package = 'aiida_mlcc.report.curves'
    names = [file.name for file in pkgutil.iter_modules(import_module(package).__path__)]
    entries = {name: getattr(import_module(f'{package}.{name}'), SHOWN) for name in names}
    return dict(sorted(entries.items(), key=lambda named: named[1].place))


def in_place(kind: str, found: Findings, others: Iterable[Any] = ()) -> list[Any]:
    """Return what the entries show of a kind, and `others`, in the order of their places.

    :param kind: ``figures``, ``tables``, ``files`` or ``prints``.
    """
    items = [item for entry in all_shown().values() for item in getattr(entry, kind)(found)]
    return sorted([*items, *others], key=lambda item: item.place)
