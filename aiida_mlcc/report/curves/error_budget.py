"""The error budget of the frequencies, at the special points and along the path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from aiida import orm

from aiida_mlcc.report.curve_table import Shown
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.tables import budget_tables


class PointBudget(TypedDict):
    """The part of a special point that its error budget says."""

    sd: list[float]
    contributions: dict[str, list[float] | None]
    commensurate: bool | None


class BudgetResults(TypedDict, total=False):
    """Label of a special point → its budget."""

    special_points_cm1: dict[str, PointBudget]


def read(nodes: Mapping[str, orm.Data]) -> BudgetResults:
    """Return what the budget says at the special points.

    ``special_points_cm1`` → LABEL → ``sd``, the ``contributions`` to it (None where one was not estimated), and
    ``commensurate``, whether the wave vector is, with the training cell (None where it is not known).
    """
    if (node := nodes.get('error_budget')) is None:
        return {}
    points: dict[str, PointBudget] = {
        label: {
            'sd': entry['sd'],
            'contributions': entry['contributions'],
            'commensurate': entry['commensurate'],
        }
        for label, entry in node.get_dict().items()
    }
    return {'special_points_cm1': points}


def _missing(found: Findings) -> list[str]:
    return [] if budget_tables(found.results) else ['an error budget']


SHOWN = Shown(
    part='methods',
    outputs=('error_budget', 'band_errors'),
    read=read,
    units={'special_points_cm1': 'cm⁻¹'},
    missing=_missing,
    place=55,
)
