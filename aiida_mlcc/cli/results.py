"""``aiida-mlcc results``: the frequencies at the special points, with their spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import describe, find_process
from aiida_mlcc.cli.profiles import load_to_read
from aiida_mlcc.cli.root import reading_option

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

    from aiida_mlcc.report.data.records import Results


@click.command()
@click.argument('identifier', metavar='ID')
@click.option('--json', 'as_json', is_flag=True, help='Print JSON; it does not depend on the profile.')
@reading_option
def results(identifier: str, as_json: bool, profile: str | None) -> None:
    """Print the frequencies at the special points (cm⁻¹).

    With their errors, the errors of the force fields, and what is missing and why.

    ID is a run, or anything it returned.
    """
    load_to_read(profile)
    process = find_process(identifier)
    from aiida_mlcc.report.data.results import results_of, to_json

    found = results_of(process)
    if as_json:
        click.echo(to_json(found))
        return
    if not found['methods']:
        raise click.ClickException(
            f'{describe(process)} has no frequencies: `aiida-mlcc status {process.pk}` shows its progress.'
        )
    print_found(found)


def print_results(process: ProcessNode, points: Sequence[str] | None = None) -> None:
    """Print the results of a run as text, with the frequencies at `points` only where these are given."""
    from aiida_mlcc.report.data.results import results_of

    print_found(results_of(process), points)


def print_found(found: Results, points: Sequence[str] | None = None) -> None:
    """Print results as text."""
    from aiida_mlcc.report.data.delta_verdicts import undetermined_lines, verdict_lines
    from aiida_mlcc.report.data.imaginary import imaginary_lines
    from aiida_mlcc.report.text import error_lines, failure_lines, table

    if found['methods']:
        click.echo('Frequencies in cm⁻¹, mean over the members ± sd; acoustic modes at Γ are left out.\n')
        click.echo(table(found, points))
    for line in (*verdict_lines(found), *undetermined_lines(found), *imaginary_lines(found), *error_lines(found)):
        click.echo(line)
    for line in failure_lines(found['failed']):
        click.echo(f'missing: {line}')
