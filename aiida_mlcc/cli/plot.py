"""``aiida-mlcc plot``: dispersion, density of states and spectrum of all methods as one figure."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_mlcc.cli.nodes import find_process
from aiida_mlcc.cli.profiles import load_to_read
from aiida_mlcc.cli.root import reading_option

ENDINGS = ('.png', '.svg', '.pdf')


@click.command()
@click.argument('identifier', metavar='ID')
@click.option(
    '-o',
    '--output',
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help='File to write; the ending (.png, .svg or .pdf) sets the format.',
)
@click.option('--title', help='Title of the figure.')
@reading_option
def plot(identifier: str, output: Path, title: str | None, profile: str | None) -> None:
    """Draw dispersion, density of states and spectrum of a run.

    The range over the members is drawn as a band around their mean.

    ID is a run, or anything it returned.
    """
    if output.suffix.lower() not in ENDINGS:
        raise click.UsageError(f'{output.name} must end in one of {", ".join(ENDINGS)}.')
    if not output.absolute().parent.is_dir():
        raise click.UsageError(f'There is no folder {output.absolute().parent} to write {output.name} to.')
    load_to_read(profile)
    process = find_process(identifier)
    from aiida_mlcc.report.print.figures import NothingToPlot, figure_of, save

    try:
        save(figure_of(process, title), output)
    except NothingToPlot as error:
        raise click.ClickException(f'{error}.') from None
    click.echo(f'wrote {output}')
