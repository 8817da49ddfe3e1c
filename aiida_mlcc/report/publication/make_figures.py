"""Draw the figures for print, in the layout of the article (arXiv:2507.06929): each kind on its own, as PDF and SVG.

Needs NumPy and Matplotlib only. A bundle holds this file as ``figures/make_figures.py``, which reads ``curves.json``
and the CSV files of ``data``::

    python figures/make_figures.py -o FOLDER
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aiida_mlcc.report.publication.entries import CurveEntry, RunEntry

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

PRETTY = {'GAMMA': 'Γ'}
"""Labels of q-points as a person writes them."""

ENDINGS = ('pdf', 'svg')

_DFT, _CONTROL = ('LDA', 'PBE'), '(E)'
_FURTHER = ('#0072B2', '#CC79A7', '#7B6D00', '#882255', '#117733', '#6A3D9A')
_UNIT = 'cm$^{-1}$'
_WIDTH = 6.8
_SAME = 1e-9
_CORNERS = re.compile(r'^L [\d. -]+$', re.MULTILINE)
_DIGITS = re.compile(r'(?<=\.\d\d)\d+')

_UNDATED: dict[str, dict[str, None]] = {'pdf': {'CreationDate': None}, 'svg': {'Date': None}}
"""What keeps the time out of a file, so that equal figures are equal files."""


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


@dataclass(frozen=True)
class Bands:
    """The dispersion of one method as a CSV file holds it, cm⁻¹; arrays of shape (n_points, n_modes).

    :param qpoints: in units of the reciprocal vectors, shape (n_points, 3).
    :param cell: primitive lattice vectors as rows, Å.
    :param labels: index of a q-point and its label.
    """

    path: Path1D
    qpoints: NDArray[np.float64]
    cell: NDArray[np.float64]
    labels: tuple[tuple[int, str], ...]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    members: dict[str, NDArray[np.float64]]
    undetermined: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Density:
    """A density of states of one method as a CSV file holds it, modes per cm⁻¹ over cm⁻¹.

    :param elements: symbol → its part.
    """

    frequencies: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    elements: dict[str, NDArray[np.float64]] = field(default_factory=dict)


class Dispersed(Protocol):
    """A dispersion as it is drawn: :class:`Bands`, or what has its attributes."""

    @property
    def path(self) -> Path1D: ...
    @property
    def qpoints(self) -> NDArray[np.float64]: ...
    @property
    def labels(self) -> tuple[tuple[int, str], ...]: ...
    @property
    def mean(self) -> NDArray[np.float64]: ...
    @property
    def sd(self) -> NDArray[np.float64]: ...
    @property
    def members(self) -> dict[str, NDArray[np.float64]]: ...
    @property
    def undetermined(self) -> NDArray[np.bool_] | None: ...


class Dense(Protocol):
    """A density of states as it is drawn: :class:`Density`, or what has its attributes."""

    @property
    def frequencies(self) -> NDArray[np.float64]: ...
    @property
    def mean(self) -> NDArray[np.float64]: ...
    @property
    def low(self) -> NDArray[np.float64]: ...
    @property
    def high(self) -> NDArray[np.float64]: ...
    @property
    def elements(self) -> dict[str, NDArray[np.float64]]: ...


@dataclass(frozen=True)
class MemberError:
    """The error of the energies of one member (meV/atom), None where it is not known."""

    method: str
    energy: float | None


class Erring(Protocol):
    """The error of a member as it is drawn: :class:`MemberError`, or what has its attributes."""

    @property
    def method(self) -> str: ...
    @property
    def energy(self) -> float | None: ...


def lay_out(
    distances: NDArray[np.float64], labels: Sequence[tuple[int, str]], breaks: Sequence[int] | None = None
) -> Path1D:
    """Return a path with its segments and ticks.

    :param labels: index of a q-point and its label.
    :param breaks: where a new segment begins; by default, where two neighbours both have a label.
    """
    marked = dict(labels)
    starts = [i + 1 for i in range(len(distances) - 1) if i in marked and i + 1 in marked] if breaks is None else breaks
    edges = [0, *starts, len(distances)]
    ticks: list[tuple[float, str]] = []
    for index, label in sorted(marked.items()):
        pretty = PRETTY.get(label, label.replace('_', ''))
        at = float(distances[index])
        if ticks and abs(ticks[-1][0] - at) < _SAME:
            before = ticks.pop()[1]
            pretty = pretty if before == pretty else f'{before}|{pretty}'
        ticks.append((at, pretty))
    return Path1D(distances, [slice(a, b) for a, b in pairwise(edges)], ticks)


def main_figure(
    dispersion: Mapping[str, Dispersed],
    densities: Mapping[str, Mapping[str, Dense]],
    title: str | None = None,
    references: Sequence[tuple[float, float, float | None]] = (),
) -> Figure | None:
    """Draw dispersion and densities of states of all methods beside one another; None where there are none.

    :param densities: name of a panel → method → density of states.
    :param references: distance, frequency (cm⁻¹) and uncertainty of points in the dispersion.
    """
    from matplotlib.figure import Figure

    panels = {name: curves for name, curves in densities.items() if curves}
    n_panels = bool(dispersion) + len(panels)
    if not n_panels:
        return None
    ratios = ([3.0] if dispersion else []) + [1.0] * len(panels)
    figure = Figure(figsize=(2.0 + 1.7 * sum(ratios), 5.0), layout='constrained')
    axes = list(figure.subplots(1, n_panels, sharey=True, squeeze=False, width_ratios=ratios)[0])
    axes[0].set_ylabel(f'frequency ({_UNIT})')
    if dispersion:
        axis = axes.pop(0)
        _draw_dispersion(axis, dispersion)
        for distance, frequency, uncertainty in dict.fromkeys(references):
            axis.errorbar(
                distance,
                frequency,
                yerr=uncertainty,
                fmt='D',
                color='black',
                markerfacecolor='white',
                markersize=4,
                zorder=5,
                clip_on=False,
            )
    for axis, (name, curves) in zip(axes, panels.items(), strict=True):
        _draw_density(axis, curves)
        axis.set_xlabel(f'{name}\n(modes per {_UNIT})')
    _legend(figure, [*dispersion, *(m for curves in panels.values() for m in curves)])
    if title:
        figure.suptitle(title)
    return figure


def members_figure(dispersion: Mapping[str, Dispersed]) -> Figure | None:
    """Draw each member on its own, a panel a method (as Figs. A3 and B6)."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    if not dispersion:
        return None
    n_columns = min(2, len(dispersion))
    n_rows = -(-len(dispersion) // n_columns)
    figure = Figure(figsize=(_WIDTH, 2.6 * n_rows), layout='constrained')
    axes = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False).ravel()
    dashes: tuple[Any, ...] = ('-', '--', ':', '-.', (0, (5, 1, 1, 1, 1, 1)))
    names = list(dict.fromkeys(name for curve in dispersion.values() for name in curve.members))
    styles = {name: dashes[number % len(dashes)] for number, name in enumerate(names)}
    for axis, (method, curve) in zip(axes, dispersion.items(), strict=False):
        for name, values in curve.members.items():
            look = LineStyle(color=colour_of(method), linestyle=styles[name], linewidth=0.9)
            for part in curve.path.segments:
                axis.plot(curve.path.distances[part], values[part], **look)
        draw_path(axis, curve.path)
        axis.set_title(method, fontsize='medium')
    for axis in axes[len(dispersion) :]:
        axis.set_visible(False)
    for axis in axes[::n_columns]:
        axis.set_ylabel(f'frequency ({_UNIT})')
    handles = [Line2D([], [], color='0.2', linestyle=styles[name], label=_plain(name)) for name in names]
    figure.legend(handles=handles, loc='outside lower center', ncols=min(5, len(names)), frameon=False)
    return figure


def spectra_figure(vdos: Mapping[str, Dense], harmonic: Mapping[str, Dense | None]) -> Figure | None:
    """Draw the spectrum from dynamics over the harmonic density of states, a panel a method."""
    from matplotlib.figure import Figure

    if not vdos:
        return None
    figure = Figure(figsize=(_WIDTH, 1.0 + 1.7 * len(vdos)), layout='constrained')
    axes = figure.subplots(len(vdos), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (method, curve) in zip(axes, vdos.items(), strict=True):
        axis.fill_between(curve.frequencies, curve.low, curve.high, **shade_style(method))
        axis.plot(curve.frequencies, curve.mean, color=colour_of(method), label=f'{method}, dynamics')
        if (beside := harmonic.get(method)) is not None:
            axis.plot(beside.frequencies, beside.mean, '--', color='0.25', linewidth=0.9, label='harmonic')
        _finish_density(axis)
    axes[-1].set_xlabel(f'frequency ({_UNIT})')
    return figure


def projected_figure(chosen: Mapping[str, Dense]) -> Figure | None:
    """Draw the parts of the elements in the densities of states `chosen`; None with one element."""
    from matplotlib.figure import Figure

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


def errors_figure(errors: Sequence[Erring]) -> Figure | None:
    """Draw the errors of the energies, a group of bars a method and a bar a member.

    :param errors: of each member.
    """
    from matplotlib.figure import Figure

    known = [(row.method, row.energy) for row in errors if row.energy is not None]
    if not known:
        return None
    methods = list(dict.fromkeys(method for method, _ in known))
    figure = Figure(figsize=(_WIDTH, 2.6), layout='constrained')
    axis = figure.subplots()
    for place, method in enumerate(methods):
        heights = [energy for of, energy in known if of == method]
        width = 0.8 / len(heights)
        at = place - 0.4 + width * (np.arange(len(heights)) + 0.5)
        axis.bar(at, heights, width=0.9 * width, color=colour_of(method))
    axis.set_xticks(range(len(methods)), methods)
    axis.set_ylabel('RMSE (meV/atom)')
    return figure


def zone_figure(curve: Dispersed, cell: NDArray[np.float64]) -> Figure:
    """Draw the Brillouin zone with the path of a dispersion.

    :param cell: primitive lattice vectors as rows, Å.
    """
    from matplotlib.figure import Figure

    reciprocal: Any = 2 * np.pi * np.linalg.inv(cell).T
    figure = Figure(figsize=(3.6, 3.6))
    axis: Any = figure.add_axes((0, 0, 1, 1), projection='3d', computed_zorder=False)
    azimuth, elevation = 20.0, 22.5
    towards = _direction(azimuth, elevation)
    vertices, edges = brillouin_zone(reciprocal)
    for ends, normals in edges:
        style = ':' if np.all(normals @ towards < _SAME) else '-'
        axis.plot(*vertices[list(ends)].T, color='black', linestyle=style, linewidth=0.8)
    along = curve.qpoints @ reciprocal
    for part in curve.path.segments:
        axis.plot(*along[part].T, color=COLOURS['CCSD(T)'], linewidth=2.0)
    named = {_plain(PRETTY.get(label, label.replace('_', ''))): along[index] for index, label in reversed(curve.labels)}
    centre = np.mean(list(named.values()), axis=0) if named else np.zeros(3)
    for label, at in named.items():
        axis.scatter(*at, color=COLOURS['CCSD(T)'], s=14, depthshade=False)
        away = (at - centre) / max(np.linalg.norm(at - centre), 1e-9) * 0.13 * np.abs(along).max()
        axis.text(*(at + away), label, fontsize=12, ha='center', va='center')
    reach = np.abs(vertices).max()
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(-reach, reach))
    axis.view_init(azim=azimuth, elev=elevation)
    axis.set_axis_off()
    axis.set_box_aspect((1, 1, 1), zoom=1.35)
    return figure


def brillouin_zone(
    reciprocal: NDArray[np.float64],
) -> tuple[NDArray[np.float64], list[tuple[tuple[int, int], NDArray[np.float64]]]]:
    """Return the vertices (Å⁻¹, with 2π) of the Brillouin zone, and its edges: two vertices, and the normals beside it.

    :param reciprocal: vectors of a primitive reciprocal cell as rows, Å⁻¹; a face of the zone lies halfway to a sum of
        at most two of each.
    """
    steps = np.array([step for step in product(range(-2, 3), repeat=3) if any(step)])
    vectors = steps @ reciprocal
    squares = (vectors**2).sum(axis=1)
    # A vector bounds the zone where nothing is nearer to its middle than its two ends.
    nearest = np.array(
        [np.delete(((vector / 2 - vectors) ** 2).sum(axis=1), number).min() for number, vector in enumerate(vectors)]
    )
    faces = vectors[nearest > squares / 4 * (1 + 1e-6)]
    halves = (faces**2).sum(axis=1) / 2
    found: list[NDArray[np.float64]] = []
    for three in combinations(range(len(faces)), 3):
        normals = faces[list(three)]
        if abs(np.linalg.det(normals)) < 1e-6 * np.prod(np.linalg.norm(normals, axis=1)):
            continue
        corner = np.linalg.solve(normals, halves[list(three)])
        inside = np.all(faces @ corner <= halves * (1 + 1e-6))
        if inside and not any(np.allclose(corner, other, atol=1e-6 * np.sqrt(squares.min())) for other in found):
            found.append(corner)
    vertices = np.array(found)
    on_face = np.abs(vertices @ faces.T - halves) < 1e-5 * halves
    edges = []
    for first, second in combinations(range(len(vertices)), 2):
        shared = on_face[first] & on_face[second]
        if shared.sum() == 2:
            edges.append(((first, second), faces[shared]))
    return vertices, edges


class LineStyle(TypedDict):
    """How matplotlib draws a line."""

    color: str
    linestyle: Any
    linewidth: float


class ShadeStyle(TypedDict):
    """How matplotlib draws an area."""

    color: str
    alpha: float
    linewidth: float


def draw_path(axis: Axes, path: Path1D) -> None:
    """Draw the special points of a path as lines across, and name them."""
    for at, _ in path.ticks:
        axis.axvline(at, color='0.8', linewidth=0.6, zorder=0)
    axis.axhline(0.0, color='0.5', linewidth=0.6, zorder=0)
    axis.set_xticks([at for at, _ in path.ticks], [label for _, label in path.ticks])
    axis.set_xlim(path.distances[0], path.distances[-1])


def is_dashed(method: str) -> bool:
    """Tell whether a method is drawn dashed: DFT, so that it is known without its colour."""
    return method in _DFT or method.endswith(_CONTROL)


def colour_of(method: str) -> str:
    """Return the colour of a method: that of the palette, or for other names one that the name alone decides."""
    if method in COLOURS:
        return COLOURS[method]
    return COLOURS['PBE(E)'] if method.endswith(_CONTROL) else _FURTHER[sum(method.encode()) % len(_FURTHER)]


def line_style(method: str) -> LineStyle:
    """Return how matplotlib draws the line of a method."""
    style = '--' if is_dashed(method) else '-'
    return {'color': colour_of(method), 'linestyle': style, 'linewidth': 1.2}


def shade_style(method: str) -> ShadeStyle:
    """Return how matplotlib draws the error of a method, or the range over its members."""
    return {'color': colour_of(method), 'alpha': 0.25, 'linewidth': 0.0}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of `path`; equal figures give equal files."""
    import matplotlib

    with matplotlib.rc_context({'svg.hashsalt': 'aiida-mlcc'}):
        figure.savefig(path, dpi=200, metadata=_UNDATED.get(path.suffix.lower().removeprefix('.')))
    if path.suffix.lower() == '.svg':
        # A hundredth of a point is enough of the corners of a line, which are most of the file.
        text = _CORNERS.sub(lambda found: _DIGITS.sub('', found.group()), path.read_text(encoding='utf-8'))
        path.write_text(text, encoding='utf-8')


def read_bands(path: Path, members: Sequence[str], cell: Sequence[Sequence[float]]) -> Bands:
    """Read the CSV file of a dispersion."""
    table = read_table(path)
    n_modes = int(max(map(int, table['branch'])))
    n_points = len(table['branch']) // n_modes

    def array(name: str) -> NDArray[np.float64]:
        return numbers(table[name]).reshape(n_modes, n_points).T

    labels = tuple((index, _unquoted(label)) for index, label in enumerate(table['label'][:n_points]) if label)
    marked = table.get('lo_undetermined')
    return Bands(
        lay_out(array('distance')[:, 0], labels),
        np.array([array(name)[:, 0] for name in ('q1', 'q2', 'q3')]).T,
        np.asarray(cell, dtype=float),
        labels,
        array('mean'),
        array('sd'),
        {name: array(name) for name in members},
        None if marked is None else np.array([cell == 'True' for cell in marked]).reshape(n_modes, n_points).T,
    )


def read_density(path: Path, factor: float = 1.0) -> Density:
    """Read the CSV file of a density of states, and multiply it by a factor."""
    table = read_table(path)
    elements = {
        name.removeprefix('element_'): factor * numbers(column)
        for name, column in table.items()
        if name.startswith('element_')
    }
    mean, low, high = (factor * numbers(table[name]) for name in ('mean', 'min', 'max'))
    return Density(numbers(table['frequency_cm1']), mean, low, high, elements)


def read_table(path: Path) -> dict[str, list[str]]:
    """Return column → cells of a CSV file."""
    with path.open(newline='', encoding='utf-8') as file:
        header, *rows = csv.reader(file)
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    return {name: list(column) for name, column in zip(header, columns, strict=True)}


def numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    """Return cells as numbers, NaN where one is empty."""
    return np.array([float(cell) if cell else np.nan for cell in cells])


def figures_of(bundle: Path, run: RunEntry) -> dict[str, Figure]:
    """Return name → figure of a run, drawn from the CSV files alone.

    :param run: an entry of ``runs`` in ``curves.json``.
    """
    entries: dict[str, dict[str, CurveEntry]] = {}
    for entry in run['curves']:
        entries.setdefault(entry['kind'], {})[entry['method']] = entry
    dispersion = {
        method: read_bands(bundle / entry['csv'], entry['members'], entry['cell'])
        for method, entry in entries.get('bands', {}).items()
    }
    dos, vdos, harmonic = (
        {method: read_density(bundle / entry['csv']) for method, entry in entries.get(kind, {}).items()}
        for kind in ('dos', 'vdos', 'harmonic_dos')
    )
    for method in vdos:
        if method not in harmonic and method in dos:
            ours, theirs = (entries[kind][method].get('n_atoms') for kind in ('vdos', 'dos'))
            factor = ours / theirs if ours and theirs else 1.0
            harmonic[method] = read_density(bundle / entries['dos'][method]['csv'], factor)
    tables = run['tables']
    found = {
        'dispersion': main_figure(
            dispersion,
            {'harmonic DOS': dos, 'VDOS from dynamics': vdos},
            references=_references(bundle / tables['residuals']) if 'residuals' in tables else (),
        ),
        'members': members_figure(dispersion),
        'spectra': spectra_figure(vdos, harmonic),
        'projected_spectra': projected_figure(vdos or dos),
        'errors': errors_figure(_errors(bundle / tables['errors'])) if 'errors' in tables else None,
    }
    if dispersion:
        first = next(iter(dispersion.values()))
        found['brillouin_zone'] = zone_figure(first, first.cell)
    return {name: figure for name, figure in found.items() if figure is not None}


def main() -> None:
    """Draw every figure of a bundle."""
    parser = argparse.ArgumentParser(description='Draw the figures of this bundle from its CSV files.')
    here = Path(__file__).resolve().parent
    parser.add_argument('-o', '--output', type=Path, required=True, help='folder to write to, outside of the bundle')
    parser.add_argument('--bundle', type=Path, default=here.parent, help='folder of the bundle')
    given = parser.parse_args()
    content = json.loads((given.bundle / 'curves.json').read_text(encoding='utf-8'))
    for run in content['runs']:
        folder = given.output / run['folder']
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures_of(given.bundle, run).items():
            for ending in ENDINGS:
                save(figure, folder / f'{name}.{ending}')
                print(folder / f'{name}.{ending}')


def _draw_dispersion(axis: Axes, dispersion: Mapping[str, Dispersed]) -> None:
    for method, curve in dispersion.items():
        for part in curve.path.segments:
            x = curve.path.distances[part]
            axis.plot(x, curve.mean[part], **line_style(method))
            if curve.undetermined is not None:
                # White dots on the line: nothing determines it there.
                unknown = np.where(curve.undetermined[part], curve.mean[part], np.nan)
                axis.plot(x, unknown, color='white', linestyle=':', linewidth=1.6, zorder=3)
            for band in range(curve.mean.shape[1]):
                mean, sd = curve.mean[part, band], curve.sd[part, band]
                axis.fill_between(x, mean - sd, mean + sd, **shade_style(method))
    draw_path(axis, curve.path)
    axis.set_xlabel('wave vector')


def _draw_density(axis: Axes, curves: Mapping[str, Dense]) -> None:
    for method, curve in curves.items():
        axis.plot(curve.mean, curve.frequencies, **line_style(method))
        axis.fill_betweenx(curve.frequencies, curve.low, curve.high, **shade_style(method))
    axis.axhline(0.0, color='0.5', linewidth=0.6, zorder=0)
    axis.set_xlim(left=0.0)
    axis.locator_params(axis='x', nbins=3)


def _legend(figure: Figure, methods: list[str]) -> None:
    from matplotlib.lines import Line2D

    unique = list(dict.fromkeys(methods))
    handles = [Line2D([], [], **line_style(method), label=method) for method in unique]
    figure.legend(handles=handles, loc='outside lower center', ncols=len(unique), frameon=False)


def _finish_density(axis: Any) -> None:
    axis.set_ylabel(f'modes per {_UNIT}')
    axis.set_ylim(bottom=0.0)
    axis.legend(fontsize='small', frameon=False)


def _direction(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """Return the unit vector from the centre to who looks at a figure; angles in degrees."""
    across, up = np.radians([azimuth, elevation])
    return np.array([np.cos(up) * np.cos(across), np.cos(up) * np.sin(across), np.sin(up)])


def _references(path: Path) -> list[tuple[float, float, float | None]]:
    table = read_table(path)
    columns = (numbers(table[name]) for name in ('distance', 'reference', 'uncertainty'))
    return [
        (float(at), float(value), float(error) if np.isfinite(error) else None)
        for at, value, error in zip(*columns, strict=True)
    ]


def _errors(path: Path) -> list[MemberError]:
    table = read_table(path)
    energies = numbers(table['energy_mev_atom'])
    return [
        MemberError(method, float(energy) if np.isfinite(energy) else None)
        for method, energy in zip(table['method'], energies, strict=True)
    ]


def _unquoted(text: str) -> str:
    """Return a name without the mark that keeps a spreadsheet from taking it for a formula."""
    return text.removeprefix("'")


def _plain(text: str) -> str:
    """Keep matplotlib from reading mathematics into names."""
    return text.replace('$', r'\$')


if __name__ == '__main__':
    main()
