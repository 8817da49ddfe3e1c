"""What the page shows of the harmonic crystal besides frequencies: Grüneisen parameters, charges, symmetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_mlcc.report.curves import Curves
from aiida_mlcc.report.page_tables import Table
from aiida_mlcc.report.page_traces import branches, layout, wave_vector

if TYPE_CHECKING:
    import plotly.graph_objects as go

_OUTER = 1.0
"""Per cent of the values at either end that may lie outside the figure: close to Γ some are beyond any scale."""

_COMPONENTS = [f'{a}{b}' for a in 'xyz' for b in 'xyz']
_NOISE = 5e-4
"""Components that round to zero in all tensors are left out."""

_SYMMETRY = {
    'translation_eV_A2': 'sum over neighbours (eV/Å²)',
    'permutation_eV_A2': 'Φᵢⱼ − Φⱼᵢᵀ (eV/Å²)',
    'largest_eV_A2': 'largest of Φ (eV/Å²)',
    'residual_force_eV_A': 'force at rest (eV/Å)',
}


def gruneisen_figure(curves: Curves) -> go.Figure | None:
    """Return the Grüneisen parameters along the path; None where a run has none."""
    import plotly.graph_objects as go

    if not curves.gruneisen:
        return None
    figure = go.Figure(layout=layout(height=400))
    for curve in curves.gruneisen.values():
        figure.add_traces(branches(curve, '', 2))
    path = next(iter(curves.gruneisen.values())).path
    figure.update_layout(xaxis=wave_vector(path.ticks))
    figure.update_xaxes(range=[float(path.distances[0]), float(path.distances[-1])])
    known = np.concatenate([curve.mean[np.isfinite(curve.mean)] for curve in curves.gruneisen.values()])
    title = {'title': {'text': 'Grüneisen parameter γ', 'standoff': 6}, 'zeroline': True, 'zerolinecolor': '#9aa2ab'}
    figure.update_yaxes(**title)
    if known.size:
        low, high = np.percentile(known, [_OUTER, 100 - _OUTER])
        room = 0.15 * max(high - low, 0.1)
        figure.update_yaxes(range=[float(low - room), float(high + room)])
    return figure


def born_table(results: Mapping[str, Any]) -> Table | None:
    """Return Born charges (e) and dielectric tensor as used, and what was corrected; methods that share them once."""
    shared: dict[str, tuple[list[str], Mapping[str, Any]]] = {}
    for method, entry in results['methods'].items():
        if (content := entry.get('born_charges')) is not None:
            rounded = np.round(np.concatenate([content['born_charges'], [content['dielectric']]]), 6)
            shared.setdefault(f'{rounded.tolist()} {content["report"]}', ([], content))[0].append(method)
    if not shared:
        return None
    tensors = [np.array([*content['born_charges'], content['dielectric']]) for _, content in shared.values()]
    largest = np.max([np.abs(of_methods.reshape(-1, 9)).max(axis=0) for of_methods in tensors], axis=0)
    diagonal = [0, 4, 8]
    chosen = diagonal + [number for number in range(9) if number not in diagonal and largest[number] > _NOISE]
    groups = []
    for (methods, content), of_methods in zip(shared.values(), tensors, strict=True):
        names = [*_atom_names(content), 'ε∞']
        rows = [
            [name, *(f'{value:.3f}' for value in np.round(tensor.ravel()[chosen], 3) + 0.0)]
            for name, tensor in zip(names, of_methods, strict=True)
        ]
        groups.append((', '.join(methods), rows))
    told = {', '.join(methods): content['report'] for methods, content in shared.values() if content['report']}
    reports = [f'{report}.' if len(shared) == 1 else f'{names}: {report}.' for names, report in told.items()]
    note = ['As used for the LO–TO splitting. Z*: Born effective charges (e); ε∞: dielectric tensor.', *reports]
    if len(chosen) < 9:
        note.append('Components that are zero are left out.')
    header = ['tensor', *(_COMPONENTS[number] for number in chosen)]
    return Table('Born charges and dielectric tensor', header, groups, ' '.join(note))


def force_constants_table(results: Mapping[str, Any]) -> Table | None:
    """Return by how much force constants broke the symmetry that was enforced, a row a member."""
    found = {m: entry['force_constants'] for m, entry in results['methods'].items() if entry.get('force_constants')}
    if not found:
        return None
    groups = [
        (method, [[member, *(_size(sizes.get(name)) for name in _SYMMETRY)] for member, sizes in members.items()])
        for method, members in found.items()
    ]
    note = 'The largest component of each, before the symmetry of translations and permutations was enforced.'
    header = ['member', *_SYMMETRY.values()]
    return Table('Symmetry of the force constants', header, groups, note, group_methods=list(found), folded=True)


def _atom_names(content: Mapping[str, Any]) -> list[str]:
    n_atoms = len(content['born_charges'])
    symbols: Sequence[str] = content['atoms'] if len(content['atoms']) == n_atoms else ['atom'] * n_atoms
    return [f'Z* of {symbol} {number + 1}' for number, symbol in enumerate(symbols)]


def _size(value: float | None) -> str:
    return '–' if value is None else f'{value:.2g}'
