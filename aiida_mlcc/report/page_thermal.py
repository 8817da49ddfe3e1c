"""What the page shows over temperature: free energy, entropy, heat capacity, mean-square displacements."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from aiida_mlcc.report.curves import over_temperature
from aiida_mlcc.report.page_traces import stacked

if TYPE_CHECKING:
    import plotly.graph_objects as go

QUANTITIES = {
    'free_energy_kJ_mol': ('free energy', 'kJ/mol'),
    'entropy_J_K_mol': ('entropy', 'J K⁻¹ mol⁻¹'),
    'heat_capacity_J_K_mol': ('heat capacity', 'J K⁻¹ mol⁻¹'),
}
"""Of a mole of cells, primitive by default: how each is called, and its unit."""

_TEMPERATURE = 'temperature (K)'


def thermal_figure(results: Mapping[str, Any]) -> go.Figure | None:
    """Return free energy, entropy and heat capacity, a panel each; None where a run has none."""
    found = over_temperature(results, 'thermal_properties')
    panels, told = {}, {}
    for quantity, (name, unit) in QUANTITIES.items():
        if quantity in found:
            title = f'{name}<br>({unit})'
            panels[title] = list(found[quantity].values())
            told[title] = f'%{{x:.0f}} K: {name} %{{y:.3f}} {unit}'
    return stacked(panels, _TEMPERATURE, told, 3) if panels else None


def displacement_figure(results: Mapping[str, Any]) -> go.Figure | None:
    """Return the mean-square displacements, Å², a panel an element; None where a run has none."""
    panels, told = {}, {}
    for element, curves in over_temperature(results, 'mean_square_displacements_A2').items():
        title = f'⟨u²⟩ of {escape(element)}<br>(Å²)'
        panels[title] = list(curves.values())
        told[title] = f'%{{x:.0f}} K: {escape(element)} %{{y:.5f}} Å²'
    return stacked(panels, _TEMPERATURE, told, 5) if panels else None


def imaginary_text(results: Mapping[str, Any]) -> str:
    """Return a sentence on the methods with imaginary modes, the largest share of a member; empty without any."""
    largest = {
        m: max(entry.get('imaginary_share', {}).values(), default=0.0) for m, entry in results['methods'].items()
    }
    told = [f'{method} {100 * share:.2g} %' for method, share in largest.items() if share > 0]
    return f' Imaginary, of all modes: {", ".join(told)}.' if told else ''
