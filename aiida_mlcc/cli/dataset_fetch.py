"""``aiida-mlcc dataset fetch``: the data published with the article, checked and imported."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import describe
from aiida_mlcc.cli.profiles import load
from aiida_mlcc.cli.root import profile_option

if TYPE_CHECKING:
    from aiida_mlcc.data.snapshots import SnapshotsData
    from aiida_mlcc.science.dataset.dataset import Dataset

_PATIENCE_S = 60


@click.command()
@click.argument('collection', type=click.Choice(['mlphonons']))
@click.option(
    '--from',
    'folder',
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help='Read the files, gzipped or not, from a copy of the repository instead of downloading them.',
)
@click.option(
    '--crystal',
    'crystals',
    type=click.Choice(['diamond', 'lih']),
    multiple=True,
    help='Only this crystal; both if not given.',
)
@click.option(
    '--keep',
    type=click.Path(file_okay=False, path_type=Path),
    help='Keep the downloaded files in this folder; existing files are not downloaded again.',
)
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
@profile_option
def fetch(
    collection: str,
    folder: Path | None,
    crystals: tuple[str, ...],
    keep: Path | None,
    as_json: bool,
    profile: str | None,
) -> None:
    """Import the data published with the article.

    `mlphonons`: diamond and LiH (arXiv:2507.06929), as the data sets mlphonons-diamond and mlphonons-lih. The files
    are downloaded at a pinned commit, and their SHA-256 is checked.
    """
    from aiida_mlcc.science.dataset.published_data import MLPHONONS

    if folder is not None and keep is not None:
        raise click.UsageError('--keep cannot be combined with --from, which downloads nothing.')
    load(profile)
    chosen = [crystal for crystal in MLPHONONS if crystal in (crystals or MLPHONONS)]
    _print(import_published(collection, chosen, folder, keep), as_json)


def import_published(
    collection: str, crystals: list[str], folder: Path | None = None, keep: Path | None = None
) -> list[SnapshotsData]:
    """Return the data sets of `crystals`, read from `folder`; without one, what the profile lacks is downloaded.

    :param folder: a copy of the repository.
    :param keep: folder for the downloaded files.
    :raises click.ClickException: where a file cannot be had, or is not what was published.
    """
    if folder is not None:
        return _import(folder, collection, crystals)
    known = {crystal: _fetched_before(f'{collection}-{crystal}') for crystal in crystals}
    lacking = [crystal for crystal, node in known.items() if node is None]
    if lacking:
        with ExitStack() as stack:
            if keep is None:
                keep = Path(stack.enter_context(TemporaryDirectory(prefix='aiida-mlcc-')))
            download(keep, lacking)
            known |= zip(lacking, _import(keep, collection, lacking), strict=True)
    return [node for node in known.values() if node is not None]


def download(folder: Path, crystals: list[str]) -> None:
    """Download the files of `crystals` that `folder` lacks; each is checked before it gets its name.

    :raises click.ClickException: where one cannot be had, or is not what was published.
    """
    from urllib.request import urlopen

    from aiida_mlcc.science.dataset.energy_file import DatasetError
    from aiida_mlcc.science.dataset.published_data import MLPHONONS, address_of, verify

    for file in (file for crystal in crystals for file in MLPHONONS[crystal].files.values()):
        target = folder / file.path
        if target.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f'{target.name}.partial')
        address = address_of(file)
        click.echo(f'downloading {address}', err=True)
        try:
            with urlopen(address, timeout=_PATIENCE_S) as response:
                partial.write_bytes(response.read())
            verify(partial, file)
        except OSError as error:
            reason = getattr(error, 'reason', None) or error
            raise click.ClickException(
                f'{address} cannot be downloaded ({reason}). Without a network, copy the files from elsewhere and '
                'give their folder with --from.'
            ) from None
        except DatasetError as error:
            partial.unlink()
            raise click.ClickException(f'Nothing was imported: {error}.') from None
        os.replace(partial, target)


def _import(folder: Path, collection: str, crystals: list[str]) -> list[SnapshotsData]:
    """Store the sets of `crystals` once all of them have been read; one that is there already is taken as it is."""
    from aiida_mlcc.cli.dataset_nodes import refuse_name, store
    from aiida_mlcc.science.dataset.energy_file import DatasetError
    from aiida_mlcc.science.dataset.published_data import ARTICLE, COMMIT, REPOSITORY, read_published

    try:
        found = {f'{collection}-{crystal}': read_published(folder, crystal) for crystal in crystals}
    except DatasetError as error:
        raise click.ClickException(f'Nothing was imported: {error}.') from None
    present = {name: _present(name, dataset) for name, dataset in found.items()}
    for name, node in present.items():
        if node is None:
            refuse_name(name)
    source = {'db_name': collection, 'uri': REPOSITORY, 'version': COMMIT, 'description': f'data of {ARTICLE}'}
    return [present[name] or store(name, dataset, None, source) for name, dataset in found.items()]


def _present(name: str, dataset: Dataset) -> SnapshotsData | None:
    """Return the data set of this name and content, None where there is none."""
    return _find({'label': name, 'attributes.content_hash': dataset.snapshots.content_hash()})


def _fetched_before(name: str) -> SnapshotsData | None:
    """Return the data set of this name that was fetched at the pinned commit, None where there is none."""
    from aiida_mlcc.science.dataset.published_data import COMMIT, REPOSITORY

    return _find({'label': name, 'attributes.source.uri': REPOSITORY, 'attributes.source.version': COMMIT})


def _find(filters: Mapping[str, str]) -> SnapshotsData | None:
    from aiida.orm import QueryBuilder
    from aiida.plugins import DataFactory

    node = QueryBuilder().append(DataFactory('mlcc.snapshots'), filters=dict(filters)).first(flat=True)
    if node is not None:
        click.echo(f'{node.label} already exists: {describe(node)}', err=True)
    return node


def _print(nodes: list[SnapshotsData], as_json: bool) -> None:
    from aiida_mlcc.cli.dataset_nodes import content_of
    from aiida_mlcc.cli.dataset_text import print_dataset

    if as_json:
        click.echo(json.dumps({node.label: content_of(node) for node in nodes}, indent=2, ensure_ascii=False))
        return
    for number, node in enumerate(nodes):
        click.echo('\n' * min(number, 1), nl=False)
        print_dataset(node)
