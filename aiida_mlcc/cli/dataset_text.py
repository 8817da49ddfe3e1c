"""What is to be known about a data set, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from aiida_mlcc.cli.dataset_nodes import content_of, launch_line, report_of, structure_of
from aiida_mlcc.cli.nodes import describe

if TYPE_CHECKING:
    from aiida_mlcc.data.snapshots import SnapshotsData
    from aiida_mlcc.science.dataset.energies import Difference
    from aiida_mlcc.science.dataset.report import DatasetReport

_SHOWN = 5
_FEW = 10
_SENSIBLE_SLOPES = (0.5, 2.0)
_FORCES = {
    'own': 'stored',
    'base': "the base's",
    'own and base': 'in part',
    'zero': 'all zero',
    'refused': 'refused',
    'none': 'none',
}


def print_dataset(node: SnapshotsData, as_json: bool = False) -> None:
    """Print what is known about a data set, and the line that starts a run from it."""
    from aiida_mlcc.science.dataset.report import DatasetReport

    if as_json:
        click.echo(json.dumps(content_of(node), indent=2, ensure_ascii=False))
        return
    structure = structure_of(node)
    crystal = '' if structure is None else f', crystal {describe(structure)}'
    click.echo(f'{node.label or "snapshots"}: {describe(node)} {node.uuid}{crystal}')
    for line in lines(DatasetReport.read(report_of(node))):
        click.echo(line)
    click.echo(f'\nStart a run from it with:\n  {launch_line(node)}')


def lines(report: DatasetReport) -> list[str]:
    """Return a report as text."""
    labels = ', '.join(f'{method} {n}' for method, n in report.n_labelled.items())
    return [
        f'{report.n_frames} frames of {report.formula}; labels: {labels}',
        '',
        *_table(report),
        '',
        *_about_files(report),
        *_about_differences(report),
        *_about_motion(report),
    ]


def _table(report: DatasetReport) -> Iterator[str]:
    base, files, differences = report.base_method, report.files, report.differences
    if files:
        yield (
            f'  {"method":<8}{"read":>6}{"paired":>8}{"left over":>11}{"merged":>8}{"dropped":>9}{"decimals":>10}  '
            f'{"forces":<11}{"spread":>8}{"slope":>8}  file'
        )
        for method, account in files.items():
            counts = [len(found) for found in (account.left_over, account.merged, account.dropped)]
            yield (
                f'  {method:<8}{account.frames_read:>6}{account.paired:>8}'
                f'{counts[0]:>11}{counts[1]:>8}{counts[2]:>9}{account.decimals:>10}  '
                f'{_FORCES[account.forces]:<11}{_spread(differences.get(method))}  {account.file}'
            )
    else:
        yield f'  {"method":<8}{"labels":>8}{"spread":>8}{"slope":>8}'
        for method, n_labelled in report.n_labelled.items():
            yield f'  {method:<8}{n_labelled:>8}{_spread(differences.get(method))}'
    if differences:
        yield f'  spread: standard deviation of E − E({base}) in meV/atom; slope: of E over E({base})'


def _spread(difference: Difference | None) -> str:
    if difference is None:
        return ' ' * 16
    slope = '–' if difference.slope is None else f'{difference.slope:.3f}'
    return f'{difference.spread_mev_atom:>8.3f}{slope:>8}'


def _about_files(report: DatasetReport) -> Iterator[str]:  # noqa: C901
    base, files = report.base_method, report.files
    for method, account in files.items():
        if account.dropped:
            yield f'{method}, dropped: {_some([f"frame {f}: {why}" for f, why in account.dropped.items()], "; ")}.'
        if account.merged:
            pairs = [f'{frame} as {other}' for frame, other in account.merged.items()]
            yield f'{method}, merged because structure and energy equal those of an earlier frame: {_some(pairs)}.'
        if account.left_over:
            yield (
                f'{method}, left over because the base does not contain the structure: frames '
                f'{_some(account.left_over)}.'
            )
    foreign = [method for method, account in files.items() if account.forces == 'base']
    if foreign:
        yield (
            f'{", ".join(foreign)}: the forces in the file equal those of {base} to the decimals written, so they '
            'do not belong to the method and are not stored.'
        )
    for method, account in files.items():
        if account.forces == 'own' and method != base:
            yield f'{method}: the forces in the file differ from those of {base}; they are stored as those of {method}.'
        if account.forces == 'own and base':
            yield f'{method}: only the forces that differ from those of {base} are stored as those of {method}.'
        if account.forces == 'zero':
            yield f'{method}: the forces in the file are all zero and are not stored.'
    for method, account in files.items():
        for remark in account.remarks:
            yield f'{method}: {remark}.'
    for decimals in sorted({account.decimals for account in files.values() if account.decimals < 5}):
        rounded = [method for method, account in files.items() if account.decimals == decimals]
        yield f'{", ".join(rounded)}: energies are written to {10.0 ** (3 - decimals):g} meV per cell.'


def _about_differences(report: DatasetReport) -> Iterator[str]:
    base = report.base_method
    for method, difference in report.differences.items():
        slope = difference.slope
        if slope is not None and not _SENSIBLE_SLOPES[0] < slope < _SENSIBLE_SLOPES[1]:
            yield (
                f'{method}: its energies change by {slope:.3g} eV for each eV of {base}. Are they eV per cell? '
                f'Hartree would give about 0.037, energies per atom about {1 / report.n_atoms:.2g}.'
            )
        for outlier in difference.outliers:
            yield (
                f'{method}: frame {outlier.frame} is an outlier, {outlier.residual_mev_atom:+.3g} meV/atom from '
                f'a fit to all other frames ({outlier.deviations:.1f} median absolute deviations).'
            )


def _about_motion(report: DatasetReport) -> Iterator[str]:
    crystal, motion = report.crystal, report.motion
    if crystal is None:
        few = f', of {report.n_frames} frames only' if report.n_frames < _FEW else ''
        yield f'No crystal was found in the mean structure{few}: give it with --structure.'
    else:
        how = 'as given' if crystal.given else 'found in the mean structure'
        yield (
            f'Crystal: {crystal.formula}, {crystal.space_group}, {how}; mean positions are within '
            f'{crystal.moved_onto_sites_angstrom:.3f} Å of its sites.'
        )
        if not crystal.given and report.n_frames < _FEW:
            yield (
                f'The crystal is the mean of {report.n_frames} frames only, which may hide a lower symmetry: '
                'check it, or give your crystal with --structure.'
            )
    yield (
        f'Displacements: {motion.rms_displacement_angstrom:.3f} Å (root mean square), at most '
        f'{motion.largest_displacement_angstrom:.3f} Å in frame {motion.largest_in_frame}; the centre of mass '
        f'drifts by up to {motion.drift_angstrom:.3f} Å (frame {motion.drift_in_frame}), which is removed from '
        'them.'
    )
    if motion.off_site:
        yield (
            'Frames with an atom far from its site (diffusion or another arrangement of the atoms): '
            f'{_some(motion.off_site)}.'
        )
    if motion.successive_distance_angstrom is not None:
        verdict = (
            'looks like a trajectory, in which neighbours tell little of each other'
            if motion.looks_like_trajectory
            else 'does not look like a trajectory'
        )
        yield (
            f'Order: atoms are {motion.successive_distance_angstrom:.3f} Å apart between successive frames and '
            f'{motion.random_distance_angstrom:.3f} Å between random ones: it {verdict}.'
        )


def _some(items: Sequence[Any], separator: str = ', ') -> str:
    rest = f'{separator}and {len(items) - _SHOWN} more' if len(items) > _SHOWN else ''
    return separator.join(map(str, items[:_SHOWN])) + rest
