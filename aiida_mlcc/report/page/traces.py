"""What the figures of the page are drawn with: lines, bands over the members, axes; each trace has its role in `meta`.

The roles are ``line``, ``range`` and ``sd`` (one of these two bands is shown), ``member``, ``element``, ``mesh`` and
``reference``: the page switches traces on and off by role and method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.report.data.arrays import AlongPath, Curve
from aiida_mlcc.report.print.figures import colour_of, is_dashed

if TYPE_CHECKING:
    import plotly.graph_objects as go

_DIGITS = 4
INK, FAINT, _GRID = '#1b1f24', '#6a737d', '#e3e6ea'
_FONT = {'family': 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif', 'size': 13, 'color': INK}
CM1 = 'cm⁻¹'
SHOWN_BAND = 'sd'
"""The band that is shown until a person chooses another one."""

PER_CM1 = f'modes per {CM1}'
TOLD = [2, 3, 4]
"""Where `customdata` of a branch has a frequency, which follows the switch of units."""
DASHES = ('dot', 'dashdot', 'longdash', 'longdashdot', 'dash')


def branches(
    curve: AlongPath, unit: str, digits: int, full: bool = False, numbers: NDArray[np.int64] | None = None
) -> list[go.Scatter]:
    """Return one trace each for mean, range, sd and every member along a path; the branches are one line with gaps.

    :param unit: with a blank before it, empty for none.
    :param digits: after the point, where the values are told.
    :param full: whether the sd is that of the error budget, and not over the members alone.
    :param numbers: the branch, counted from 0, that is told at each point, of the shape of the mean; by default the
        place along its second axis.
    """
    n_modes = curve.mean.shape[1]
    parts = [(part, mode) for mode in range(n_modes) for part in curve.path.segments]
    x = joined(curve.path.distances[part] for part, _ in parts)
    told = []
    for part, mode in parts:
        for index in range(*part.indices(len(curve.qpoints))):
            q = ' '.join(f'{component:.3f}' for component in curve.qpoints[index] + 0.0)
            ends = rounded([array[index, mode] for array in (curve.sd, curve.low, curve.high)], 2)
            told.append([(mode if numbers is None else int(numbers[index, mode])) + 1, q, *ends])
        told.append([None] * 5)
    traces = []
    for role, low, high in _bands(curve):
        pieces = [piece for part, mode in parts for piece in _known(part, mode, low, high)]
        shade = _ribbons([(curve.path.distances[part], low[part, mode], high[part, mode]) for part, mode in pieces])
        traces.append(_shade(shade, curve.method, role))
    span = f'%{{customdata[3]:.{digits}f}} to %{{customdata[4]:.{digits}f}}'
    sd = f'%{{customdata[2]:.{digits}f}}'
    error = f' ± {sd}' if full else ''
    spread = f'members {span}' if len(curve.members) > 1 else 'one member'
    if len(curve.members) > 1 and not full:
        spread += f', sd {sd}'
    hover = (
        f'<b>{escape(curve.method)}</b>, branch %{{customdata[0]}}<br>q = (%{{customdata[1]}})<br>'
        f'%{{y:.{digits}f}}{error}{unit}<br>{spread}<extra></extra>'
    )
    mean = joined(curve.mean[part, mode] for part, mode in parts)
    line = _line(x, mean, curve.method, hover=hover, width=1.6)
    traces.append(line.update(customdata=told))
    for number, (member, values) in enumerate(curve.members.items()):
        y = joined(values[part, mode] for part, mode in parts)
        traces.append(_member(x, y, curve.method, member, number))
    return traces


def dotted(curve: AlongPath, chosen: NDArray[np.bool_]) -> go.Scatter:
    """Return what makes the mean a dotted line where `chosen` says so, of the shape of the mean."""
    parts = [(part, mode) for mode in range(curve.mean.shape[1]) for part in curve.path.segments]
    x = joined(curve.path.distances[part] for part, _ in parts)
    y = joined(np.where(chosen[part, mode], curve.mean[part, mode], np.nan) for part, mode in parts)
    trace = _line(x, y, curve.method, hover='', dash='dot', width=2.2)
    return trace.update(line={'color': '#fff'}, hoverinfo='skip', hovertemplate=None)


def curve_traces(
    curve: Curve,
    name: str,
    told: str,
    *,
    digits: int = 6,
    dash: str | None = None,
    width: float = 2.0,
    sideways: bool = False,
    sd_digits: int | None = None,
    **axes: Any,
) -> list[go.Scatter]:
    """Return one trace each for range, sd, every member, the mean, and each element where there are several.

    :param name: of the curve; it is escaped here.
    :param told: what a value is said with, in plotly's format: ``%{x:.0f} K: %{y:.3f} kJ/mol``.
    :param dash: that of the method if None.
    :param sideways: exchange the axes.
    :param sd_digits: tell the sd, too, with so many digits after the point.
    """

    def laid(values: Any) -> tuple[list[Any], list[Any]]:
        along, across = rounded(curve.x), rounded(values, digits)
        return (across, along) if sideways else (along, across)

    traces = []
    for role, low, high in _bands(curve):
        there, back = laid(low), laid(high)
        shade = {axis: [*there[number], *back[number][::-1]] for number, axis in enumerate('xy')}
        traces.append(_shade(shade, curve.method, role, **axes))
    for number, (member, values) in enumerate(curve.members.items()):
        traces.append(_member(*laid(values), curve.method, member, number, **axes))
    mean = mean_trace(
        curve, name, told, digits=digits, dash=dash, width=width, sideways=sideways, sd_digits=sd_digits, **axes
    )
    traces.append(mean)
    for number, (element, values) in enumerate(curve.elements.items()):
        if len(curve.elements) < 2 or sideways:
            continue
        label = escape(f'{name}, {element}')
        look = _Look(dash=DASHES[number % len(DASHES)], width=1.4, role='element', visible=False)
        x, y = laid(values)
        traces.append(_line(x, y, curve.method, hover=_hover(label, told), name=label, **look, **axes))
    return traces


def mean_trace(
    curve: Curve,
    name: str,
    told: str,
    *,
    digits: int = 6,
    dash: str | None = None,
    width: float = 1.2,
    sideways: bool = False,
    sd_digits: int | None = None,
    role: str = 'line',
    **axes: Any,
) -> go.Scatter:
    """Return the mean of a curve on its own; the arguments are those of :func:`curve_traces`."""
    laid = (rounded(curve.x), rounded(curve.mean, digits))
    x, y = laid[::-1] if sideways else laid
    name = escape(name)
    look = _Look(dash=dash, width=width, role=role, visible=role == 'line')
    if sd_digits is None or len(curve.members) < 2:
        return _line(x, y, curve.method, hover=_hover(name, told), name=name, **look, **axes)
    hover = _hover(name, f'{told}, sd %{{customdata:.{sd_digits}f}}')
    return _line(x, y, curve.method, hover=hover, name=name, **look, **axes).update(
        customdata=rounded(curve.sd, digits)
    )


def stacked(
    panels: Mapping[str, Sequence[Curve]], x_title: str, told: Mapping[str, str], sd_digits: int, height: int = 190
) -> go.Figure:
    """Return curves in panels one above the other, with one axis of what they are over.

    :param panels: title of the upright axis → the curves of the methods.
    :param told: the same titles → what a value is said with, followed by the sd with `sd_digits` after the point.
    :param height: of a panel, pixels.
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout=layout(height * len(panels) + 60))
    share = 1.0 / len(panels)
    for number, (title, curves) in enumerate(panels.items()):
        place = str(number + 1) if number else ''
        for curve in curves:
            traces = curve_traces(curve, curve.method, told[title], sd_digits=sd_digits, yaxis=f'y{place}')
            figure.add_traces(traces)
        top = 1.0 - number * share
        domain = [max(top - share * (1.0 if number == len(panels) - 1 else 0.9), 0.0), top]
        labelled = {'title': {'text': title, 'standoff': 6}, 'automargin': True, 'nticks': 5}
        figure.update_layout({f'yaxis{place}': {**framed(), **labelled, 'domain': domain}})
    lowest = f'y{len(panels)}' if len(panels) > 1 else 'y'
    figure.update_layout(xaxis={**framed(), 'title': {'text': x_title}, 'anchor': lowest})
    return figure


def joined(parts: Iterable[NDArray[np.float64]]) -> list[float | None]:
    """Return stretches as one list with a gap after each."""
    together: list[float | None] = []
    for part in parts:
        together += [*rounded(part), None]
    return together


def rounded(values: Any, digits: int = _DIGITS) -> list[Any]:
    """Return numbers as JSON has them: there is no NaN, and a gap is drawn where there is no number."""
    short = np.round(np.asarray(values, dtype=float), digits)
    nothing: Any = None
    return np.where(np.isfinite(short), short, nothing).tolist()


def wave_vector(ticks: Sequence[tuple[float, str]]) -> dict[str, Any]:
    """Return the axis of a path with its special points."""
    marks = {'tickvals': [at for at, _ in ticks], 'ticktext': [escape(label) for _, label in ticks]}
    return {**framed(), **marks, 'title': {'text': 'wave vector', 'standoff': 6}, 'gridcolor': '#c9ced4'}


def framed() -> dict[str, Any]:
    """Return what all axes have in common: a frame around what is drawn."""
    return {'showline': True, 'mirror': 'all', 'linecolor': '#4a5159', 'linewidth': 1, 'ticks': '', 'gridcolor': _GRID}


def layout(height: int, **powers: int) -> dict[str, Any]:
    """Return what all figures have in common.

    :param height: pixels.
    :param powers: axis (``x``, ``y``, ``x2``) → the power of a frequency that it shows, for the switch of units: 1 for
        a frequency, -1 for a density of states.
    """
    return {
        **({'meta': {'powers': powers, 'told': TOLD}} if powers else {}),
        'height': height,
        'font': _FONT,
        'paper_bgcolor': 'rgba(0,0,0,0)',
        'plot_bgcolor': '#fff',
        'margin': {'l': 64, 'r': 14, 't': 14, 'b': 52},
        'showlegend': False,
        'hovermode': 'closest',
        'hoverlabel': {'bgcolor': '#fff', 'bordercolor': FAINT, 'font': {'size': 13, 'color': INK}, 'align': 'left'},
        'yaxis': framed(),
        'modebar': {'bgcolor': 'rgba(0,0,0,0)', 'color': '#9aa2ab', 'activecolor': INK},
        'template': None,
    }


def _bands(curve: AlongPath | Curve) -> list[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    return [('range', curve.low, curve.high), ('sd', curve.mean - curve.sd, curve.mean + curve.sd)]


def _hover(name: str, told: str) -> str:
    return f'<b>{name}</b><br>{told}<extra></extra>'


class _Look(TypedDict):
    dash: str | None
    width: float
    role: str
    visible: bool


def _line(
    x: Any,
    y: Any,
    method: str,
    *,
    hover: str,
    name: str | None = None,
    dash: str | None = None,
    width: float,
    role: str = 'line',
    visible: bool = True,
    **axes: Any,
) -> go.Scatter:
    import plotly.graph_objects as go

    return go.Scatter(
        x=x,
        y=y,
        **axes,
        mode='lines',
        name=escape(method) if name is None else name,
        line={'color': colour_of(method), 'width': width, 'dash': dash or ('dash' if is_dashed(method) else 'solid')},
        visible=visible,
        meta={'role': role, 'method': method},
        hovertemplate=hover,
    )


def _member(x: Any, y: Any, method: str, member: str, number: int, **axes: Any) -> go.Scatter:
    name = escape(f'{method} {member}')
    look = _Look(dash=DASHES[number % len(DASHES)], width=0.9, role='member', visible=False)
    return _line(x, y, method, hover=f'<b>{name}</b><extra></extra>', name=name, **look, **axes)


def _shade(shade: Mapping[str, Sequence[float | None]], method: str, role: str, **axes: Any) -> go.Scatter:
    import plotly.graph_objects as go

    colour = colour_of(method)
    return go.Scatter(
        **shade,
        **axes,
        mode='lines',
        line={'width': 0, 'color': colour},
        fill='toself',
        fillcolor=f'rgba({", ".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))}, 0.22)',
        hoverinfo='skip',
        showlegend=False,
        visible=role == SHOWN_BAND,
        name=escape(f'{method} {role}'),
        meta={'role': role, 'method': method},
    )


def _ribbons(parts: Sequence[tuple[NDArray[np.float64], ...]]) -> dict[str, list[float | None]]:
    """Return closed outlines with gaps between them, which `fill: toself` fills one by one."""
    x = joined(np.concatenate([at, at[::-1]]) for at, _, _ in parts)
    return {'x': x, 'y': joined(np.concatenate([low, high[::-1]]) for _, low, high in parts)}


def _known(part: slice, mode: int, low: NDArray[np.float64], high: NDArray[np.float64]) -> list[tuple[slice, int]]:
    """Return the stretches of a part on which a mode has numbers."""
    first = part.indices(len(low))[0]
    known = np.isfinite(low[part, mode]) & np.isfinite(high[part, mode])
    edges = np.flatnonzero(np.diff(known.astype(int), prepend=0, append=0)) + first
    return [(slice(int(a), int(b)), mode) for a, b in zip(edges[::2], edges[1::2], strict=True)]
