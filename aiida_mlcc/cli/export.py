"""``aiida-mlcc export``: a run and everything it was made from, as one archive."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_mlcc.cli.nodes import describe, find
from aiida_mlcc.cli.profiles import load
from aiida_mlcc.cli.root import profile_option


@click.command()
@click.argument('identifier', metavar='ID')
@click.option('-o', '--output', required=True, type=click.Path(dir_okay=False, path_type=Path), help='FILE.aiida')
@click.option('--force', is_flag=True, help='Overwrite the file.')
@profile_option
def export(identifier: str, output: Path, force: bool, profile: str | None) -> None:
    """Write a run and its provenance to an archive.

    ID is a run or any other node. Licensed potentials are never written.
    """
    if output.exists() and not force:
        raise click.UsageError(f'{output} already exists: --force overwrites it.')
    load(profile)
    node = find(identifier)
    from aiida.tools.archive import create_archive
    from aiida.tools.archive.exceptions import ArchiveExportError

    from aiida_mlcc.report.provenance.archive import TRAVERSAL, LicensedNodes, refuse_licensed

    try:
        n_nodes = refuse_licensed(node)
    except LicensedNodes as error:
        raise click.ClickException(str(error)) from None
    try:
        create_archive([node], output, overwrite=force, **TRAVERSAL)
    except ArchiveExportError as error:
        output.unlink(missing_ok=True)
        raise click.ClickException(
            f'Not exported, because some processes have not finished: {" ".join(str(error).split())}'
        ) from None
    size = output.stat().st_size / 1e6
    click.echo(f'wrote {describe(node)} and what belongs to it, {n_nodes} nodes, to {output} ({size:.1f} MB)')
    click.echo(f'Import it elsewhere with: verdi archive import {output.name}')
