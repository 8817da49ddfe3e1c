"""``aiida-mlcc report``: one page with all that a run found, and the files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import find_process
from aiida_mlcc.cli.profiles import load_to_read
from aiida_mlcc.cli.root import reading_option

if TYPE_CHECKING:
    from aiida.orm import ProcessNode


@click.command()
@click.argument('identifier', metavar='ID')
@click.option(
    '-o',
    '--output',
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help='Folder to write to; created if it does not exist.',
)
@click.option(
    '--reference',
    'references',
    multiple=True,
    metavar='FILE',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Frequencies to compare with, YAML or CSV, each with its unit: cm-1, THz or meV. Can be repeated.',
)
@reading_option
def report(identifier: str, output: Path, references: tuple[Path, ...], profile: str | None) -> None:
    """Write the results of a run as an HTML page that needs no network.

    The folder also contains figures for print (PDF, SVG), a CSV file of every curve and band.yaml of every method.

    ID is a run, or anything it returned.
    """
    load_to_read(profile)
    write(find_process(identifier), output, references)


def write(process: ProcessNode, output: Path, references: tuple[Path, ...] = ()) -> None:
    """Write the page of a run and what lies beside it, and print how it compares with references.

    :raises click.ClickException: with what cannot be read or written.
    """
    from aiida_mlcc.report.data.references import UnreadableReferences, read_references, residual_lines
    from aiida_mlcc.report.page.page import write_report
    from aiida_mlcc.report.print.figures import NothingToPlot

    try:
        written = write_report(process, output, [read_references(path) for path in references])
    except (NothingToPlot, UnreadableReferences) as error:
        raise click.ClickException(f'{error}.') from None
    except OSError as error:
        raise click.ClickException(f'{output} cannot be written to: {error.strerror}.') from None
    for line in (*residual_lines(written.residuals), *written.missing):
        click.echo(line)
    click.echo(f'wrote {written.files[0]} and {len(written.files) - 1} files beside it')


def write_what_there_is(process: ProcessNode, output: Path) -> None:
    """Write the page at the end of a run; where that fails, say so and let the end of the run be told."""
    try:
        write(process, output)
    except click.ClickException as error:
        click.echo(f'No page: {error.format_message()}')
