"""The reader of a run: results, page, figures for print, CSV files and bundle are all made of what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiida import orm

from aiida_mlcc.report.data.arrays import Curves, curves_from
from aiida_mlcc.report.data.outputs import read_outputs
from aiida_mlcc.report.data.records import Results
from aiida_mlcc.report.data.references import (
    References,
    Residual,
    minimal_bases,
    residuals,
    shipped_references,
)
from aiida_mlcc.report.data.results import results_from


@dataclass(frozen=True)
class Findings:
    """What a run found.

    :param curves: its curves as arrays.
    :param results: the same and all else as plain data, which ``results --json`` prints.
    :param residuals: the comparison with references.
    """

    process: orm.ProcessNode
    curves: Curves
    results: Results
    residuals: Sequence[Residual] = ()


def read_run(process: orm.ProcessNode, references: Sequence[References] = ()) -> Findings:
    """Return what a master WorkChain found, compared with references where they say anything of its crystal.

    Those that come with the package are left out where the labels have a minimal basis. The residuals have the sd of
    the error budgets where there are any.

    :param references: a person's own, beside those that come with the package for the crystal.
    """
    outputs = read_outputs(process)
    curves, results = curves_from(outputs), results_from(outputs)
    shipped = None if minimal_bases(process) else shipped_references(outputs.crystal)
    known = [*([shipped] if shipped else []), *references]
    special = {method: entry['special_points_cm1'] for method, entry in results['methods'].items()}
    points = [point for each in known for point in each.points]
    return Findings(process, curves, results, residuals(curves.dispersion, points, special))
