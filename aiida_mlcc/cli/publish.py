"""``aiida-mlcc publish``: the bundle beside a paper, which a reader can check.

It is made by ``report/publication/bundle.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.inputs import method_named
from aiida_mlcc.cli.nodes import find_process
from aiida_mlcc.cli.profiles import load
from aiida_mlcc.cli.root import profile_option

if TYPE_CHECKING:
    from aiida.orm import Group, ProcessNode

    from aiida_mlcc.report.publication.privacy import Finding, PrivacyReport


@click.command()
@click.argument('identifiers', metavar='ID...', nargs=-1, required=True)
@click.option(
    '-o', '--output', type=click.Path(path_type=Path), metavar='BUNDLE', help='Folder to write; --dry-run needs none.'
)
@click.option('--title', help='Title of the data; by default, from crystal and methods.')
@click.option(
    '--author', 'authors', multiple=True, metavar='"FAMILY, GIVEN"', help='Author of the data. Can be repeated.'
)
@click.option('--orcid', 'orcids', multiple=True, metavar='iD', help='ORCID iD of an author, in the order of authors.')
@click.option(
    '--affiliation',
    'affiliations',
    multiple=True,
    metavar='TEXT',
    help='Affiliation of each author, in the order of authors, or one for all.',
)
@click.option('--licence', '--license', default='CC-BY-4.0', show_default=True, help='SPDX identifier.')
@click.option(
    '--failed', multiple=True, metavar='NAME', help='Publish without this failed method or stage. Can be repeated.'
)
@click.option('--without-models', is_flag=True, help='Leave out the weights of the force fields.')
@click.option('--without-remote', is_flag=True, help='Leave out the nodes of remote folders that no process read.')
@click.option('--dry-run', is_flag=True, help='Only print the private data in the archive and how they are replaced.')
@click.option('--force', is_flag=True, help='Replace a bundle that was changed since it was written.')
@profile_option
def publish(
    identifiers: tuple[str, ...],
    output: Path | None,
    title: str | None,
    authors: tuple[str, ...],
    orcids: tuple[str, ...],
    affiliations: tuple[str, ...],
    licence: str,
    failed: tuple[str, ...],
    without_models: bool,
    without_remote: bool,
    dry_run: bool,
    force: bool,
    profile: str | None,
) -> None:
    """Write a bundle that a reader can check: curves, labels, models, figures, and an archive without private data.

    ID is a run, anything it returned, or a group of runs. The profile is only read.
    """
    from aiida_mlcc.report.publication.request import Refused, Request, authors_from, licence_of

    if output is None and not dry_run:
        raise click.UsageError('Give the folder of the bundle with -o, or use --dry-run.')
    try:
        people, known_licence = authors_from(authors, orcids, affiliations), licence_of(licence)
    except Refused as error:
        raise click.UsageError(f'{error}.') from None
    load(profile)
    runs, groups = runs_and_groups(identifiers)
    from aiida_mlcc.report.provenance.archive import LicensedNodes
    from aiida_mlcc.report.publication import bundle
    from aiida_mlcc.report.publication.selection import folders_of, refuse_unfit

    try:
        if output is not None:
            bundle.refuse_target(output, force)
        refuse_unfit(runs, [method_named(name) for name in failed])
        folders = folders_of(runs)
        if dry_run:
            found, size = bundle.what_is_private(runs, groups, without_models, without_remote)
            print_private(found)
            click.echo(f'The archive would have {_bytes(size)}. Nothing was written.')
            return
        assert output is not None
        request = Request(
            runs=tuple((run.uuid, folder) for run, folder in zip(runs, folders, strict=True)),
            title=title or title_of(runs),
            date=_now(),
            authors=people,
            licence=known_licence,
            failed=failed,
            without_models=without_models,
        )
        done = bundle.publish(runs, output, request, groups, without_remote, force, click.echo)
    except (Refused, LicensedNodes) as error:
        raise click.ClickException(f'{str(error).rstrip(".")}.') from None
    except OSError as error:
        raise click.ClickException(f'{output} cannot be written: {error.strerror or error}.') from None
    print_sizes(done.sizes)
    n_replaced, n_left = (sum(finding.count for finding in part) for part in (done.privacy.replaced, done.privacy.left))
    click.echo(f'privacy: {n_replaced} entries replaced or left out, {n_left} left; see PRIVACY.md')
    if not people:
        click.echo('No --author was given: CITATION.cff and metadata.yaml contain no author yet.')
    click.echo(f'wrote {output}. Check it again with: aiida-mlcc verify {output}')


def runs_and_groups(identifiers: Sequence[str]) -> tuple[list[ProcessNode], list[Group]]:
    """Return the runs that a person means, and the groups that hold nothing but these.

    :raises click.UsageError: where an identifier is neither a node nor a group.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import ProcessNode, load_group

    runs: dict[str, ProcessNode] = {}
    groups = []
    for identifier in identifiers:
        try:
            found = [find_process(identifier)]
        except click.UsageError as not_a_node:
            try:
                group = load_group(identifier)
            except (NotExistent, MultipleObjectsError, ValueError):
                raise not_a_node from None
            nodes = list(group.nodes)
            found = [node for node in nodes if isinstance(node, ProcessNode)]
            if not found:
                raise click.UsageError(f'The group {group.label!r} contains no run.') from None
            if len(found) == len(nodes):
                groups.append(group)
        runs |= {run.uuid: run for run in found}
    return list(runs.values()), groups


def title_of(runs: Sequence[ProcessNode]) -> str:
    """Return the title where a person gives none."""
    from aiida_mlcc.report.curve_table import listed
    from aiida_mlcc.report.data.arrays import curves_of_run
    from aiida_mlcc.report.page.provenance import formula_of

    crystals = listed(list(dict.fromkeys(formula_of(run) or 'a crystal' for run in runs)))
    methods = list(dict.fromkeys(method for run in runs for method in curves_of_run(run).methods))
    return f'Phonons of {crystals} by {listed(methods)}' if methods else f'Phonons of {crystals}'


def print_private(found: PrivacyReport) -> None:
    """Print what is private in an archive, as it is called here, and what becomes of it."""
    for heading, findings in (
        ('Replaced or left out:', found.replaced),
        ('Left, and listed in PRIVACY.md:', found.left),
    ):
        click.echo(heading)
        for finding in findings:
            _print_finding(finding)
        if not findings:
            click.echo('  nothing')
    click.echo(f'{found.n_without_hash} nodes lose their hash: after an import, AiiDA’s cache does not find them.')


def print_sizes(sizes: dict[str, int]) -> None:
    """Print how large the bundle is, beside what Materials Cloud Archive takes."""
    from aiida_mlcc.report.publication.bundle import DATABASE_BYTES, RECORD_BYTES
    from aiida_mlcc.report.publication.verify_bundle import ARCHIVE

    archive = sizes[ARCHIVE]
    others = sum(sizes.values()) - archive
    click.echo(
        f'size: {_bytes(archive + others)} in {len(sizes)} files, including the archive {_bytes(archive)} '
        f'(Materials Cloud accepts {_bytes(RECORD_BYTES)}, or {_bytes(DATABASE_BYTES)} with an AiiDA database)'
    )
    if others > RECORD_BYTES or archive > DATABASE_BYTES:
        click.echo(
            'This is more than Materials Cloud accepts: --without-models leaves out the weights of force fields.'
        )


def _print_finding(finding: Finding) -> None:
    click.echo(f'  {finding.count:>6}  {finding.what}: {finding.becomes}')
    for example in finding.examples:
        text = ' '.join(example.split())
        click.echo(f'          {text if len(text) <= 90 else text[:87] + "…"}')


def _bytes(size: float) -> str:
    return f'{size / 1e9:.3g} GB' if size >= 1e9 else f'{size / 1e6:.1f} MB'


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec='seconds')
