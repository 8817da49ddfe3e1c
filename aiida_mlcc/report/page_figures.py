"""The interactive figures of the page, as plotly figures; what is switched on and off carries its role in `meta`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.report.curves import Curves, Density, Dispersion
from aiida_mlcc.report.figures import COLOURS, PRETTY, is_dashed
from aiida_mlcc.report.references import Residual

if TYPE_CHECKING:
    import plotly.graph_objects as go

_DIGITS = 4
_INK, _FAINT, _GRID = '#1b1f24', '#6a737d', '#e3e6ea'
_FONT = {'family': 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif', 'size': 13, 'color': _INK}
_CM1 = 'cm⁻¹'
_PER_CM1 = f'modes per {_CM1}'
_DASHES = ('dot', 'dashdot', 'longdash', 'longdashdot', 'dash')


def dispersion_figure(curves: Curves, references: Iterable[Residual] = ()) -> go.Figure:
    """Return the dispersions, with the densities of states beside them on the same axis of frequency."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=_layout(height=560))
    for curve in curves.dispersion.values():
        figure.add_traces(_branches(curve))
    figure.add_traces(_reference_points(references))
    for curve in curves.dos.values():
        figure.add_traces(_sideways(curve))
    split = 0.76 if curves.dos and curves.dispersion else 1.0 if curves.dispersion else 0.0
    figure.update_yaxes(title={'text': f'frequency ({_CM1})', 'standoff': 6}, zeroline=True, zerolinecolor='#9aa2ab')
    if curves.dispersion:
        path = next(iter(curves.dispersion.values())).path
        figure.update_layout(xaxis={**_wave_vector(path.ticks), 'domain': [0, max(split - 0.02, 0.1)]})
        figure.update_xaxes(range=[float(path.distances[0]), float(path.distances[-1])])
    if curves.dos:
        top = max(float(curve.high.max()) for curve in curves.dos.values())
        title = {'text': f'DOS<br>({_PER_CM1})', 'standoff': 6}
        axis = {'title': title, 'domain': [min(split + 0.02, 0.98) if split else 0, 1], 'nticks': 3}
        figure.update_layout(xaxis2={**_axis(), **axis, 'anchor': 'y', 'range': [0, 1.05 * top], 'showgrid': False})
    return figure


def spectrum_figure(curves: Curves) -> go.Figure:
    """Return the spectra from dynamics and, dashed, the harmonic densities of states of the same methods."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=_layout(height=420))
    for method, curve in curves.vdos.items():
        figure.add_traces(_upright(curve, 'dynamics'))
        if method in curves.dos:
            figure.add_traces(_upright(curves.dos[method], 'harmonic'))
    shown = [curves.dos[method] for method in curves.vdos if method in curves.dos] + list(curves.vdos.values())
    start = min(0.0, *(float(curve.frequencies[curve.mean > 0].min(initial=0.0)) for curve in shown))
    stop = max(float(curve.frequencies[curve.mean > 1e-3 * curve.mean.max()].max(initial=1.0)) for curve in shown)
    figure.update_layout(xaxis={**_axis(), 'title': {'text': f'frequency ({_CM1})'}, 'range': [start, 1.03 * stop]})
    figure.update_yaxes(title={'text': _PER_CM1, 'standoff': 6}, rangemode='tozero')
    return figure


def learning_figure(learning_curve: Mapping[str, Any]) -> go.Figure | None:
    """Return the largest sd over the labels spent, a line a q-point; None where no round says any."""
    import plotly.graph_objects as go

    rounds = [entry for entry in learning_curve.get('rounds', []) if entry.get('sd_cm1')]
    if not rounds:
        return None
    figure = go.Figure(layout=_layout(height=360))
    lines = dict.fromkeys((str(entry.get('method', '')), label) for entry in rounds for label in entry['sd_cm1'])
    for number, (method, label) in enumerate(lines):
        chosen = [entry for entry in rounds if entry.get('method', '') == method and label in entry['sd_cm1']]
        name = f'{method} {PRETTY.get(label, label)}'.strip()
        figure.add_scatter(
            x=[entry['n_labels'] for entry in chosen],
            y=[max(entry['sd_cm1'][label]) for entry in chosen],
            mode='lines+markers',
            name=escape(name),
            line={'color': _colour(method), 'width': 1.8, 'dash': ('solid', *_DASHES)[number % 6]},
            marker={'size': 8, 'symbol': number % 20},
            meta={'role': 'line', 'method': method},
            hovertemplate=f'<b>{escape(name)}</b><br>%{{x}} labels: sd %{{y:.2f}} {_CM1}<extra></extra>',
        )
    if (target := learning_curve.get('target_sd_cm1')) is not None:
        figure.add_hline(y=target, line={'color': _FAINT, 'dash': 'dash', 'width': 1}, annotation_text='target')
    figure.update_layout(showlegend=True, legend={'orientation': 'h', 'y': 1.02, 'yanchor': 'bottom', 'x': 0})
    figure.update_layout(xaxis={**_axis(), 'title': {'text': 'energies computed'}, 'rangemode': 'tozero'})
    figure.update_yaxes(title={'text': f'largest sd ({_CM1})'}, rangemode='tozero')
    return figure


def error_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure | None:
    """Return the errors of the energies per method and member (meV/atom); None where none is known."""
    import plotly.graph_objects as go

    known = [row for row in rows if row['energy'] is not None]
    if not known:
        return None
    figure = go.Figure(layout=_layout(height=320))
    symbols = {name: number for number, name in enumerate(dict.fromkeys(row['member'] for row in known))}
    for row in known:
        name = escape(f'{row["method"]} {row["member"]}')
        figure.add_scatter(
            x=[row['method']],
            y=[row['energy']],
            mode='markers',
            name=name,
            marker={
                'color': _colour(row['method']),
                'size': 11,
                'symbol': symbols[row['member']] % 20,
                'line': {'color': '#fff', 'width': 1},
            },
            meta={'role': 'line', 'method': row['method']},
            hovertemplate=f'<b>{name}</b><br>%{{y:.3f}} meV/atom, {row["kind"]}<extra></extra>',
        )
    order = list(dict.fromkeys(row['method'] for row in known))
    axis = {**_axis(), 'categoryorder': 'array', 'categoryarray': order, 'title': {'text': 'method'}}
    figure.update_layout(xaxis=axis)
    figure.update_yaxes(title={'text': 'RMSE (meV/atom)'}, rangemode='tozero')
    return figure


def readout_data(curves: Curves) -> dict[str, Any]:
    """Return what the slider under the dispersion reads out: each q-point, and every method's branches there."""
    if not curves.dispersion:
        return {}
    first = next(iter(curves.dispersion.values()))
    same = {m: c for m, c in curves.dispersion.items() if np.allclose(c.qpoints.shape, first.qpoints.shape)}
    return {
        'distances': _round(first.path.distances),
        'qpoints': _round(first.qpoints),
        'labels': {index: PRETTY.get(label, label) for index, label in first.labels},
        'methods': {
            method: {'mean': _round(curve.mean, 2), 'sd': _round(curve.sd, 2) if len(curve.members) > 1 else None}
            for method, curve in same.items()
        },
    }


def _branches(curve: Dispersion) -> list[Any]:
    """Return one trace each for mean, range, sd and every member; the branches are one line with gaps."""
    import plotly.graph_objects as go

    n_modes = curve.mean.shape[1]
    parts = [(part, mode) for mode in range(n_modes) for part in curve.path.segments]
    x = _joined(curve.path.distances[part] for part, _ in parts)
    told = []
    for part, mode in parts:
        for index in range(*part.indices(len(curve.qpoints))):
            q = ' '.join(f'{component:.3f}' for component in curve.qpoints[index] + 0.0)
            ends = [round(float(array[index, mode]), 2) for array in (curve.sd, curve.low, curve.high)]
            told.append([mode + 1, q, *ends])
        told.append([None] * 5)
    colour, name = _colour(curve.method), escape(curve.method)
    traces = []
    for role, low, high in (
        ('range', curve.low, curve.high),
        ('sd', curve.mean - curve.sd, curve.mean + curve.sd),
    ):
        shade = _ribbons([(curve.path.distances[part], low[part, mode], high[part, mode]) for part, mode in parts])
        traces.append(_shade(shade, colour, curve.method, role))
    line = {'color': colour, 'width': 1.6, 'dash': 'dash' if is_dashed(curve.method) else 'solid'}
    several = 'sd %{customdata[2]:.1f}<br>members %{customdata[3]:.1f} to %{customdata[4]:.1f}'
    hover = (
        f'<b>{name}</b>, branch %{{customdata[0]}}<br>q = (%{{customdata[1]}})<br>%{{y:.1f}} {_CM1}, '
        f'{several if len(curve.members) > 1 else "one member"}<extra></extra>'
    )
    mean = _joined(curve.mean[part, mode] for part, mode in parts)
    meta = {'role': 'line', 'method': curve.method}
    traces.append(
        go.Scatter(x=x, y=mean, mode='lines', name=name, line=line, customdata=told, hovertemplate=hover, meta=meta)
    )
    for number, (member, values) in enumerate(curve.members.items()):
        y = _joined(values[part, mode] for part, mode in parts)
        traces.append(_member(x, y, curve.method, member, number))
    return traces


def _sideways(curve: Density) -> list[Any]:
    import plotly.graph_objects as go

    colour, frequencies = _colour(curve.method), _round(curve.frequencies)
    traces = []
    for role, low, high in (('range', curve.low, curve.high), ('sd', curve.mean - curve.sd, curve.mean + curve.sd)):
        shade = {'x': _round([*low, *high[::-1]], 6), 'y': [*frequencies, *frequencies[::-1]]}
        traces.append(_shade(shade, colour, curve.method, role, xaxis='x2'))
    hover = f'<b>{escape(curve.method)}</b> DOS<br>%{{y:.0f}} {_CM1}: %{{x:.4f}} {_PER_CM1}<extra></extra>'
    line = {'color': colour, 'width': 1.4, 'dash': 'dash' if is_dashed(curve.method) else 'solid'}
    common = {'y': frequencies, 'xaxis': 'x2', 'mode': 'lines', 'name': escape(curve.method)}
    meta = {'role': 'line', 'method': curve.method}
    traces.append(go.Scatter(x=_round(curve.mean, 6), line=line, hovertemplate=hover, meta=meta, **common))
    for number, (member, values) in enumerate(curve.members.items()):
        traces.append(_member(_round(values, 6), frequencies, curve.method, member, number, xaxis='x2'))
    return traces


def _upright(curve: Density, kind: str) -> list[Any]:
    import plotly.graph_objects as go

    colour, frequencies = _colour(curve.method), _round(curve.frequencies)
    harmonic = kind == 'harmonic'
    traces = []
    if not harmonic:
        for role, low, high in (('range', curve.low, curve.high), ('sd', curve.mean - curve.sd, curve.mean + curve.sd)):
            shade = {'x': [*frequencies, *frequencies[::-1]], 'y': _round([*low, *high[::-1]], 6)}
            traces.append(_shade(shade, colour, curve.method, role))
        for number, (name, values) in enumerate(curve.members.items()):
            traces.append(_member(frequencies, _round(values, 6), curve.method, name, number))
    name = escape(f'{curve.method}, {kind}')
    hover = f'<b>{name}</b><br>%{{x:.0f}} {_CM1}: %{{y:.4f}} {_PER_CM1}<extra></extra>'
    line = {'color': colour, 'width': 1.2 if harmonic else 2.0, 'dash': 'dash' if harmonic else 'solid'}
    meta = {'role': 'line', 'method': curve.method}
    traces.append(
        go.Scatter(x=frequencies, y=_round(curve.mean, 6), mode='lines', name=name, line=line, meta=meta).update(
            hovertemplate=hover
        )
    )
    for number, (element, values) in enumerate(curve.elements.items()):
        if harmonic or len(curve.elements) < 2:
            continue
        label = escape(f'{curve.method}, {element} in dynamics')
        traces.append(
            go.Scatter(
                x=frequencies,
                y=_round(values, 6),
                mode='lines',
                name=label,
                line={'color': colour, 'width': 1.4, 'dash': _DASHES[number % len(_DASHES)]},
                visible=False,
                meta={'role': 'element', 'method': curve.method},
                hovertemplate=f'<b>{label}</b><br>%{{x:.0f}} {_CM1}: %{{y:.4f}} {_PER_CM1}<extra></extra>',
            )
        )
    return traces


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
            error_y={'array': [entry.point.uncertainty_cm1 or 0.0 for entry in entries], 'color': _INK, 'width': 3},
            mode='markers',
            name='references',
            cliponaxis=False,
            marker={'symbol': 'diamond', 'size': 9, 'color': '#fff', 'line': {'color': _INK, 'width': 1.6}},
            customdata=told,
            meta={'role': 'reference', 'method': ''},
            hovertemplate=(
                f'<b>%{{customdata[0]}}</b>, modes %{{customdata[2]}}<br>%{{y:.1f}} {_CM1}<br>'
                '%{customdata[1]}<extra></extra>'
            ),
        )
    ]


def _shade(shade: Mapping[str, Any], colour: str, method: str, role: str, **axes: str) -> Any:
    import plotly.graph_objects as go

    return go.Scatter(
        **shade,
        **axes,
        mode='lines',
        line={'width': 0, 'color': colour},
        fill='toself',
        fillcolor=_transparent(colour, 0.22),
        hoverinfo='skip',
        showlegend=False,
        visible=role == 'range',
        name=escape(f'{method} {role}'),
        meta={'role': role, 'method': method},
    )


def _member(x: Any, y: Any, method: str, member: str, number: int, **axes: str) -> Any:
    import plotly.graph_objects as go

    name = escape(f'{method} {member}')
    return go.Scatter(
        x=x,
        y=y,
        **axes,
        mode='lines',
        name=name,
        line={'color': _colour(method), 'width': 0.9, 'dash': _DASHES[number % len(_DASHES)]},
        visible=False,
        meta={'role': 'member', 'method': method},
        hovertemplate=f'<b>{name}</b><extra></extra>',
    )


def _ribbons(parts: Sequence[tuple[NDArray[np.float64], ...]]) -> dict[str, list[float | None]]:
    """Return closed outlines with gaps between them, which `fill: toself` fills one by one."""
    x = _joined(np.concatenate([at, at[::-1]]) for at, _, _ in parts)
    return {'x': x, 'y': _joined(np.concatenate([low, high[::-1]]) for _, low, high in parts)}


def _joined(parts: Iterable[NDArray[np.float64]]) -> list[float | None]:
    joined: list[float | None] = []
    for part in parts:
        joined += [*_round(part), None]
    return joined


def _round(values: Any, digits: int = _DIGITS) -> list[Any]:
    rounded = np.round(np.asarray(values, dtype=float), digits)
    # JSON has no NaN; a gap is drawn where there is no number.
    return np.where(np.isfinite(rounded), rounded, None).tolist()


def _colour(method: str) -> str:
    return COLOURS.get(method, _FAINT)


def _transparent(colour: str, alpha: float) -> str:
    return f'rgba({", ".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))}, {alpha})'


def _wave_vector(ticks: Sequence[tuple[float, str]]) -> dict[str, Any]:
    axis = {'tickvals': [at for at, _ in ticks], 'ticktext': [escape(label) for _, label in ticks]}
    return {**_axis(), **axis, 'title': {'text': 'wave vector', 'standoff': 6}, 'gridcolor': '#c9ced4'}


def _axis() -> dict[str, Any]:
    return {'showline': True, 'mirror': 'all', 'linecolor': '#4a5159', 'linewidth': 1, 'ticks': '', 'gridcolor': _GRID}


def _layout(height: int) -> dict[str, Any]:
    return {
        'height': height,
        'font': _FONT,
        'paper_bgcolor': 'rgba(0,0,0,0)',
        'plot_bgcolor': '#fff',
        'margin': {'l': 64, 'r': 14, 't': 14, 'b': 52},
        'showlegend': False,
        'hovermode': 'closest',
        'hoverlabel': {'bgcolor': '#fff', 'bordercolor': _FAINT, 'font': {'size': 13, 'color': _INK}, 'align': 'left'},
        'yaxis': _axis(),
        'modebar': {'bgcolor': 'rgba(0,0,0,0)', 'color': '#9aa2ab', 'activecolor': _INK},
        'template': None,
    }
