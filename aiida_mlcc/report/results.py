"""The results of a run as plain data: no PK and no time, so that an imported run gives the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm

from aiida_mlcc.report.outputs import by_method, outputs_of, plain

_SPREAD = ('qpoint', 'mean', 'min', 'max', 'members')
PRETTY = {'GAMMA': 'Γ'}
"""Labels of q-points as a person writes them."""


def results_of(process: orm.ProcessNode) -> dict[str, Any]:
    """Return what a master WorkChain found, as plain JSON.

    ``methods`` → METHOD → ``special_points_cm1`` → LABEL → ``qpoint`` (fractional), ``mean``, ``min``, ``max`` (cm⁻¹,
    one number a mode) and ``members`` (one list a member), and ``errors`` of its force fields; ``failed``: what is
    missing and why; ``snapshots``: how many, labelled by what, and their identity.
    """
    errors = plain(process, 'errors')
    points = by_method(process, 'special_points')
    methods = {
        method: {'special_points_cm1': _special_points(node.get_dict()), 'errors': errors.get(method, {})}
        for method, node in points.items()
    }
    failed = plain(process, 'failures').get('failed', [])
    return {'methods': methods, 'failed': failed, 'snapshots': _snapshots(process)}


def to_json(results: Mapping[str, Any]) -> str:
    """Return `results` as text: equal results give equal text."""
    return json.dumps(results, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)


def imaginary_lines(process: orm.ProcessNode) -> list[str]:
    """Return one line for each method with imaginary modes beyond the acoustic ones: the lowest, and where it is."""
    lines = []
    for method, node in by_method(process, 'special_points').items():
        flagged = node.get_dict().get('imaginary') or {}
        if not flagged:
            continue
        worst = min(flagged.values(), key=lambda mode: mode['frequency_cm1'])
        where = ' '.join(f'{component:.3g}' for component in worst['qpoint'])
        lines.append(
            f'{method}: imaginary modes in {", ".join(sorted(flagged))}, the lowest {worst["frequency_cm1"]:.0f} cm⁻¹ '
            f'at ({where}): the crystal is not stable in this model.'
        )
    return lines


def _special_points(content: Mapping[str, Any]) -> dict[str, Any]:
    entries = {label: entry for label, entry in content.items() if isinstance(entry, Mapping) and 'qpoint' in entry}
    return {label: {key: entry[key] for key in _SPREAD} for label, entry in entries.items()}


def _snapshots(process: orm.ProcessNode) -> dict[str, Any]:
    node = outputs_of(process).get('snapshots')
    if node is None:
        return {}
    attributes = node.base.attributes.all
    symbols = attributes['symbols']
    return {
        'uuid': node.uuid,
        'content_hash': attributes['content_hash'],
        'n_frames': attributes['n_frames'],
        'n_atoms': attributes['n_atoms'],
        'formula': ''.join(f'{s}{symbols.count(s)}' for s in sorted(set(symbols))),
        'n_labelled': attributes['n_labelled'],
    }


def table(results: Mapping[str, Any], labels: Sequence[str] | None = None) -> str:
    """Return the frequencies at the special points as text: a row a mode, a column a method.

    :param labels: only these points, as far as there are any of that name; all of them if None.
    """
    methods = list(results['methods'])
    known = dict.fromkeys(label for m in methods for label in results['methods'][m]['special_points_cm1'])
    labels = [label for label in known if labels is None or label in labels]
    width = 16
    lines = []
    for label in labels:
        found = {m: results['methods'][m]['special_points_cm1'].get(label) for m in methods}
        qpoint = next(entry['qpoint'] for entry in found.values() if entry)
        where = ' '.join(f'{component:g}' for component in qpoint)
        lines.append(f'{PRETTY.get(label, label)} ({where})'.ljust(22) + ''.join(m.rjust(width) for m in methods))
        n_modes = max(len(entry['mean']) for entry in found.values() if entry)
        for first, last in _modes(found, n_modes, skip=3 if label == 'GAMMA' and n_modes > 3 else 0):
            name = f'mode {first + 1}' if first == last else f'modes {first + 1}-{last + 1}'
            name += ' optical' if label == 'GAMMA' else ''
            cells = [_cell(found[m], first, last) for m in methods]
            lines.append(f'  {name}'.ljust(22) + ''.join(cell.rjust(width) for cell in cells))
        lines.append('')
    return '\n'.join(lines)


def _modes(found: Mapping[str, Any], n_modes: int, skip: int) -> list[tuple[int, int]]:
    """Group modes that are degenerate, to 0.5 cm⁻¹, by every method; the acoustic ones at Γ are left out."""
    groups: list[tuple[int, int]] = []
    for mode in range(skip, n_modes):
        means = [entry['mean'] for entry in found.values() if entry]
        if groups and all(abs(values[mode] - values[groups[-1][0]]) < 0.5 for values in means):
            groups[-1] = (groups[-1][0], mode)
        else:
            groups.append((mode, mode))
    return groups


def _cell(entry: Mapping[str, Any] | None, first: int, last: int) -> str:
    if not entry:
        return '–'
    mean = np.mean(entry['mean'][first : last + 1])
    if len(entry['members']) < 2:
        return f'{mean:.1f}'
    half = (max(entry['max'][first : last + 1]) - min(entry['min'][first : last + 1])) / 2
    return f'{mean:.1f} ± {half:.1f}'


_TOLD = {
    'energy_rmse_mev_atom': 'energies {:.2f} meV/atom',
    'forces_rmse_mev_angstrom': 'forces {:.0f} meV/Å',
    'cv_rmse_mev_atom': 'Δ in cross-validation {:.3f} meV/atom',
    'spread_mev_atom': 'spread of what is learned {:.2f} meV/atom',
}
"""Errors worth a place in the text, by the last part of their name."""


def error_lines(results: Mapping[str, Any]) -> list[str]:
    """Return one line a method on the errors of its force field, with members of the same errors together."""
    members: dict[tuple[str, str], list[str]] = {}
    for method, entry in results['methods'].items():
        for member, errors in entry['errors'].items():
            told = [text.format(value) for name, text in _TOLD.items() if (value := _number(errors, name)) is not None]
            if told:
                members.setdefault((method, ', '.join(told)), []).append(member)
    return [f'{method} {", ".join(names)}: {told}' for (method, told), names in members.items()]


def failure_lines(failed: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line for each thing that is missing: where, what, and why."""
    lines = []
    for entry in failed:
        stage, what = entry.get('stage', ''), entry.get('what', '')
        where = what if not stage or str(what).startswith(stage) else f'{stage}, {what}'
        lines.append(f'{where}: {entry.get("reason", "no reason given")}')
    return lines


def _number(errors: Mapping[str, Any], name: str) -> float | None:
    """Find a number by its name, among the validation errors before those of the training set."""
    for part in ('valid', 'train'):
        if isinstance(errors.get(part), Mapping) and name in errors[part]:
            return errors[part][name]
        if f'{part}_{name}' in errors:
            return errors[f'{part}_{name}']
    value = errors.get(name)
    return value if isinstance(value, (int, float)) else None
