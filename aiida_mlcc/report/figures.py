"""Figures: dispersion, density of states and vibrational spectrum of all methods, with the band over members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_mlcc.report.outputs import by_method
from aiida_mlcc.report.text import PRETTY
from aiida_mlcc.science.methods import CONTROL, DFT, usual_kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    'LDA': '#000000',
    'PBE': '#000000',
    'LDA(E)': '#999999',
    'PBE(E)': '#999999',
    'HF': '#E69F00',
    'MP2': '#56B4E9',
    'RPA': '#F0E442',
    'CCSD': '#009E73',
    'CCSD(T)': '#D55E00',
    'AFQMC': '#CC79A7',
    'DMC': '#0072B2',
}
"""Okabe and Ito's palette, which the colour-blind tell apart; DFT, the base, is black, and
its control without forces grey."""

_FURTHER = ('#0072B2', '#CC79A7', '#7B6D00', '#882255', '#117733', '#6A3D9A')
_UNIT = 'cm$^{-1}$'


class NothingToPlot(ValueError):
    """A run without curves."""


@dataclass(frozen=True)
class Path1D:
    """A path through reciprocal space on one axis.

    :param distances: one a q-point, Å⁻¹ (with 2π), without the jumps between segments.
    :param segments: slices of consecutive q-points.
    :param ticks: positions on the axis and their labels; where two segments meet, both labels.
    """

    distances: NDArray[np.float64]
    segments: list[slice]
    ticks: list[tuple[float, str]]


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
    distances = np.concatenate([[0.0], np.cumsum(steps)])
    edges = [0, *breaks, len(qpoints)]
    ticks: list[tuple[float, str]] = []
    for index, label in sorted(labels.items()):
        pretty = PRETTY.get(label, label.replace('_', ''))
        at = float(distances[index])
        if ticks and abs(ticks[-1][0] - at) < 1e-9:
            before = ticks.pop()[1]
            pretty = pretty if before == pretty else f'{before}|{pretty}'
        ticks.append((at, pretty))
    return Path1D(distances, [slice(a, b) for a, b in pairwise(edges)], ticks)


def figure_of(process: orm.ProcessNode, title: str | None = None) -> Figure:
    """Draw what a master WorkChain found: dispersion, harmonic density of states, spectrum from dynamics.

    :raises NothingToPlot: where there is no curve of any kind.
    """
    from matplotlib.figure import Figure

    dispersion = by_method(process, 'dispersion')
    densities = {'harmonic DOS': by_method(process, 'dos'), 'VDOS from dynamics': by_method(process, 'vdos')}
    panels = {name: curves for name, curves in densities.items() if curves}
    n_panels = bool(dispersion) + len(panels)
    if not n_panels:
        raise NothingToPlot(f'{process.process_label}<{process.pk}> has no curve to draw')
    ratios = ([3.0] if dispersion else []) + [1.0] * len(panels)
    figure = Figure(figsize=(2.0 + 1.7 * sum(ratios), 5.0), layout='constrained')
    axes = list(figure.subplots(1, n_panels, sharey=True, squeeze=False, width_ratios=ratios)[0])
    axes[0].set_ylabel(f'frequency ({_UNIT})')
    if dispersion:
        _draw_dispersion(axes.pop(0), dispersion)
    for axis, (name, curves) in zip(axes, panels.items(), strict=True):
        _draw_density(axis, curves)
        axis.set_xlabel(f'{name}\n(modes per {_UNIT})')
    _legend(figure, [*dispersion, *(m for curves in panels.values() for m in curves)])
    if title:
        figure.suptitle(title)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of `path`."""
    figure.savefig(path, dpi=200)


def _draw_dispersion(axis: Axes, dispersion: Mapping[str, orm.BandsData]) -> None:
    for method, node in dispersion.items():
        path = path_of(node)
        mean = np.asarray(node.get_bands())
        low, high = node.get_array('min'), node.get_array('max')
        marked = node.get_array('lo_undetermined') if 'lo_undetermined' in node.get_arraynames() else None
        for part in path.segments:
            x = path.distances[part]
            axis.plot(x, mean[part], **line_style(method))
            if marked is not None:
                # White dots on the line: nothing determines it there.
                unknown = np.where(np.asarray(marked[part], dtype=bool), mean[part], np.nan)
                axis.plot(x, unknown, color='white', linestyle=':', linewidth=1.6, zorder=3)
            for band in range(mean.shape[1]):
                axis.fill_between(x, low[part, band], high[part, band], **shade_style(method))
    draw_path(axis, path)
    axis.set_xlabel('wave vector')


def draw_path(axis: Axes, path: Path1D) -> None:
    """Draw the special points of a path as lines across, and name them."""
    for at, _ in path.ticks:
        axis.axvline(at, color='0.8', linewidth=0.6, zorder=0)
    axis.axhline(0.0, color='0.5', linewidth=0.6, zorder=0)
    axis.set_xticks([at for at, _ in path.ticks], [label for _, label in path.ticks])
    axis.set_xlim(path.distances[0], path.distances[-1])


def _draw_density(axis: Axes, curves: Mapping[str, orm.XyData]) -> None:
    for method, node in curves.items():
        frequencies = node.get_x()[1]
        values = {name: array for name, array, _ in node.get_y()}
        axis.plot(values['mean'], frequencies, **line_style(method))
        axis.fill_betweenx(frequencies, values['min'], values['max'], **shade_style(method))
    axis.axhline(0.0, color='0.5', linewidth=0.6, zorder=0)
    axis.set_xlim(left=0.0)
    axis.locator_params(axis='x', nbins=3)


def is_dashed(method: str) -> bool:
    """Tell whether a method is drawn dashed: DFT, so that it is known without its colour."""
    return usual_kind(method) in (DFT, CONTROL)


def colour_of(method: str) -> str:
    """Return the colour of a method: that of the palette, or for other names one that the name alone decides."""
    if method in COLOURS:
        return COLOURS[method]
    return COLOURS['PBE(E)'] if usual_kind(method) == CONTROL else _FURTHER[sum(method.encode()) % len(_FURTHER)]


def line_style(method: str) -> dict[str, Any]:
    """Return how matplotlib draws the line of a method."""
    style = '--' if is_dashed(method) else '-'
    return {'color': colour_of(method), 'linestyle': style, 'linewidth': 1.2}


def shade_style(method: str) -> dict[str, Any]:
    """Return how matplotlib draws the range over the members of a method."""
    return {'color': colour_of(method), 'alpha': 0.25, 'linewidth': 0.0}


def _legend(figure: Figure, methods: list[str]) -> None:
    from matplotlib.lines import Line2D

    unique = list(dict.fromkeys(methods))
    handles = [Line2D([], [], **line_style(method), label=method) for method in unique]
    figure.legend(handles=handles, loc='outside lower center', ncols=len(unique), frameon=False)
