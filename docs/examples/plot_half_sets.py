"""Draw the errors that ``half_sets.py`` measured, and print them as a table.

``python docs/examples/plot_half_sets.py half_sets_diamond.json half_sets_diamond.svg``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

STYLES = {
    'rescaling': ('#777777', '^', 'E(DFT) rescaled'),
    'mace': ('#D55E00', 'o', 'mace'),
    'readout': ('#0072B2', 's', 'readout'),
    'force-constants': ('#009E73', 'D', 'force constants'),
}
"""Kind → colour of Okabe and Ito's palette, marker, words."""

ENERGY, SUM, FORCES = 'energy_rmse_mev_atom', 'sum_energy_rmse_mev_atom', 'forces_rmse_mev_angstrom'
_ROOM = 0.8
_LARGEST_STEP = 0.2


def name_of(method: str, base_method: str) -> str:
    """Return how the article calls the force field of a method."""
    if method == base_method:
        return f'ML({method}_E,F)'
    return f'ML({base_method}_E)' if method.startswith(base_method) else f'ΔML({method})'


def draw(result: Mapping[str, Any]) -> Figure:
    """Return a figure of the energy errors of all models, and of the force errors of those of the functional."""
    figure = Figure(figsize=(10.0, 4.4), layout='constrained')
    energies, forces = figure.subplots(1, 2, width_ratios=[4.0, 1.0])
    _draw_errors(energies, result, ENERGY)
    energies.set_ylabel('energy RMSE, meV/atom')
    _draw_errors(forces, result, FORCES)
    forces.set_ylabel('force RMSE, meV/Å')
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle='none', label=words)
        for colour, marker, words in STYLES.values()
    ]
    halves = [
        Line2D([], [], color='black', marker='o', linestyle='none', label='other half, one seed'),
        Line2D([], [], color='black', marker='o', fillstyle='none', linestyle='none', label='learnt half, one seed'),
        Line2D([], [], color='black', linewidth=2.0, label='mean over seeds'),
    ]
    figure.legend(handles=[*handles, *halves], loc='outside lower center', ncols=7, frameon=False, fontsize='small')
    return figure


def _draw_errors(axis: Axes, result: Mapping[str, Any], quantity: str) -> None:
    """Draw a column for each model and kind: the learnt half on the left of its middle, the other on the right."""
    models = list(dict.fromkeys(entry['method'] for entry in result['mean'] if quantity in entry))
    for number, method in enumerate(models):
        columns = [entry for entry in result['mean'] if entry['method'] == method]
        step = min(_LARGEST_STEP, _ROOM / len(columns))
        for place, mean in enumerate(columns):
            colour, marker, _ = STYLES[mean['kind']]
            middle = number + step * (place - (len(columns) - 1) / 2)
            for half, side, filling in (('train', -0.2, 'none'), ('test', 0.2, 'full')):
                x = middle + side * step
                values = [entry[quantity][half] for entry in _of_seeds(result, method, mean['kind'])]
                style = {'color': colour, 'marker': marker, 'fillstyle': filling, 'linestyle': 'none', 'alpha': 0.7}
                axis.plot(np.full(len(values), x), values, markersize=4, markeredgewidth=0.8, **style)
                across = np.array([-0.18, 0.18]) * step
                axis.plot(x + across, [mean[quantity][half]] * 2, color='black', linewidth=2.0, zorder=3)
    for border in range(1, len(models)):
        axis.axvline(border - 0.5, color='0.85', linewidth=0.8, zorder=0)
    names = [name_of(method, result['base_method']).replace('(', '\n(', 1) for method in models]
    axis.set_xticks(range(len(models)), names)
    axis.set_xlim(-0.5, len(models) - 0.5)
    axis.set_yscale('log')
    for formatter in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
        formatter(FuncFormatter(_plain))
    axis.tick_params(axis='y', which='minor', labelsize='x-small')
    axis.grid(axis='y', which='both', alpha=0.25)


def _plain(value: float, _position: int | None) -> str:
    """Label 1, 2 and 5 of each decade."""
    return f'{value:g}' if f'{value:e}'[0] in '125' else ''


def _of_seeds(result: Mapping[str, Any], method: str, kind: str) -> Iterator[Mapping[str, Any]]:
    for entries in result['seeds'].values():
        yield from (entry for entry in entries if (entry['method'], entry['kind']) == (method, kind))


def table(result: Mapping[str, Any]) -> str:
    """Return the errors in Markdown: means over the seeds on both halves, and each seed on the half it did not see."""
    base_method = result['base_method']
    energies = [['model', 'kind', 'learnt half', 'other half', 'base + Δ', *result['seeds']]]
    forces = [['model', 'learnt half', 'other half', *result['seeds']]]
    for mean in result['mean']:
        name, kind = name_of(mean['method'], base_method), mean['kind']
        seeds = list(_of_seeds(result, mean['method'], kind))
        whole = _number(mean[SUM]['test']) if SUM in mean else ''
        energies.append([name, kind, *_halves(mean, ENERGY), whole, *(_halves(e, ENERGY)[1] for e in seeds)])
        if FORCES in mean:
            forces.append([name, *_halves(mean, FORCES), *(_halves(e, FORCES)[1] for e in seeds)])
    return f'Energies, RMSE in meV/atom:\n\n{_lines(energies)}\n\nForces, RMSE in meV/Å:\n\n{_lines(forces)}'


def _halves(entry: Mapping[str, Any], quantity: str) -> list[str]:
    return [_number(entry[quantity][half]) for half in ('train', 'test')]


def _number(value: float) -> str:
    return f'{value:.3g}' if value < 100 else f'{value:.0f}'


def _lines(rows: Sequence[Sequence[str]]) -> str:
    return '\n'.join(f'| {" | ".join(row)} |' for row in (rows[0], ['---'] * len(rows[0]), *rows[1:]))


def main(source: str, target: str) -> None:
    """Read what the study wrote, print the table and write the figure."""
    result = json.loads(Path(source).read_text())
    print(table(result))
    draw(result).savefig(target, metadata={'Date': None})


if __name__ == '__main__':
    main(*sys.argv[1:])
