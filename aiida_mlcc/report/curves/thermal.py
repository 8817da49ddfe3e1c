"""Over temperature: free energy, entropy, heat capacity, mean-square displacements."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from aiida import orm

from aiida_mlcc.report.csv_files import of_temperature
from aiida_mlcc.report.curve_table import Drawn, Files, Shown
from aiida_mlcc.report.data.arrays import over_temperature
from aiida_mlcc.report.data.records import HarmonicResults, OverTemperature, Results
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.traces import stacked

if TYPE_CHECKING:
    import plotly.graph_objects as go

QUANTITIES = {
    'free_energy_kJ_mol': ('free energy', 'kJ/mol'),
    'entropy_J_K_mol': ('entropy', 'J K⁻¹ mol⁻¹'),
    'heat_capacity_J_K_mol': ('heat capacity', 'J K⁻¹ mol⁻¹'),
}
"""Of a mole of cells, primitive by default: how each is called, and its unit."""

_TEMPERATURE = 'temperature (K)'


_NOT_COUNTED = 'The acoustic modes at Γ and imaginary modes do not count.'


def read(nodes: Mapping[str, orm.Data]) -> HarmonicResults:
    """Return ``thermal_properties`` (of a mole of cells), ``mean_square_displacements_A2`` and ``imaginary_share``.

    The first two: ``temperatures_K`` and QUANTITY → mean, min, max, sd over the members and the ``members`` themselves.
    The last: member → which share of the modes is imaginary and does not count in these, empty where it is not known.
    """
    found: HarmonicResults = {}
    if (node := nodes.get('thermal_properties')) is not None:
        found['thermal_properties'] = read_temperatures(node)
        found['imaginary_share'] = _imaginary_share(node)
    if (node := nodes.get('mean_square_displacements')) is not None:
        found['mean_square_displacements_A2'] = read_temperatures(node)
        found['imaginary_share'] = _imaginary_share(node)
    return found


def _imaginary_share(node: orm.ArrayData) -> dict[str, float]:
    return node.base.attributes.get('imaginary_share', None) or {}


def thermal_figure(results: Results) -> go.Figure | None:
    """Return free energy, entropy and heat capacity, a panel each; None where a run has none."""
    found = over_temperature(results, 'thermal_properties')
    panels, told = {}, {}
    for quantity, (name, unit) in QUANTITIES.items():
        if quantity in found:
            title = f'{name}<br>({unit})'
            panels[title] = list(found[quantity].values())
            told[title] = f'%{{x:.0f}} K: {name} %{{y:.3f}} {unit}'
    return stacked(panels, _TEMPERATURE, told, 3) if panels else None


def displacement_figure(results: Results) -> go.Figure | None:
    """Return the mean-square displacements, Å², a panel an element; None where a run has none."""
    panels, told = {}, {}
    for element, curves in over_temperature(results, 'mean_square_displacements_A2').items():
        title = f'⟨u²⟩ of {escape(element)}<br>(Å²)'
        panels[title] = list(curves.values())
        told[title] = f'%{{x:.0f}} K: {escape(element)} %{{y:.5f}} Å²'
    return stacked(panels, _TEMPERATURE, told, 5) if panels else None


def imaginary_text(results: Results) -> str:
    """Return a sentence on the methods with imaginary modes, the largest share of a member; empty without any."""
    largest = {
        m: max(entry.get('imaginary_share', {}).values(), default=0.0) for m, entry in results['methods'].items()
    }
    told = [f'{method} {100 * share:.2g} %' for method, share in largest.items() if share > 0]
    return f' Imaginary, of all modes: {", ".join(told)}.' if told else ''


def read_temperatures(node: orm.ArrayData) -> OverTemperature:
    """Return ``temperatures_K`` and QUANTITY → mean, min, max, sd over the members and the ``members`` themselves."""
    attributes = node.base.attributes
    found: OverTemperature = {'temperatures_K': node.get_array('temperatures_K').tolist()}
    for quantity in attributes.get('quantities'):
        every = node.get_array(f'{quantity}_members').tolist()
        mean, low, high, sd = (node.get_array(f'{quantity}_{name}').tolist() for name in ('mean', 'min', 'max', 'sd'))
        members = dict(zip(attributes.get('members'), every, strict=True))
        found[quantity] = {'mean': mean, 'min': low, 'max': high, 'sd': sd, 'members': members}
    return found


def _figures(found: Findings) -> list[Drawn]:
    of_a_mole = (
        'Of a mole of the cells that the phonons are of, primitive ones unless the given cell was asked for; '
        f'harmonic, at constant volume. {_NOT_COUNTED}{imaginary_text(found.results)}'
    )
    of_an_atom = f'Of an atom of each element, the three directions summed, harmonic. {_NOT_COUNTED}'
    drawn = []
    if (figure := thermal_figure(found.results)) is not None:
        drawn.append(Drawn('thermal', 'Thermal properties', figure, of_a_mole, place=40))
    if (figure := displacement_figure(found.results)) is not None:
        drawn.append(Drawn('displacements', 'Mean-square displacements', figure, of_an_atom, place=50))
    return drawn


def _files(found: Findings) -> list[Files]:
    return [
        Files('thermal', of_temperature(found.results, 'thermal_properties', '{}'), 70, ('thermal_properties',)),
        Files(
            'mean_square_displacements',
            of_temperature(found.results, 'mean_square_displacements_A2', '{}_A2'),
            80,
            ('mean_square_displacements',),
        ),
    ]


def _missing(found: Findings) -> list[str]:
    there = any('thermal_properties' in entry for entry in found.results['methods'].values())
    return [] if there else ['thermal properties']


SHOWN = Shown(
    part='methods',
    outputs=('thermal_properties', 'mean_square_displacements'),
    read=read,
    units={
        'thermal_properties': 'in the names, of a mole of cells',
        'mean_square_displacements_A2': 'Å²',
        'imaginary_share': 'share of the modes',
    },
    figures=_figures,
    files=_files,
    missing=_missing,
    place=40,
)
