"""Figures of a run: dispersion, density of states and spectrum of all methods, with the band over members."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from aiida import orm

from aiida_mlcc.report.publication.make_figures import COLOURS, Path1D, colour_of, is_dashed, lay_out, main_figure, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aiida_mlcc.report.data.arrays import Curves, Density, Dispersion

__all__ = ('COLOURS', 'NothingToPlot', 'Path1D', 'colour_of', 'figure_of', 'is_dashed', 'panels_of', 'path_of', 'save')


class NothingToPlot(ValueError):
    """A run without curves."""


def path_of(bands: orm.BandsData) -> Path1D:
    """Lay the q-points of `bands` out on one axis.

    Two neighbouring q-points that both carry a label and differ are the ends of two segments.
    """
    qpoints = np.asarray(bands.get_kpoints())
    reciprocal = 2 * np.pi * np.linalg.inv(np.asarray(bands.cell)).T
    steps = np.linalg.norm(np.diff(qpoints @ reciprocal, axis=0), axis=1)
    labels = dict(bands.labels or [])
    breaks = [i + 1 for i in range(len(steps)) if i in labels and i + 1 in labels]
    for start in breaks:
        steps[start - 1] = 0.0
    return lay_out(np.concatenate([[0.0], np.cumsum(steps)]), sorted(labels.items()), breaks)


def figure_of(process: orm.ProcessNode, title: str | None = None) -> Figure:
    """Draw what a master WorkChain found: dispersion, harmonic density of states, spectrum from dynamics.

    :raises NothingToPlot: where there is no curve of any kind.
    """
    from aiida_mlcc.report.data.arrays import curves_of_run

    figure = main_figure(*panels_of(curves_of_run(process)), title)
    if figure is None:
        raise NothingToPlot(f'{process.process_label}<{process.pk}> has no curve to draw')
    return figure


def panels_of(curves: Curves) -> tuple[dict[str, Dispersion], dict[str, dict[str, Density]]]:
    """Return what ``main_figure`` draws: the dispersion, and the densities of states by the names of their panels."""
    return dict(curves.dispersion), {'harmonic DOS': dict(curves.dos), 'VDOS from dynamics': dict(curves.vdos)}
