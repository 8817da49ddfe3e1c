"""Draw the learning curve that the benchmark of Δ measured.

``python -m tests.benchmarks.delta --data DIR > delta.json``, then
``python docs/examples/plot_learning_curve.py delta.json learning_curve.svg``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

STYLES = {
    ('random', False): ('#999999', 'o', '--', 'random'),
    ('optimal', False): ('#0072B2', 's', '--', 'chosen'),
    ('random', True): ('#E69F00', 'o', '-', 'random, HF and MP2 of all'),
    ('optimal', True): ('#D55E00', 's', '-', 'chosen, HF and MP2 of all'),
}
"""(selection, whether cheaper methods help) → colour of Okabe and Ito's palette, marker, line, words."""

TITLES = {'gamma': 'Γ', 'x_ta': 'X, TA', 'x_lao': 'X, LA/LO', 'x_to': 'X, TO'}


def draw(result: dict[str, Any]) -> Figure:
    """Return a panel for each mode: the spread of its frequency over designs against the number of energies."""
    curve = result['learning_curve']
    modes = list(curve[0]['spread_cm1'])
    figure = Figure(figsize=(3.0 * len(modes), 3.4), layout='constrained')
    axes = figure.subplots(1, len(modes), sharey=True, squeeze=False)[0]
    for axis, mode in zip(axes, modes, strict=True):
        for (selection, covariates), (colour, marker, line, words) in STYLES.items():
            points = [e for e in curve if (e['selection'], e['covariates']) == (selection, covariates)]
            x, y = [e['n'] for e in points], [e['spread_cm1'][mode] for e in points]
            axis.plot(x, y, color=colour, marker=marker, linestyle=line, label=words)
            axis.plot(x, [e['stated_sd_cm1'][mode] for e in points], color=colour, linestyle=':', linewidth=1)
        axis.set(title=TITLES.get(mode, mode), xlabel='CCSD(T) energies', xscale='log', yscale='log')
        axis.set_xticks(sorted({e['n'] for e in curve}), [str(n) for n in sorted({e['n'] for e in curve})])
        axis.set_yticks([1, 2, 5, 10, 20], ['1', '2', '5', '10', '20'])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel('spread of the frequency, cm⁻¹')
    axes[0].legend(fontsize='small')
    return figure


def main(source: str, target: str) -> None:
    """Read the benchmark's JSON and write the figure."""
    draw(json.loads(Path(source).read_text())).savefig(target, metadata={'Date': None})


if __name__ == '__main__':
    main(*sys.argv[1:])
