"""Results in words: tables and lines for a terminal, and how points, modes and errors are written everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aiida_mlcc.report.data.delta_verdicts import MARK, marked_methods
from aiida_mlcc.report.data.modes import DEGENERATE_CM1, qpoint_text, undetermined_modes
from aiida_mlcc.report.data.records import Failure, Results, SpecialPoint
from aiida_mlcc.report.publication import make_figures
from aiida_mlcc.science.fit.fit_errors import FitErrors, PhononErrors
from aiida_mlcc.science.phonons.dispersion import three_acoustic

_MARK = '*'
UNDETERMINED = '†'
"""Beside a frequency that nothing determines."""

PRETTY = make_figures.PRETTY
"""Labels of q-points as a person writes them."""


def table(results: Results, labels: Sequence[str] | None = None) -> str:
    """Return the frequencies at the special points as text: a row a mode, a column a method; mean ± sd.

    A point that is not commensurate with the training cell is marked, with a line at the end that says what that means.

    :param labels: only these points, as far as there are any of that name; all of them if None.
    """
    methods = list(results['methods'])
    there = dict.fromkeys(label for m in methods for label in results['methods'][m]['special_points_cm1'])
    labels = [label for label in there if labels is None or label in labels]
    width, marked_ones = 16, marked_methods(results)
    names = {m: f'{m} {MARK}' if m in marked_ones else m for m in methods}
    lines, extrapolated = [], False
    if missing := lo_missing(results):
        lines += [missing, '']
    for label in labels:
        found = {m: results['methods'][m]['special_points_cm1'].get(label) for m in methods}
        known = [entry for entry in found.values() if entry]
        marked = any(entry['commensurate'] is False for entry in known)
        extrapolated |= marked
        where = qpoint_text(known[0]['qpoint'])
        name = f'{PRETTY.get(label, label)} ({where}){f" {_MARK}" if marked else ""}'
        lines.append(name.ljust(22) + ''.join(names[m].rjust(width) for m in methods))
        for first, last in mode_groups(found, label):
            name = f'mode {first + 1}' if first == last else f'modes {first + 1}-{last + 1}'
            acoustic = {mode for entry in known for mode in _acoustic(entry['mean'])}
            if label == 'GAMMA' and acoustic.isdisjoint(range(first, last + 1)):
                name += f' {kind_at_gamma(results, found, first, last)}'
            cells = [frequency_text(found[m], first, last) for m in methods]
            lines.append(f'  {name}'.ljust(22) + ''.join(cell.rjust(width) for cell in cells))
        lines.append('')
    if extrapolated:
        lines += [
            f'{_MARK} This wave vector is not commensurate with the training cell: frequencies are extrapolated there.',
            '',
        ]
    for remark in [*lo_remarks(results), *sd_remarks(results)]:
        lines += [remark, '']
    return '\n'.join(lines)


def lo_missing(results: Results) -> str:
    """Return what to say of a polar crystal without Born charges, empty of any other."""
    methods = [method for method, entry in results['methods'].items() if entry.get('long_range', {}).get('lo_missing')]
    if not methods:
        return ''
    return 'No Born charges were given: at Γ all infrared active modes are TO, and LO is missing.'


def lo_remarks(results: Results) -> list[str]:
    """Return why the modes that are marked are not determined, a line for all methods with the same reason."""
    reasons: dict[str, list[str]] = {}
    for method, entry in results['methods'].items():
        if reason := entry.get('long_range', {}).get('lo_remark'):
            reasons.setdefault(reason, []).append(method)
    return [
        f'{UNDETERMINED} {", ".join(methods)}: not determined between commensurate wave vectors ({reason}).'
        for reason, methods in reasons.items()
    ]


def sd_remarks(results: Results) -> list[str]:
    """Return a line on the methods whose sd is over the members alone, where others have an error budget."""
    without = [
        method
        for method, entry in results['methods'].items()
        if not any(point.get('contributions') for point in entry['special_points_cm1'].values())
    ]
    if not without or len(without) == len(results['methods']):
        return []
    return [f'{", ".join(without)}: without an error budget; ± is the sd over the members only.']


def kind_at_gamma(results: Results, found: Mapping[str, SpecialPoint | None], first: int, last: int) -> str:
    """Return ``TO`` for infrared active modes at Γ without Born charges, else ``optical``."""
    for method, entry in found.items():
        of_method = results['methods'][method]
        if not entry or not of_method.get('long_range', {}).get('lo_missing'):
            continue
        mean = float(np.mean(entry['mean'][first : last + 1]))
        near = [mode for mode in of_method.get('gamma_modes', ()) if abs(mode['mean'] - mean) < DEGENERATE_CM1]
        if any(mode.get('infrared') for mode in near):
            return 'TO'
    return 'optical'


def mode_groups(found: Mapping[str, SpecialPoint | None], label: str) -> list[tuple[int, int]]:
    """Group modes that are degenerate, to 0.5 cm⁻¹, by every method; what is acoustic by all at Γ is left out."""
    means = [entry['mean'] for entry in found.values() if entry]
    n_modes = max(map(len, means))
    left_out = set.intersection(*map(_acoustic, means)) if label == 'GAMMA' and n_modes > 3 else set()
    groups: list[tuple[int, int]] = []
    for mode in sorted(set(range(n_modes)) - left_out):
        first, last = groups[-1] if groups else (mode, mode)
        alike = all(abs(values[mode] - values[first]) < DEGENERATE_CM1 for values in means)
        if groups and last == mode - 1 and alike:
            groups[-1] = (first, mode)
        else:
            groups.append((mode, mode))
    return groups


def _acoustic(means: Sequence[float]) -> set[int]:
    """Return the acoustic modes at Γ: below them may be imaginary optical ones."""
    return set(three_acoustic(np.asarray(means)).tolist())


def frequency_text(entry: SpecialPoint | None, first: int, last: int) -> str:
    """Write mean ± sd (cm⁻¹) of a group of modes, a dash where the method has no such point."""
    if not entry:
        return '–'
    mean = np.mean(entry['mean'][first : last + 1])
    sd = max(entry['sd'][first : last + 1])
    mark = UNDETERMINED if undetermined_modes(entry) & set(range(first, last + 1)) else ''
    return f'{mean:.1f} ± {sd:.1f}{mark}' if sd > 0 else f'{mean:.1f}{mark}'


_TOLD = {
    'energy_rmse_mev_atom': 'energies {:.2f} meV/atom',
    'forces_rmse_mev_angstrom': 'forces {:.0f} meV/Å',
    'cv_rmse_mev_atom': 'Δ in cross-validation {:.3f} meV/atom',
    'spread_mev_atom': 'spread of what is learned {:.2f} meV/atom',
}
"""Errors worth a place in the text, by the last part of their name."""


def error_lines(results: Results) -> list[str]:
    """Return one line a method on the errors of its force field, with members of the same errors together."""
    members: dict[tuple[str, str], list[str]] = {}
    for method, entry in results['methods'].items():
        for member, errors in entry['errors'].items():
            told = [
                text.format(value) for name, text in _TOLD.items() if (value := error_number(errors, name)) is not None
            ]
            if residuals := errors.get('projected_residuals'):
                worst = max(residuals, key=lambda mode: abs(mode['shift_cm1']))
                where = ' '.join(f'{component:.3g}' for component in worst['qpoint'])
                off = f'off by at most {-worst["shift_cm1"]:+.1f} ± {worst["standard_error_cm1"]:.1f} cm⁻¹ at ({where})'
                told.append(f'frequencies {off}')
            if phonons := errors.get('phonons'):
                told.append(phonon_text(phonons))
            if far := errors.get('long_range'):
                error = np.hypot(far['statistical'], far['systematic'])
                told.append(f'dipoles {far["weight"]:.2f} ± {error:.2f} times those of the base')
            if told:
                members.setdefault((method, ', '.join(told)), []).append(member)
    return [f'{method} {", ".join(names)}: {told}' for (method, told), names in members.items()]


def phonon_text(phonons: PhononErrors) -> str:
    """Write how far the phonons of a base are from those of its reference displacements."""
    base, reference = phonons['base'], phonons['reference']
    thermal = (
        f'F {base["free_energy_kJ_mol"]:.2f} ({reference["free_energy_kJ_mol"]:.2f}) kJ/mol, '
        f'S {base["entropy_J_K_mol"]:.2f} ({reference["entropy_J_K_mol"]:.2f}) J/K/mol, '
        f'C_V {base["heat_capacity_J_K_mol"]:.2f} ({reference["heat_capacity_J_K_mol"]:.2f}) J/K/mol'
    )
    return (
        f'phonons (reference displacements): {phonons["frequencies_mae_cm1"]:.1f} cm⁻¹ off on average, highest '
        f'{base["highest_cm1"]:.0f} ({reference["highest_cm1"]:.0f}) cm⁻¹, at {phonons["kelvin"]:.0f} K {thermal}'
    )


def distilled_lines(method: str, errors: FitErrors) -> list[str]:
    """Return how far a distilled network is from its teacher.

    :param method: of the predictions of the teacher, such as ``ML(CCSD(T))``.
    :param errors: those of the training.
    """
    phonons = errors['phonons']
    lines = [
        f'On {errors["n_valid"]} frames held out, against {method}: energies '
        f'{errors["valid_energy_rmse_mev_atom"]:.3f} meV/atom, forces {errors["valid_forces_rmse_mev_angstrom"]:.1f} '
        f'meV/Å, {errors["valid_hot_forces_rmse_mev_angstrom"]:.1f} in the hotter half',
        phonon_text(phonons),
        'Frequencies at the wave vectors of the displaced cell, largest error of each (cm⁻¹), those of the teacher in '
        'brackets:',
    ]
    for point in phonons.get('commensurate', []):
        modes = list(zip(point['base_cm1'], point['reference_cm1'], strict=True))
        found, expected = max(modes, key=lambda mode: abs(mode[0] - mode[1]))
        lines.append(f'  {qpoint_text(point["qpoint"])}: {found - expected:+.1f}, {found:.1f} ({expected:.1f})')
    return lines


def failure_lines(failed: Sequence[Failure]) -> list[str]:
    """Return one line for each thing that is missing: where, what, and why."""
    lines = []
    for entry in failed:
        stage, what = entry.get('stage', ''), entry.get('what', '')
        where = what if not stage or str(what).startswith(stage) else f'{stage}, {what}'
        lines.append(f'{where}: {entry.get("reason", "no reason given")}')
    return lines


def error_number(errors: FitErrors, name: str) -> float | None:
    """Find a number by its name, among the validation errors before those of the training set."""
    for part in ('valid', 'train'):
        # Runs of early versions nested them.
        nested = errors.get(part)
        own = nested.get(name) if isinstance(nested, Mapping) else None
        for value in (own, errors.get(f'{part}_{name}')):
            if isinstance(value, int | float):
                return value
    value = errors.get(name)
    return value if isinstance(value, int | float) else None
