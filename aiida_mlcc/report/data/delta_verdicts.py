"""What is known of every Δ: whether it is worth having, and which modes its labels do not determine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from aiida_mlcc.report.data.modes import qpoint_text
from aiida_mlcc.report.data.records import Results
from aiida_mlcc.science.fit.fit_errors import FitErrors, MemberErrors, UndeterminedMode

SUPPORTED, RESCALED, FAILED, NOT_JUDGED = 'supported', 'rescaled energy alone', 'no better than simpler', 'not judged'
"""What may be found of a Δ: it predicts better than rescaling; its labels support the rescaled energy of the base and
nothing beside it; it predicts no better than what is simpler (exit code 420); its structures cannot tell."""

MARK = '‡'
"""Beside a method whose Δ is not more than a rescaled energy, or failed."""

_NAMED = 3


def verdict_of(errors: FitErrors) -> str | None:
    """Return what was found of a Δ from the errors of its fit, None where it was not judged at all, as of a base."""
    if 'worth_it' not in errors:
        return None
    if errors['worth_it'] is False:
        return FAILED
    if errors.get('rescaled_only'):
        return RESCALED
    return SUPPORTED if errors['worth_it'] else NOT_JUDGED


def worst_verdict(members: MemberErrors) -> str | None:
    """Return the gravest of what was found of the members of a method, None where none was judged."""
    found = {verdict_of(errors) for errors in members.values() if isinstance(errors, Mapping)}
    return next((verdict for verdict in (FAILED, RESCALED, NOT_JUDGED, SUPPORTED) if verdict in found), None)


def marked_methods(results: Results) -> set[str]:
    """Return the methods whose Δ only rescales, or failed."""
    return {method for method, entry in results['methods'].items() if entry.get('delta') in (RESCALED, FAILED)}


def verdict_lines(results: Results) -> list[str]:
    """Return a line for each method whose Δ only rescales or failed: of which members, and with what figures."""
    return [
        f'{method} {MARK} ({", ".join(members)}): {_sentence(errors)}'
        for method, members, errors in judged_fits(results)
        if verdict_of(errors) in (RESCALED, FAILED)
    ]


def undetermined_lines(results: Results) -> list[str]:
    """Return a line for each method of which the labels do not determine some modes of the training cell."""
    lines = []
    for method, _, modes in undetermined_of(results):
        told = ', '.join(
            f'{mode["frequency_cm1"]:.0f} cm⁻¹ at ({qpoint_text(mode["qpoint"])})' for mode in modes[:_NAMED]
        )
        more = f' and {len(modes) - _NAMED} more' if len(modes) > _NAMED else ''
        lines.append(
            f'{method}: the labels do not determine how {len(modes)} {"mode" if len(modes) == 1 else "modes"} of the '
            f'base change: {told}{more}. '
            'Label structures that move along these.'
        )
    return lines


def judged_fits(results: Results) -> Iterator[tuple[str, list[str], FitErrors]]:
    """Yield method, members and errors of each Δ that was judged; members of the same fit come together."""
    for method, entry in results['methods'].items():
        fits: list[tuple[list[str], FitErrors]] = []
        for member, errors in entry['errors'].items():
            if not isinstance(errors, Mapping) or verdict_of(errors) is None:
                continue
            same = next((members for members, known in fits if known == errors), None)
            if same is None:
                fits.append(([member], errors))
            else:
                same.append(member)
        for members, errors in fits:
            yield method, members, errors


def undetermined_of(results: Results) -> Iterator[tuple[str, str, Sequence[UndeterminedMode]]]:
    """Yield method, member and modes of the member with the most of them."""
    for method, entry in results['methods'].items():
        found = {
            member: errors['undetermined_modes']
            for member, errors in entry['errors'].items()
            if isinstance(errors, Mapping) and errors.get('undetermined_modes')
        }
        if found:
            member = max(found, key=lambda name: len(found[name]))
            yield method, member, found[member]


def _sentence(errors: FitErrors) -> str:
    own, simpler, constant = (
        '–' if value is None else f'{value:.3f}'
        for value in (
            errors.get('predicted_rmse_mev_atom'),
            errors.get('predicted_rescaling_mev_atom'),
            errors.get('spread_mev_atom'),
        )
    )
    if errors.get('rescaled_only'):
        factor = f' (factor {1 + errors["base_scale"]:.3f})' if 'base_scale' in errors else ''
        text = f'the labels support the rescaled energy of the base{factor} and no force constants beside it'
        if errors['worth_it'] is not False:
            return f'{text}: that is used'
        return f'{text}, which predicts energies to {simpler} meV/atom, a constant to {constant}: label more structures'
    return (
        f'Δ predicts energies that it has not seen to {own} meV/atom, no better than the rescaled energy of the base '
        f'({simpler}) or a constant ({constant}): label more structures'
    )
