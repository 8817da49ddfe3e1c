"""The interactive figures of the page, as plotly figures: dispersion, errors, learning curve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from aiida_mlcc.report.data.arrays import ERROR_BUDGET, Curves
from aiida_mlcc.report.data.records import LearningCurve
from aiida_mlcc.report.data.references import Residual
from aiida_mlcc.report.page.tables import ErrorRow
from aiida_mlcc.report.page.traces import (
    CM1,
    DASHES,
    FAINT,
    INK,
    PER_CM1,
    branches,
    curve_traces,
    dotted,
    framed,
    layout,
    rounded,
    wave_vector,
)
from aiida_mlcc.report.print.figures import colour_of
from aiida_mlcc.report.text import PRETTY

if TYPE_CHECKING:
    import plotly.graph_objects as go


def dispersion_figure(curves: Curves, references: Iterable[Residual] = ()) -> go.Figure:
    """Return the dispersions, with the densities of states beside them on the same axis of frequency."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=layout(height=560, y=1, x2=-1))
    for curve in curves.dispersion.values():
        figure.add_traces(branches(curve, f' {CM1}', 1, full=curve.sd_of == ERROR_BUDGET))
        if curve.undetermined is not None:
            figure.add_trace(dotted(curve, curve.undetermined))
    figure.add_traces(_reference_points(references))
    for density in curves.dos.values():
        told = f'%{{y:.0f}} {CM1}: %{{x:.4f}} {PER_CM1}'
        figure.add_traces(curve_traces(density, f'{density.method}, DOS', told, width=1.4, sideways=True, xaxis='x2'))
    split = 0.76 if curves.dos and curves.dispersion else 1.0 if curves.dispersion else 0.0
    figure.update_yaxes(title={'text': f'frequency ({CM1})', 'standoff': 6}, zeroline=True, zerolinecolor='#9aa2ab')
    if curves.dispersion:
        path = next(iter(curves.dispersion.values())).path
        figure.update_layout(xaxis={**wave_vector(path.ticks), 'domain': [0, max(split - 0.02, 0.1)]})
        figure.update_xaxes(range=[float(path.distances[0]), float(path.distances[-1])])
    if curves.dos:
        top = max(float(curve.high.max()) for curve in curves.dos.values())
        title = {'text': f'DOS<br>({PER_CM1})', 'standoff': 6}
        axis = {'title': title, 'domain': [min(split + 0.02, 0.98) if split else 0, 1], 'nticks': 3}
        figure.update_layout(xaxis2={**framed(), **axis, 'anchor': 'y', 'range': [0, 1.05 * top], 'showgrid': False})
    return figure


def learning_figure(learning_curve: LearningCurve) -> go.Figure | None:
    """Return the largest sd over the labels spent, a line a q-point; None where no round says any."""
    import plotly.graph_objects as go

    rounds = [(entry, sd) for entry in learning_curve.get('rounds', []) if (sd := entry.get('sd_cm1'))]
    if not rounds:
        return None
    figure = go.Figure(layout=layout(height=360))
    lines = dict.fromkeys((str(entry.get('method', '')), label) for entry, sd in rounds for label in sd)
    for number, (method, label) in enumerate(lines):
        chosen = [(entry, sd[label]) for entry, sd in rounds if entry.get('method', '') == method and label in sd]
        name = f'{method} {PRETTY.get(label, label)}'.strip()
        figure.add_scatter(
            x=[entry['n_labels'] for entry, _ in chosen],
            y=[max(sd) for _, sd in chosen],
            mode='lines+markers',
            name=escape(name),
            line={'color': colour_of(method), 'width': 1.8, 'dash': ('solid', *DASHES)[number % 6]},
            marker={'size': 8, 'symbol': number % 20},
            meta={'role': 'line', 'method': method},
            hovertemplate=f'<b>{escape(name)}</b><br>%{{x}} labels: sd %{{y:.2f}} {CM1}<extra></extra>',
        )
    if (target := learning_curve.get('target_sd_cm1')) is not None:
        figure.add_hline(y=target, line={'color': FAINT, 'dash': 'dash', 'width': 1}, annotation_text='target')
    figure.update_layout(showlegend=True, legend={'orientation': 'h', 'y': 1.02, 'yanchor': 'bottom', 'x': 0})
    figure.update_layout(xaxis={**framed(), 'title': {'text': 'energies computed'}, 'rangemode': 'tozero'})
    figure.update_yaxes(title={'text': f'largest sd ({CM1})'}, rangemode='tozero')
    return figure


def error_figure(rows: Sequence[ErrorRow]) -> go.Figure | None:
    """Return the errors of the energies per method and member (meV/atom); None where none is known."""
    import plotly.graph_objects as go

    known = [row for row in rows if row.energy is not None]
    if not known:
        return None
    figure = go.Figure(layout=layout(height=320))
    symbols = {name: number for number, name in enumerate(dict.fromkeys(row.member for row in known))}
    for row in known:
        name = escape(f'{row.method} {row.member}')
        figure.add_scatter(
            x=[row.method],
            y=[row.energy],
            mode='markers',
            name=name,
            marker={
                'color': colour_of(row.method),
                'size': 11,
                'symbol': symbols[row.member] % 20,
                'line': {'color': '#fff', 'width': 1},
            },
            meta={'role': 'line', 'method': row.method},
            hovertemplate=f'<b>{name}</b><br>%{{y:.3f}} meV/atom, {row.kind}<extra></extra>',
        )
    order = list(dict.fromkeys(row.method for row in known))
    axis = {**framed(), 'categoryorder': 'array', 'categoryarray': order, 'title': {'text': 'method'}}
    figure.update_layout(xaxis=axis)
    figure.update_yaxes(title={'text': 'RMSE (meV/atom)'}, rangemode='tozero')
    return figure


class ReadOut(TypedDict):
    """The branches of a method, cm⁻¹, and what their sd is the standard deviation of."""

    mean: list[Any]
    sd: list[Any] | None
    sd_of: str


class PathReadOut(TypedDict, total=False):
    """What the slider under the dispersion reads: the q-points of its path, and every method's branches there."""

    distances: list[Any]
    qpoints: list[Any]
    labels: dict[int, str]
    methods: dict[str, ReadOut]


def readout_data(curves: Curves) -> PathReadOut:
    """Return what the slider under the dispersion reads out: each q-point, and every method's branches there."""
    if not curves.dispersion:
        return {}
    first = next(iter(curves.dispersion.values()))
    same = {m: c for m, c in curves.dispersion.items() if np.allclose(c.qpoints.shape, first.qpoints.shape)}
    return {
        'distances': rounded(first.path.distances),
        'qpoints': rounded(first.qpoints),
        'labels': {index: PRETTY.get(label, label) for index, label in first.labels},
        'methods': {
            method: {
                'mean': rounded(curve.mean, 2),
                'sd': rounded(curve.sd, 2) if len(curve.members) > 1 or curve.sd_of == ERROR_BUDGET else None,
                'sd_of': curve.sd_of,
            }
            for method, curve in same.items()
        },
    }


def _reference_points(found: Iterable[Residual]) -> list[Any]:
    import plotly.graph_objects as go

    # One residual a method, but each point is drawn once.
    points = {(entry.point, entry.distance): entry for entry in found}
    if not points:
        return []
    entries = list(points.values())
    told = [
        [escape(entry.point.kind), escape(entry.point.citation), ' '.join(map(str, entry.point.modes))]
        for entry in entries
    ]
    return [
        go.Scatter(
            x=[entry.distance for entry in entries],
            y=[entry.point.frequency_cm1 for entry in entries],
            error_y={'array': [entry.point.uncertainty_cm1 or 0.0 for entry in entries], 'color': INK, 'width': 3},
            mode='markers',
            name='references',
            cliponaxis=False,
            marker={'symbol': 'diamond', 'size': 9, 'color': '#fff', 'line': {'color': INK, 'width': 1.6}},
            customdata=told,
            meta={'role': 'reference', 'method': ''},
            hovertemplate=(
                f'<b>%{{customdata[0]}}</b>, modes %{{customdata[2]}}<br>%{{y:.1f}} {CM1}<br>'
                '%{customdata[1]}<extra></extra>'
            ),
        )
    ]
