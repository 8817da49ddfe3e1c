"""The error budget of the frequencies, at the special points and along the path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_mlcc.report.curve_table import Findings, Shown
from aiida_mlcc.report.page_tables import budget_tables

_BUDGET = ('sd', 'contributions', 'commensurate')


def read(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the budget says at the special points.

    ``special_points_cm1`` → LABEL → ``sd``, the ``contributions`` to it (None where one was not estimated), and
    ``commensurate``, whether the wave vector is, with the training cell (None where it is not known).
    """
    if (node := nodes.get('error_budget')) is None:
        return {}
    points = {label: {key: entry[key] for key in _BUDGET} for label, entry in node.get_dict().items()}
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
