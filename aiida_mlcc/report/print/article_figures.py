"""Figures of a run for print in the layout of the article (arXiv:2507.06929): each kind on its own, as PDF and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from aiida import orm

from aiida_mlcc.report.curve_table import Printed, in_place
from aiida_mlcc.report.data.arrays import Curves
from aiida_mlcc.report.data.references import Residual
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.tables import error_rows
from aiida_mlcc.report.print.figures import panels_of
from aiida_mlcc.report.publication import make_figures
from aiida_mlcc.report.publication.make_figures import ENDINGS, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_figures(found: Findings, folder: Path) -> list[Path]:
    """Write every figure there is something to draw in; return the files."""
    errors = Printed('errors', make_figures.errors_figure(error_rows(found.results)), 50)
    written = []
    for printed in in_place('prints', found, [errors]):
        if printed.figure is None:
            continue
        for ending in ENDINGS:
            written.append(folder / f'{printed.name}.{ending}')
            save(printed.figure, written[-1])
    return written


def members_figure(curves: Curves) -> Figure | None:
    """Draw each member on its own, a panel a method (as Figs. A3 and B6)."""
    return make_figures.members_figure(curves.dispersion)


def spectra_figure(curves: Curves) -> Figure | None:
    """Draw the spectrum from dynamics over the harmonic density of states, a panel a method."""
    return make_figures.spectra_figure(curves.vdos, {method: curves.harmonic_of(method) for method in curves.vdos})


def projected_figure(curves: Curves) -> Figure | None:
    """Draw the parts of the elements in the spectra, from dynamics where there is one; None with one element."""
    return make_figures.projected_figure(curves.vdos or curves.dos)


def brillouin_zone(curves: Curves) -> Figure | None:
    """Draw the Brillouin zone with the path of the dispersions."""
    curve = next(iter(curves.dispersion.values()), None)
    if curve is None:
        return None
    return make_figures.zone_figure(curve, np.asarray(orm.load_node(curve.uuid).cell))


def dispersion_of_all(curves: Curves, references: Sequence[Residual]) -> Figure | None:
    """Draw all methods beside one another, and `references` as points in the dispersion."""
    points = [(entry.distance, entry.point.frequency_cm1, entry.point.uncertainty_cm1) for entry in references]
    return make_figures.main_figure(*panels_of(curves), references=points)
