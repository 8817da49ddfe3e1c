"""Of dynamics: the spectra beside the harmonic ones, autocorrelations, peaks and sampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from aiida import orm

from aiida_mlcc.report.csv_files import TrajectoryRow, of_density, of_rows, over
from aiida_mlcc.report.curve_table import Content, Drawn, Files, Placed, Printed, Shown, listed
from aiida_mlcc.report.data.arrays import Curves
from aiida_mlcc.report.data.records import DynamicsResults
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.tables import Table, number_text
from aiida_mlcc.report.page.traces import CM1, PER_CM1, curve_traces, framed, layout, mean_trace
from aiida_mlcc.report.print.article_figures import projected_figure, spectra_figure
from aiida_mlcc.science.dynamics.vdos_of_runs import TrajectorySampling
from aiida_mlcc.science.dynamics.vdos_peaks import Peak

if TYPE_CHECKING:
    import plotly.graph_objects as go

_TOLD = f'%{{x:.0f}} {CM1}: %{{y:.4f}} {PER_CM1}'
_FORGOTTEN = 0.02
"""The lags in sight at first end where every autocorrelation stays below this."""


_LAGS = (
    'Weighted with the masses, one at lag zero: what the spectrum from dynamics is transformed from. Shaded: ± one sd, '
    'or the range, over the trajectories. At most the first picosecond is in sight; the CSV file has all lags.'
)


def read(nodes: Mapping[str, orm.Data]) -> DynamicsResults:
    """Return ``peaks`` and ``sampling``, as the VACFWorkChain gives them."""
    found: DynamicsResults = {}
    if 'peaks' in nodes:
        found['peaks'] = nodes['peaks'].get_dict()
    if 'sampling' in nodes:
        found['sampling'] = nodes['sampling'].get_dict()
    return found


def spectrum_figure(curves: Curves) -> go.Figure:
    """Return the spectra from dynamics and, dashed, the harmonic ones of the same methods in the same supercell.

    Where a run has these, the harmonic density of states on the full mesh is there on request. All are of the primitive
    cell.
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout=layout(height=420, x=1, y=-1))
    shown = list(curves.vdos.values())
    for method, curve in curves.vdos.items():
        figure.add_traces(curve_traces(curve, f'{method}, dynamics', _TOLD, dash='solid'))
        if (harmonic := curves.harmonic_of(method)) is None:
            continue
        shown.append(harmonic)
        figure.add_trace(mean_trace(harmonic, f'{method}, harmonic', _TOLD, dash='dash'))
        if method in curves.harmonic and (full := curves.full_mesh(method)) is not None:
            figure.add_trace(mean_trace(full, f'{method}, harmonic, full mesh', _TOLD, dash='dot', role='mesh'))
    start = min(0.0, *(float(curve.x[curve.mean > 0].min(initial=0.0)) for curve in shown))
    stop = max(float(curve.x[curve.mean > 1e-3 * curve.mean.max()].max(initial=1.0)) for curve in shown)
    figure.update_layout(xaxis={**framed(), 'title': {'text': f'frequency ({CM1})'}, 'range': [start, 1.03 * stop]})
    figure.update_yaxes(title={'text': PER_CM1, 'standoff': 6}, rangemode='tozero')
    return figure


def autocorrelation_figure(curves: Curves) -> go.Figure | None:
    """Return the velocity autocorrelations over lag (fs), one at lag zero; None where they are not there."""
    import plotly.graph_objects as go

    if not curves.autocorrelation:
        return None
    figure = go.Figure(layout=layout(height=340))
    for method, curve in curves.autocorrelation.items():
        figure.add_traces(curve_traces(curve, method, '%{x:.1f} fs: %{y:.3f}', digits=4, width=1.4))
    longest = max(
        float(curve.x[np.abs(curve.mean) > _FORGOTTEN].max(initial=curve.x[1]))
        for curve in curves.autocorrelation.values()
    )
    lags = {'title': {'text': 'lag (fs)'}, 'range': [0.0, longest]}
    figure.update_layout(xaxis={**framed(), **lags})
    figure.update_yaxes(title={'text': 'autocorrelation', 'standoff': 6}, zeroline=True, zerolinecolor='#9aa2ab')
    return figure


def peaks_table(dynamics: Mapping[str, DynamicsResults]) -> Table | None:
    """Return the peaks in dynamics beside the harmonic ones, cm⁻¹, a row a peak.

    :param dynamics: method → ``peaks``, as results have them.
    """
    groups, methods, widths = [], [], set()
    for method, entry in dynamics.items():
        content = entry.get('peaks')
        rows = [_peak_row(peak) for peak in content.get('peaks', [])] if content else []
        if content and rows:
            groups.append((method, rows))
            methods.append(method)
            widths.add(f'{content["resolution_cm1"]:.1f}')
    if not groups:
        return None
    header = ['harmonic', 'dynamics', 'shift', 'members']
    note = (
        'Dynamics minus harmonic, both in the same supercell with the same window, ± the error of one member: that of '
        'its sampling, or the spread of the members where this is larger. '
        f'Resolution: {", ".join(sorted(widths))} {CM1}. A dash: dynamics has no such peak.'
    )
    return Table(f'Peaks of the spectrum from dynamics ({CM1})', header, groups, note, group_methods=methods)


def sampling_table(dynamics: Mapping[str, DynamicsResults]) -> Table | None:
    """Return how well each trajectory samples: temperature, drift, correlation time, independent samples.

    :param dynamics: method → ``sampling``, as results have them.
    """
    groups, methods = [], []
    for method, entry in dynamics.items():
        runs = (entry.get('sampling') or {}).get('runs', {})
        if not runs:
            continue
        total = entry['sampling']['n_independent_blocks']
        rows = [_sampling_row(name, run) for name, run in runs.items()]
        methods.append(method)
        groups.append((f'{method}: {total:.1f} independent samples', rows))
    if not groups:
        return None
    header = [
        'trajectory',
        'time (ps)',
        'temperature (K)',
        'drift (meV/atom/ps)',
        'correlation time (ps)',
        'blocks',
        'independent samples',
    ]
    note = (
        'Blocks of a trajectory that remember one another count as fewer samples. ≥: the trajectory is too short to '
        'forget, and its correlation time is longer.'
    )
    for method, entry in dynamics.items():
        sampling = entry.get('sampling') or {}
        if reason := sampling.get('no_peaks_because'):
            note += f' {method} has no table of peaks: {reason}.'
        if share := sampling.get('share_of_modes_cut_off'):
            note += f' {share:.1%} of the modes of {method} lie above its spectrum.'
    return Table('Sampling of the dynamics', header, groups, note, group_methods=methods)


def _peak_row(peak: Peak) -> list[str]:
    shift = '–' if peak['shift_cm1'] is None else f'{round(peak["shift_cm1"], 1) + 0.0:+.1f} ± {peak["error_cm1"]:.1f}'
    return [number_text(peak['harmonic_cm1'], 1), number_text(peak['vacf_cm1'], 1), shift, str(peak['n_members'])]


def _sampling_row(name: str, run: TrajectorySampling) -> list[str]:
    correlation = number_text(run['correlation_time_ps'], 3)
    return [
        name,
        number_text(run['time_ps'], 1),
        number_text(run['mean_temperature_K'], 1),
        '–' if (drift := run['energy_drift_mev_per_atom_ps']) is None else f'{drift:.2g}',
        f'≥ {correlation}' if run['correlation_time_is_a_lower_bound'] else correlation,
        str(run['n_blocks']),
        number_text(run['n_independent_blocks'], 1),
    ]


def _spectrum_caption(curves: Curves) -> str:
    same = [method for method in curves.vdos if method in curves.harmonic]
    others = [method for method in curves.vdos if method not in curves.harmonic and method in curves.dos]
    told = ['Solid: from the velocity autocorrelation of dynamics.']
    if same:
        told.append(
            'Dashed: harmonic, at the wave vectors that the supercell of the dynamics holds and with the same window, '
            'so that finite size is not taken for anharmonicity.'
        )
    if same and any(method in curves.dos for method in same):
        told.append('Dotted, on request: harmonic, on the full mesh.')
    if others:
        whose = f' ({listed(others)})' if same else ''
        told.append(f'Dashed{whose}: harmonic, on the full mesh and not in the supercell of the dynamics.')
    if any(curves.share_of_cell(method) != 1 for method in [*same, *others]):
        told.append('The full mesh is that of a larger cell, scaled to the atoms of the primitive cell.')
    widths = sorted({round(curve.resolution) for curve in curves.vdos.values() if curve.resolution})
    if widths:
        told.append(f'A single sharp mode would be {listed(list(map(str, widths)))} cm⁻¹ wide.')
    return ' '.join(told)


def _figures(found: Findings) -> list[Drawn]:
    curves, drawn = found.curves, []
    if curves.vdos:
        figure = spectrum_figure(curves)
        drawn.append(Drawn('spectrum', 'Spectrum from dynamics', figure, _spectrum_caption(curves), place=20))
    if (figure := autocorrelation_figure(curves)) is not None:
        drawn.append(Drawn('autocorrelation', 'Velocity autocorrelation', figure, _LAGS, place=30))
    return drawn


def _tables(found: Findings) -> list[Placed]:
    dynamics = found.results['dynamics']
    return [Placed(peaks_table(dynamics), 30), Placed(sampling_table(dynamics), 40)]


def _files(found: Findings) -> list[Files]:
    curves = found.curves
    peaks: dict[str, Sequence[Peak]] = {}
    sampling: dict[str, Sequence[TrajectoryRow]] = {}
    for method, entry in found.results['dynamics'].items():
        peaks[method] = entry['peaks'].get('peaks', []) if 'peaks' in entry else []
        sampling[method] = [{'trajectory': n, **run} for n, run in entry.get('sampling', {}).get('runs', {}).items()]
    return [
        Files('vdos', {method: of_density(curve) for method, curve in curves.vdos.items()}, 40, ('vdos',)),
        Files(
            'harmonic_dos',
            {method: of_density(curve) for method, curve in curves.harmonic.items()},
            50,
            ('harmonic_dos',),
        ),
        Files(
            'vacf', {method: over(curve, 'lag_fs') for method, curve in curves.autocorrelation.items()}, 60, ('vdos',)
        ),
        Files('peaks', _with_rows(peaks), 100, ('peaks',)),
        Files('sampling', _with_rows(sampling), 110, ('sampling',)),
    ]


def _with_rows(tables: Mapping[str, Sequence[Peak | TrajectoryRow]]) -> dict[str, Content]:
    return {method: of_rows(rows) for method, rows in tables.items() if rows}


def _prints(found: Findings) -> list[Printed]:
    curves = found.curves
    return [
        Printed('spectra', spectra_figure(curves), 30),
        Printed('projected_spectra', projected_figure(curves), 40),
    ]


def _missing(found: Findings) -> list[str]:
    asked = found.process.base.links.get_incoming(link_label_filter='vacf_methods').all_nodes()
    wanted = not asked or bool(asked[0].get_list())
    return ['a spectrum from dynamics'] if wanted and not found.curves.vdos else []


SHOWN = Shown(
    part='dynamics',
    outputs=('vdos', 'harmonic_dos', 'peaks', 'sampling'),
    read=read,
    units={'peaks': 'in the names and in `units`', 'sampling': 'in the names'},
    figures=_figures,
    tables=_tables,
    files=_files,
    prints=_prints,
    missing=_missing,
    place=20,
)
