"""The tables of the page as plain text in cells; the template escapes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aiida_mlcc.report.data.delta_verdicts import MARK, judged_fits, marked_methods, undetermined_of, verdict_of
from aiida_mlcc.report.data.modes import label_at_gamma, qpoint_text
from aiida_mlcc.report.data.records import LearningCurve, Results, SpecialPoint
from aiida_mlcc.report.data.references import Residual
from aiida_mlcc.report.text import (
    PRETTY,
    error_number,
    frequency_text,
    lo_missing,
    lo_remarks,
    mode_groups,
    sd_remarks,
)
from aiida_mlcc.science.errors.frequency_error_bars import CONTRIBUTIONS
from aiida_mlcc.science.fit.fit_errors import DipoleWeight, FitErrors, SuspiciousEnergy

_NONE = '–'
_CAUSES = {
    'seeds': 'seeds',
    'bootstrap': 'bootstrap',
    'kinds': 'kinds of Δ',
    'long_range': 'long range',
    'base': 'base',
    'label_noise': 'of bootstrap label noise',
    'long_range_statistical': 'of bootstrap long range',
}
_BY = {
    'held-out': 'frames left out',
    'amplitudes': 'the smaller amplitudes',
    'nothing': 'nothing: frozen phonons in one amplitude',
}
_ALWAYS = ('seeds', 'bootstrap', 'kinds', 'label_noise')


@dataclass(frozen=True)
class Table:
    """A table of text.

    :param groups: a heading (empty for none) and the rows below it; the first cell of a row names it.
    :param methods: the method of each column, empty for columns of none, so that the page can hide them.
    :param group_methods: the method of each group, where every group has one.
    :param folded: to be unfolded by who wants to read it.
    """

    caption: str
    header: Sequence[str]
    groups: Sequence[tuple[str, Sequence[Sequence[str]]]]
    note: str = ''
    methods: Sequence[str] = field(default_factory=tuple)
    group_methods: Sequence[str] = field(default_factory=tuple)
    folded: bool = False


@dataclass(frozen=True)
class ErrorRow:
    """The errors of one force field: `energy` and `spread` in meV/atom, `forces` in meV/Å, None where not known.

    :param kind: on which frames the energies were judged.
    :param shift: the largest error of a frequency by the residual forces, in words.
    """

    method: str
    member: str
    energy: float | None
    kind: str
    forces: float | None
    spread: float | None
    shift: str


def special_points_table(results: Results) -> Table | None:
    """Return the frequencies at the special points, mean ± sd, a column a method."""
    methods = list(results['methods'])
    groups, extrapolated = [], False
    for label in _labels(results):
        found = {m: results['methods'][m]['special_points_cm1'].get(label) for m in methods}
        known = [entry for entry in found.values() if entry]
        marked = any(entry['commensurate'] is False for entry in known)
        extrapolated |= marked
        rows = [_point_row(results, found, label, first, last) for first, last in mode_groups(found, label)]
        groups.append((_point_text(label, known[0]['qpoint'], marked), rows))
    if not groups:
        return None
    budget = any(
        entry.get('contributions') for m in methods for entry in results['methods'][m]['special_points_cm1'].values()
    )
    sd = 'sd of the error budget' if budget else 'sd over the members; there is no error budget'
    note = f'Mean over the members ± {sd}; the acoustic modes at Γ are left out.'
    if any(results['methods'][method].get('gamma_modes') for method in methods):
        note += ' Beside the modes at Γ, their irreducible representation; a mode that LO–TO splitting moves has none.'
    if missing := lo_missing(results):
        note = f'{missing} {note}'
    marked_ones = marked_methods(results)
    names = [f'{method} {MARK}' if method in marked_ones else method for method in methods]
    if marked_ones:
        note += (
            f' {MARK} The Δ of this method only rescales, or predicts no better than that: see What each Δ is worth.'
        )
    note = ' '.join([note, *sd_remarks(results), *lo_remarks(results)])
    if extrapolated:
        note += ' * This wave vector is not commensurate with the training cell: frequencies are extrapolated there.'
    return Table('Frequencies at the special points (cm⁻¹)', ['modes', *names], groups, note, ['', *methods])


def residual_table(residuals: Iterable[Residual]) -> Table | None:
    """Return calculated minus reference, a row a reference and method; None without any."""
    groups: dict[Any, list[list[str]]] = {}
    for entry in residuals:
        cells = [entry.calculated_text, f'{entry.residual_cm1:+.1f}']
        groups.setdefault(entry.point, []).append([entry.method, *cells])
    if not groups:
        return None
    headed = []
    for point, rows in groups.items():
        where = PRETTY.get(point.label, point.label) if point.label else f'({qpoint_text(point.qpoint)})'
        error = '' if point.uncertainty_cm1 is None else f' ± {point.uncertainty_cm1:.1f}'
        modes = ', '.join(map(str, point.modes))
        source = f'{point.citation}, doi:{point.doi}' if point.doi else point.citation
        note = f' ({point.note})' if point.note else ''
        headed.append(
            (f'{where}, modes {modes}: {point.kind} {point.frequency_cm1:.1f}{error} cm⁻¹; {source}{note}', rows)
        )
    header = ['method', 'calculated (cm⁻¹)', 'calculated − reference (cm⁻¹)']
    return Table(
        'References and residuals', header, headed, 'The sd is that of the calculated frequency, where it is known.'
    )


def error_rows(results: Results) -> list[ErrorRow]:
    """Return the errors of every force field: of one member, with the kinds of Δ that were only compared."""
    rows = []
    for method, entry in results['methods'].items():
        for kind, members in {'': entry['errors'], **entry['alternatives']}.items():
            for member, errors in members.items():
                if isinstance(errors, Mapping):
                    rows.append(_error_row(method, f'{member} ({kind})' if kind else member, errors))
    return rows


def error_table(rows: Sequence[ErrorRow]) -> Table | None:
    """Return the errors of the force fields, a row a member; None where there are none."""
    if not rows:
        return None
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        cells = [row.member, number_text(row.energy, 3), row.kind, number_text(row.forces, 1)]
        groups.setdefault(row.method, []).append([*cells, number_text(row.spread, 2), row.shift])
    header = ['member', 'energies (meV/atom)', 'on', 'forces (meV/Å)', 'spread of what is learnt (meV/atom)']
    header.append('largest frequency error by residual forces (cm⁻¹)')
    note = 'Root mean square errors. An energy error means little without the spread of what is learnt.'
    return Table('Errors of the force fields', header, list(groups.items()), note, group_methods=list(groups))


def verdict_table(results: Results) -> Table | None:
    """Return what every Δ is worth, a row for all members of the same fit; None where none was judged."""
    groups: dict[str, list[list[str]]] = {}
    for method, members, errors in judged_fits(results):
        numbers = [
            number_text(value, 3)
            for value in (
                errors.get('predicted_rmse_mev_atom'),
                errors.get('predicted_rescaling_mev_atom'),
                errors.get('spread_mev_atom'),
            )
        ]
        judged_by = _BY.get(errors.get('judged_by', ''), '')
        gain = number_text(errors.get('evidence_gain'), 1)
        groups.setdefault(method, []).append([', '.join(members), verdict_of(errors) or '', judged_by, *numbers, gain])
    if not groups:
        return None
    header = ['member', 'found', 'judged by', 'Δ (meV/atom)', 'rescaled energy (meV/atom)', 'constant (meV/atom)']
    header.append('gain in ln evidence')
    note = (
        'Errors of energies that the fit has not seen. A gain of at most 3 over rescaling: the labels support the '
        'rescaled energy of the base alone, and that is used.'
    )
    return Table('What each Δ is worth', header, list(groups.items()), note, group_methods=list(groups))


def undetermined_table(results: Results) -> Table | None:
    """Return the modes that the labels of a method do not determine, a row a mode; None where there are none."""
    groups = [
        (
            method,
            [
                [f'({qpoint_text(mode["qpoint"])})', f'{mode["frequency_cm1"]:.1f}', f'{100 * mode["share"]:.0f} %']
                for mode in modes
            ],
        )
        for method, _, modes in undetermined_of(results)
    ]
    if not groups:
        return None
    note = 'Of the prior variance of its change, the labels of a mode that they determine remove at least half.'
    header = ['wave vector', 'frequency of the base (cm⁻¹)', 'removed by the labels']
    methods = [method for method, _ in groups]
    return Table('Modes that the labels do not determine', header, groups, note, group_methods=methods)


def suspicious_table(results: Results) -> Table | None:
    """Return the energies that all others of their method contradict, a row an energy; None where there are none."""
    groups: dict[str, list[list[str]]] = {}
    for method, entry in results['methods'].items():
        found: dict[int, SuspiciousEnergy] = {}
        for members in (entry['errors'], *entry['alternatives'].values()):
            for errors in members.values():
                for label in errors.get('suspicious_labels', ()) if isinstance(errors, Mapping) else ():
                    found.setdefault(label['frame'], label)
        if found:
            groups[method] = [
                [
                    str(frame),
                    f'{1000 * label["residual_ev"]:+.1f}',
                    f'{label["deviations"]:.1f}',
                    'yes' if label.get('left_out') else 'no',
                ]
                for frame, label in sorted(found.items())
            ]
    if not groups:
        return None
    note = (
        'What the fit of Δ to all energies leaves of these, more than five of its errors: calculate them again, or set '
        '`delta_train.delta.force_constants.parameters.leave_out_suspicious`. Frames are those of the snapshots of the '
        'run, counted from 0.'
    )
    header = ['frame', 'off by (meV per cell)', 'in errors of the fit', 'left out']
    return Table('Suspicious energies', header, list(groups.items()), note, group_methods=list(groups))


def budget_tables(results: Results) -> dict[str, Table]:
    """Return for each method the sd at the special points and what it is made of (cm⁻¹)."""
    tables = {}
    for method, content in results['methods'].items():
        groups = []
        there = [entry['contributions'] for entry in content['special_points_cm1'].values()]
        causes = [name for name in CONTRIBUTIONS if name in _ALWAYS or any(entry.get(name) for entry in there)]
        for label, entry in content['special_points_cm1'].items():
            if not entry['contributions']:
                continue
            rows = []
            for first, last in mode_groups({method: entry}, label):
                parts = [entry['contributions'].get(name) for name in causes]
                mean = f'{np.mean(entry["mean"][first : last + 1]):.1f}'
                cells = [_largest(part, first, last) for part in (entry['sd'], *parts)]
                rows.append([_modes_text(first, last), mean, *cells])
            groups.append((_point_text(label, entry['qpoint'], entry['commensurate'] is False), rows))
        if groups:
            header = ['modes', 'mean', 'sd', *(_CAUSES.get(name, name) for name in causes)]
            tables[method] = Table(f'Error budget of {method} (cm⁻¹)', header, groups)
    return tables


def long_range_table(results: Results) -> Table | None:
    """Return how strong the dipoles of every method are beside the base's, a row for all members of the same fit."""
    groups = []
    for method, entry in results['methods'].items():
        rows: dict[tuple[str, ...], list[str]] = {}
        for member, errors in entry['errors'].items():
            if far := errors.get('long_range') if isinstance(errors, Mapping) else None:
                rows.setdefault(tuple(_long_range_cells(far)), []).append(member)
        if rows:
            groups.append((method, [[', '.join(members), *cells] for cells, members in rows.items()]))
    if not groups:
        return None
    header = ['member', 'weight w', 'statistical', 'systematic', 'Z*²/ε∞', 'gain in ln evidence']
    note = (
        "The dipole–dipole energy is w times that of the Born charges given, which is the base's. A gain of less "
        'than 3: the energies do not tell it from the rescaled base. Z*²/ε∞ for cubic crystals of two atoms.'
    )
    methods = [method for method, _ in groups]
    return Table('Dipole–dipole interaction', header, groups, note, group_methods=methods, folded=True)


def _long_range_cells(far: DipoleWeight) -> list[str]:
    strength = _NONE
    if 'c_total' in far:
        error = float(np.hypot(far['c_statistical'], far['c_systematic']))
        strength = f'{far["c_total"]:.3f} ± {error:.3f}'
    doubt = '' if far['determined'] else ' (may be zero)'
    numbers = [f'{value:.3f}' for value in (far['statistical'], far['systematic'])]
    return [f'{far["weight"]:.3f}{doubt}', *numbers, strength, f'{far["evidence"]:.1f}']


def learning_table(learning_curve: LearningCurve) -> Table | None:
    """Return the rounds of labelling with the largest sd at each q-point; None without rounds."""
    rounds = learning_curve.get('rounds') or []
    labels = list(dict.fromkeys(label for entry in rounds for label in entry.get('sd_cm1') or {}))
    if not rounds:
        return None
    rows = []
    for entry in rounds:
        spread = entry.get('sd_cm1') or {}
        cells = [f'{max(spread[label]):.2f}' if spread.get(label) else _NONE for label in labels]
        rows.append([str(entry.get('method', _NONE)), str(entry.get('n_labels', _NONE)), *cells])
    header = ['method', 'energies', *(f'sd at {PRETTY.get(label, label)} (cm⁻¹)' for label in labels)]
    target = learning_curve.get('target_sd_cm1')
    return Table('Learning curve', header, [('', rows)], '' if target is None else f'Target: {target:g} cm⁻¹.')


def number_text(value: float | None, digits: int) -> str:
    """Write a number with `digits` after the point, a dash where there is none."""
    return _NONE if value is None else f'{value:.{digits}f}'


def _labels(results: Results) -> list[str]:
    points = (content['special_points_cm1'] for content in results['methods'].values())
    return list(dict.fromkeys(label for found in points for label in found))


def _point_text(label: str, qpoint: Sequence[float], marked: bool) -> str:
    return f'{PRETTY.get(label, label)} ({qpoint_text(qpoint)}){" *" if marked else ""}'


def _point_row(
    results: Results, found: Mapping[str, SpecialPoint | None], label: str, first: int, last: int
) -> list[str]:
    """Return the row of a group of modes; its label at Γ stands beside them, or in each cell if not all share it."""
    cells = [frequency_text(entry, first, last) for entry in found.values()]
    labels = [
        label_at_gamma(
            results['methods'][method].get('gamma_modes', ()),
            float(np.mean(entry['mean'][first : last + 1])),
            last - first + 1,
        )
        if entry and label == 'GAMMA'
        else ''
        for method, entry in found.items()
    ]
    modes = _modes_text(first, last)
    shared = {name for name, entry in zip(labels, found.values(), strict=True) if entry}
    if len(shared) == 1:
        return [f'{modes} {shared.pop()}'.rstrip(), *cells]
    return [modes, *(f'{cell} {name}'.rstrip() for cell, name in zip(cells, labels, strict=True))]


def _modes_text(first: int, last: int) -> str:
    return str(first + 1) if first == last else f'{first + 1}–{last + 1}'


def _largest(values: Sequence[float] | None, first: int, last: int) -> str:
    return _NONE if values is None else f'{max(values[first : last + 1]):.1f}'


def _error_row(method: str, member: str, errors: FitErrors) -> ErrorRow:
    crossed = error_number(errors, 'cv_rmse_mev_atom')
    energy = error_number(errors, 'energy_rmse_mev_atom') if crossed is None else crossed
    held_out = 'valid' in errors or any(str(name).startswith('valid') for name in errors)
    kind = 'cross-validation' if crossed is not None else 'validation' if held_out else 'training set'
    shift = _NONE
    if residuals := errors.get('projected_residuals'):
        worst = max(residuals, key=lambda mode: abs(mode['shift_cm1']))
        where = qpoint_text(worst['qpoint'])
        shift = f'{-worst["shift_cm1"]:+.1f} ± {worst["standard_error_cm1"]:.1f} at ({where})'
    return ErrorRow(
        method,
        member,
        energy,
        _NONE if energy is None else kind,
        error_number(errors, 'forces_rmse_mev_angstrom'),
        error_number(errors, 'spread_mev_atom'),
        shift,
    )
