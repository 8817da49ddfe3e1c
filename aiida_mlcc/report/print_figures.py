"""Figures for print in the layout of the article (arXiv:2507.06929): each kind on its own, as PDF and SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm
from ase.cell import Cell

from aiida_mlcc.report.arrays import Curves, Dispersion
from aiida_mlcc.report.curve_table import Findings, Printed, in_place
from aiida_mlcc.report.figures import (
    COLOURS,
    NothingToPlot,
    colour_of,
    draw_path,
    figure_of,
    line_style,
    save,
    shade_style,
)
from aiida_mlcc.report.page_tables import error_rows
from aiida_mlcc.report.references import Residual

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = ('pdf', 'svg')
_UNIT = 'cm$^{-1}$'
_WIDTH = 6.8


def write_figures(found: Findings, folder: Path) -> list[Path]:
    """Write every figure there is something to draw in; return the files."""
    errors = Printed('errors', errors_figure(error_rows(found.results)), 50)
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
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    if not curves.dispersion:
        return None
    n_columns = min(2, len(curves.dispersion))
    n_rows = -(-len(curves.dispersion) // n_columns)
    figure = Figure(figsize=(_WIDTH, 2.6 * n_rows), layout='constrained')
    axes = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False).ravel()
    dashes: tuple[Any, ...] = ('-', '--', ':', '-.', (0, (5, 1, 1, 1, 1, 1)))
    names = list(dict.fromkeys(name for curve in curves.dispersion.values() for name in curve.members))
    styles = {name: dashes[number % len(dashes)] for number, name in enumerate(names)}
    for axis, (method, curve) in zip(axes, curves.dispersion.items(), strict=False):
        for name, values in curve.members.items():
            style: dict[str, Any] = {'color': colour_of(method), 'linestyle': styles[name], 'linewidth': 0.9}
            for part in curve.path.segments:
                axis.plot(curve.path.distances[part], values[part], **style)
        draw_path(axis, curve.path)
        axis.set_title(method, fontsize='medium')
    for axis in axes[len(curves.dispersion) :]:
        axis.set_visible(False)
    for axis in axes[::n_columns]:
        axis.set_ylabel(f'frequency ({_UNIT})')
    handles = [Line2D([], [], color='0.2', linestyle=styles[name], label=_plain(name)) for name in names]
    figure.legend(handles=handles, loc='outside lower center', ncols=min(5, len(names)), frameon=False)
    return figure


def spectra_figure(curves: Curves) -> Figure | None:
    """Draw the spectrum from dynamics over the harmonic density of states, a panel a method."""
    from matplotlib.figure import Figure

    if not curves.vdos:
        return None
    figure = Figure(figsize=(_WIDTH, 1.0 + 1.7 * len(curves.vdos)), layout='constrained')
    axes = figure.subplots(len(curves.vdos), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (method, curve) in zip(axes, curves.vdos.items(), strict=True):
        axis.fill_between(curve.frequencies, curve.low, curve.high, **shade_style(method))
        axis.plot(curve.frequencies, curve.mean, color=colour_of(method), label=f'{method}, dynamics')
        if (harmonic := curves.harmonic_of(method)) is not None:
            axis.plot(harmonic.frequencies, harmonic.mean, '--', color='0.25', linewidth=0.9, label='harmonic')
        _finish_density(axis)
    axes[-1].set_xlabel(f'frequency ({_UNIT})')
    return figure


def projected_figure(curves: Curves) -> Figure | None:
    """Draw the parts of the elements in the spectra, from dynamics where there is one; None with one element."""
    from matplotlib.figure import Figure

    chosen = curves.vdos or curves.dos
    elements = list(dict.fromkeys(symbol for curve in chosen.values() for symbol in curve.elements))
    if len(elements) < 2:
        return None
    figure = Figure(figsize=(_WIDTH, 1.0 + 1.7 * len(elements)), layout='constrained')
    axes = figure.subplots(len(elements), 1, sharex=True, squeeze=False)[:, 0]
    for axis, symbol in zip(axes, elements, strict=True):
        for method, curve in chosen.items():
            if symbol in curve.elements:
                axis.plot(curve.frequencies, curve.elements[symbol], **line_style(method), label=method)
        _finish_density(axis)
        axis.set_title(_plain(symbol), fontsize='medium', loc='left')
    axes[-1].set_xlabel(f'frequency ({_UNIT})')
    return figure


def errors_figure(errors: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Draw the errors of the energies, a group of bars a method and a bar a member."""
    from matplotlib.figure import Figure

    known = [row for row in errors if row['energy'] is not None]
    if not known:
        return None
    methods = list(dict.fromkeys(row['method'] for row in known))
    figure = Figure(figsize=(_WIDTH, 2.6), layout='constrained')
    axis = figure.subplots()
    for place, method in enumerate(methods):
        rows = [row for row in known if row['method'] == method]
        width = 0.8 / len(rows)
        at = place - 0.4 + width * (np.arange(len(rows)) + 0.5)
        axis.bar(at, [row['energy'] for row in rows], width=0.9 * width, color=colour_of(method))
    axis.set_xticks(range(len(methods)), methods)
    axis.set_ylabel('RMSE (meV/atom)')
    return figure


def brillouin_zone(curves: Curves) -> Figure | None:
    """Draw the Brillouin zone with the path of the dispersions."""
    from ase.dft.bz import bz_plot
    from matplotlib.figure import Figure

    curve = next(iter(curves.dispersion.values()), None)
    if curve is None:
        return None
    figure = Figure(figsize=(3.6, 3.6))
    axis: Any = figure.add_axes((0, 0, 1, 1), projection='3d', computed_zorder=False)
    cell = Cell(np.asarray(orm.load_node(curve.uuid).cell))
    bz_plot(cell, ax=axis, azim=np.pi / 9, elev=np.pi / 8, linewidth=0.8)
    axis.set_box_aspect((1, 1, 1), zoom=1.1)
    along = curve.qpoints @ np.asarray(cell.reciprocal())
    for part in curve.path.segments:
        axis.plot(*along[part].T, color=COLOURS['CCSD(T)'], linewidth=2.0)
    named = {label: along[point] for label, point in _named_points(curve).items()}
    centre = np.mean(list(named.values()), axis=0)
    for label, at in named.items():
        axis.scatter(*at, color=COLOURS['CCSD(T)'], s=14, depthshade=False)
        away = (at - centre) / max(np.linalg.norm(at - centre), 1e-9) * 0.13 * np.abs(along).max()
        axis.text(*(at + away), label, fontsize=12, ha='center', va='center')
    return figure


def _named_points(curve: Dispersion) -> dict[str, int]:
    from aiida_mlcc.report.text import PRETTY

    return {_plain(PRETTY.get(label, label.replace('_', ''))): index for index, label in reversed(curve.labels)}


def dispersion_of_all(process: orm.ProcessNode, references: Sequence[Residual]) -> Figure | None:
    """Draw all methods beside one another, and `references` as points in the dispersion."""
    try:
        figure = figure_of(process)
    except NothingToPlot:
        return None
    for point, distance in dict.fromkeys((entry.point, entry.distance) for entry in references):
        style: dict[str, Any] = {
            'fmt': 'D',
            'color': 'black',
            'markerfacecolor': 'white',
            'markersize': 4,
            'zorder': 5,
            'clip_on': False,
        }
        figure.axes[0].errorbar(distance, point.frequency_cm1, yerr=point.uncertainty_cm1, **style)
    return figure


def _finish_density(axis: Any) -> None:
    axis.set_ylabel(f'modes per {_UNIT}')
    axis.set_ylim(bottom=0.0)
    axis.legend(fontsize='small', frameon=False)


def _plain(text: str) -> str:
    """Keep matplotlib from reading mathematics into names."""
    return text.replace('$', r'\$')
