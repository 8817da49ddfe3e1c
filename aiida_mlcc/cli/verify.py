"""``aiida-mlcc verify``: check a bundle that somebody published."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_mlcc.cli.profiles import with_scratch_configuration

_LISTED = 5


@click.command()
@click.argument('bundle', type=click.Path(exists=True, file_okay=False, path_type=Path))
def verify(bundle: Path) -> None:
    """Check a bundle: files, schemas, and every number against the archive; no profile is needed.

    The CSV files are recomputed from the archive, and each dispersion is traced to its energies. The scripts of the
    bundle are run only if they are identical to those of this version.
    """
    with_scratch_configuration()
    from aiida_mlcc.report.publication.checks import check
    from aiida_mlcc.report.publication.request import Refused

    n_wrong = n_checked = 0
    try:
        for found in check(bundle):
            n_checked += 1
            n_wrong += bool(found.problems)
            click.echo(f'{"WRONG" if found.problems else "ok   "} {found.what}')
            for line in found.problems[:_LISTED]:
                click.echo(f'      {line}')
            if len(found.problems) > _LISTED:
                click.echo(f'      and {len(found.problems) - _LISTED} more')
    except Refused as error:
        raise click.UsageError(f'{error}.') from None
    if n_wrong:
        raise click.ClickException(f'{n_wrong} of {n_checked} checks found something wrong in {bundle}.')
    click.echo(f'{bundle} is unchanged since its publication and consistent ({n_checked} checks).')
