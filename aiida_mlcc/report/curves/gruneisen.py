"""Grüneisen parameters along the path of the dispersion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from aiida import orm

from aiida_mlcc.report.csv_files import along_path
from aiida_mlcc.report.curve_table import Drawn, Files, Shown
from aiida_mlcc.report.data.arrays import Curves
from aiida_mlcc.report.data.outputs import by_method
from aiida_mlcc.report.data.records import HarmonicResults
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.traces import branches, layout, wave_vector

if TYPE_CHECKING:
    import plotly.graph_objects as go

_OUTER = 1.0
"""Per cent of the values at either end that may lie outside the figure: close to Γ some are beyond any scale."""

_CAPTION = (
    'How each frequency follows the volume, γ = −∂ln ω/∂ln V, along the path of the dispersion. Where a mode has no '
    'frequency there is a gap. Outliers, as close to Γ, may lie outside; the CSV file has them.'
)

_FOLLOWED = ' Lines follow the eigenvectors where bands cross.'


def read(nodes: Mapping[str, orm.Data]) -> HarmonicResults:
    """Return ``gruneisen``: mean and sd of γ at each point of the dispersion, None where a mode has no frequency."""
    if (node := nodes.get('gruneisen')) is None:
        return {}
    qpoints, mean, sd = (_with_none(node.get_array(name)) for name in ('qpoints', 'mean', 'sd'))
    return {'gruneisen': {'qpoints': qpoints, 'mean': mean, 'sd': sd}}


def gruneisen_figure(curves: Curves) -> go.Figure | None:
    """Return the Grüneisen parameters along the path; None where a run has none."""
    import plotly.graph_objects as go

    if not curves.gruneisen:
        return None
    figure = go.Figure(layout=layout(height=400))
    for curve in curves.gruneisen.values():
        figure.add_traces(branches(curve.along_lines, '', 2, numbers=curve.lines))
    path = next(iter(curves.gruneisen.values())).path
    figure.update_layout(xaxis=wave_vector(path.ticks))
    figure.update_xaxes(range=[float(path.distances[0]), float(path.distances[-1])])
    known = np.concatenate([curve.mean[np.isfinite(curve.mean)] for curve in curves.gruneisen.values()])
    title = {'title': {'text': 'Grüneisen parameter γ', 'standoff': 6}, 'zeroline': True, 'zerolinecolor': '#9aa2ab'}
    figure.update_yaxes(**title)
    if known.size:
        low, high = np.percentile(known, [_OUTER, 100 - _OUTER])
        room = 0.15 * max(high - low, 0.1)
        figure.update_yaxes(range=[float(low - room), float(high + room)])
    return figure


def _with_none(values: np.ndarray) -> list[list[float | None]]:
    return [[float(value) if np.isfinite(value) else None for value in row] for row in values]


def _figures(found: Findings) -> list[Drawn]:
    figure = gruneisen_figure(found.curves)
    followed = all(curve.lines is not None for curve in found.curves.gruneisen.values())
    caption = _CAPTION + (_FOLLOWED if followed else '')
    return [] if figure is None else [Drawn('gruneisen', 'Grüneisen parameters', figure, caption, place=60)]


def _files(found: Findings) -> list[Files]:
    contents = {method: along_path(curve) for method, curve in found.curves.gruneisen.items()}
    return [Files('gruneisen', contents, 20, ('gruneisen',))]


def _missing(found: Findings) -> list[str]:
    elsewhere = [method for method in by_method(found.process, 'gruneisen') if method not in found.curves.gruneisen]
    return [f'Grüneisen parameters of {method} on the path of its dispersion' for method in elsewhere]


SHOWN = Shown(
    part='methods',
    outputs=('gruneisen',),
    read=read,
    units={'gruneisen': 'without unit'},
    figures=_figures,
    files=_files,
    missing=_missing,
    place=5,
)
