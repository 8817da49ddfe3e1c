"""What stands on the page, in its order: the figures with their captions, and the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiida_mlcc.report.curves import Curves
from aiida_mlcc.report.page_figures import dispersion_figure, error_figure, learning_figure
from aiida_mlcc.report.page_harmonic import born_table, force_constants_table, gruneisen_figure
from aiida_mlcc.report.page_spectra import autocorrelation_figure, peaks_table, sampling_table, spectrum_figure
from aiida_mlcc.report.page_tables import (
    Table,
    error_rows,
    error_table,
    learning_table,
    residual_table,
    special_points_table,
)
from aiida_mlcc.report.page_thermal import displacement_figure, imaginary_text, thermal_figure
from aiida_mlcc.report.references import Residual

if TYPE_CHECKING:
    import plotly.graph_objects as go

_NOT_COUNTED = 'The acoustic modes at Γ and imaginary modes do not count.'


@dataclass(frozen=True)
class Drawn:
    """A figure of the page.

    :param name: its id on the page.
    :param readout: q-points that the slider below it goes through; 0 without a slider.
    """

    name: str
    title: str
    figure: go.Figure
    caption: str
    readout: int = 0


def figures_of(curves: Curves, results: Mapping[str, Any], found: Sequence[Residual]) -> list[Drawn]:
    """Return the figures there is something to draw in.

    :param found: the comparison with references.
    """
    n_points = len(next(iter(curves.dispersion.values())).qpoints) if curves.dispersion else 0
    figures = []
    if curves.dispersion or curves.dos:
        caption = (
            'Lines: mean over the members, DFT dashed. Shaded: the range over the members, or ± one sd. The density of '
            'states shares the axis of frequency. Imaginary frequencies are drawn below zero. Point at a line to read '
            'branch, wave vector (units of the reciprocal lattice) and spread, or move the slider.'
        )
        title = 'Dispersion and density of states' if curves.dispersion else 'Density of states'
        figures.append(Drawn('dispersion', title, dispersion_figure(curves, found), caption, n_points))
    if curves.vdos:
        figures.append(Drawn('spectrum', 'Spectrum from dynamics', spectrum_figure(curves), _spectrum_caption(curves)))
    more = (
        (
            'autocorrelation',
            'Velocity autocorrelation',
            autocorrelation_figure(curves),
            'Weighted with the masses, one at lag zero: what the spectrum from dynamics is transformed from. Shaded: '
            'the range over the trajectories. At most the first picosecond is in sight; the CSV file has all lags.',
        ),
        (
            'thermal',
            'Thermal properties',
            thermal_figure(results),
            'Of a mole of the cells that the phonons are of, primitive ones unless the given cell was asked for; '
            f'harmonic, at constant volume. {_NOT_COUNTED}{imaginary_text(results)}',
        ),
        (
            'displacements',
            'Mean-square displacements',
            displacement_figure(results),
            f'Of an atom of each element, the three directions summed, harmonic. {_NOT_COUNTED}',
        ),
        (
            'gruneisen',
            'Grüneisen parameters',
            gruneisen_figure(curves),
            'How each frequency follows the volume, γ = −∂ln ω/∂ln V, along the path of the dispersion. Where a mode '
            'has no frequency there is a gap. Outliers, as close to Γ, may lie outside; the CSV file has them.',
        ),
        (
            'errors',
            'Errors of the energies',
            error_figure(error_rows(results)),
            'A point a member of what was fitted, and of the kinds of Δ that were only compared.',
        ),
        (
            'learning',
            'Learning curve',
            learning_figure(results['learning_curve']),
            'The largest sd at each point against the number of energies computed.',
        ),
    )
    return [*figures, *(Drawn(name, title, figure, caption) for name, title, figure, caption in more if figure)]


def tables_of(results: Mapping[str, Any], found: Sequence[Residual]) -> list[Table]:
    """Return the tables that have a row.

    :param found: the comparison with references.
    """
    tables = (
        special_points_table(results),
        residual_table(found),
        peaks_table(results['dynamics']),
        sampling_table(results['dynamics']),
        error_table(error_rows(results)),
        learning_table(results['learning_curve']),
        born_table(results),
        force_constants_table(results),
    )
    return [table for table in tables if table is not None]


def listed(names: Sequence[str]) -> str:
    """Write names as a person lists them."""
    return names[0] if len(names) == 1 else f'{", ".join(names[:-1])} and {names[-1]}'


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
