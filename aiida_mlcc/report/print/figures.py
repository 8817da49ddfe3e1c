"""Figures of a run: dispersion, density of states and spectrum of all methods, with the band over members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida import orm

from aiida_mlcc.report.data.arrays import Curves, Density, Dispersion, curves_of_run
from aiida_mlcc.report.publication.make_figures import COLOURS, colour_of, is_dashed, main_figure, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ('COLOURS', 'NothingToPlot', 'colour_of', 'figure_of', 'is_dashed', 'panels_of', 'save')


class NothingToPlot(ValueError):
    """A run without curves."""


def figure_of(process: orm.ProcessNode, title: str | None = None) -> Figure:
    """Draw what a master WorkChain found: dispersion, harmonic density of states, spectrum from dynamics.

    :raises NothingToPlot: where there is no curve of any kind.
    """
    figure = main_figure(*panels_of(curves_of_run(process)), title)
    if figure is None:
        raise NothingToPlot(f'{process.process_label}<{process.pk}> has no curve to draw')
    return figure


def panels_of(curves: Curves) -> tuple[dict[str, Dispersion], dict[str, dict[str, Density]]]:
    """Return what ``main_figure`` draws: the dispersion, and the densities of states by the names of their panels."""
    return dict(curves.dispersion), {'harmonic DOS': dict(curves.dos), 'VDOS from dynamics': dict(curves.vdos)}
