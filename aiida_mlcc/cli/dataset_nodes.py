"""Data sets as nodes: their names, what is stored with them, and where it is found again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import describe, profile_suffix
from aiida_mlcc.science.json_values import Json

if TYPE_CHECKING:
    from aiida.orm import StructureData

    from aiida_mlcc.data.snapshots import SnapshotsData
    from aiida_mlcc.science.dataset.dataset import Dataset

REPORT = 'dataset_report'
"""The extra that holds the report of the import."""

STRUCTURE = 'dataset_structure'
"""The extra that holds the UUID of the crystal."""


def refuse_name(name: str) -> None:
    """Raise where a data set could not be found again by `name`.

    :raises click.UsageError: where it is taken, or could be read as a PK or as the start of a UUID.
    """
    from aiida.orm import Node, QueryBuilder

    if not name.strip():
        raise click.UsageError('The name of a data set must not be empty.')
    if not set(name) - set('0123456789abcdefABCDEF-'):
        raise click.UsageError(
            f'The name {name!r} could be a PK or the start of a UUID: use a name that contains a letter beyond f.'
        )
    taken = QueryBuilder().append(Node, filters={'label': name}).first(flat=True)
    if taken is not None:
        raise click.UsageError(f'{describe(taken)} has the name {name!r} already: choose another one.')


def store(
    name: str, dataset: Dataset, structure: StructureData | None, source: Mapping[str, str] | None = None
) -> SnapshotsData:
    """Store a data set, its report and its crystal: all of them or none.

    :param structure: the crystal where a person gave it; the one found in the mean structure otherwise.
    :param source: where it comes from, with the keys of AiiDA's ``Data.source``.
    """
    from aiida.manage import get_manager
    from aiida.orm import StructureData

    from aiida_mlcc.data.snapshots import SnapshotsData

    node = SnapshotsData(dataset.snapshots, label=name)
    if source is not None:
        node.source = dict(source)
    if structure is None and dataset.primitive is not None:
        structure = StructureData(ase=dataset.primitive)
    if structure is not None and not structure.is_stored:
        structure.label = f'crystal of {name}'
    node.base.extras.set(REPORT, dataset.report.plain())
    node.base.extras.set(STRUCTURE, None if structure is None else structure.uuid)
    with get_manager().get_profile_storage().transaction():
        if structure is not None:
            structure.store()
        node.store()
    return node


def structure_of(node: SnapshotsData) -> StructureData | None:
    """Return the crystal that was stored with a data set, None where there is none."""
    from aiida.common.exceptions import NotExistent
    from aiida.orm import load_node

    uuid = node.base.extras.get(STRUCTURE, None)
    try:
        return None if uuid is None else load_node(uuid)
    except NotExistent:
        return None


def report_of(node: SnapshotsData) -> Json:
    """Return the report of a data set as plain JSON; for other snapshots, what can be said without their files.

    :raises click.ClickException: for snapshots without DFT energies.
    """
    stored = node.base.extras.get(REPORT, None)
    if stored is not None:
        return stored
    from aiida_mlcc.science.dataset.report import describe as describe_snapshots

    base_method = next(iter(node.base_methods), None)
    if base_method is None:
        labels = ', '.join(node.methods) or 'none'
        raise click.ClickException(
            f'{describe(node)} has no DFT labels to compare the other labels with; its labels: {labels}.'
        )
    return describe_snapshots(node.get_snapshots(), base_method)[0].plain()


def content_of(node: SnapshotsData) -> Json:
    """Return what there is to say about a data set as plain JSON, the same in every database."""
    structure = structure_of(node)
    return {
        'name': node.label,
        'uuid': node.uuid,
        'content_hash': node.content_hash,
        'structure': None if structure is None else structure.uuid,
        **report_of(node),
    }


def launch_line(node: SnapshotsData) -> str:
    """Return the command that starts a run from a data set."""
    from aiida_mlcc.science.labels.methods import WAVEFUNCTION_METHODS

    structure = structure_of(node)
    crystal = 'STRUCTURE_FILE' if structure is None else str(structure.pk)
    words = ['aiida-mlcc launch' + profile_suffix(), crystal, '--snapshots', shlex.quote(node.label or str(node.pk))]
    labelled = [method for method in node.methods if method not in node.base_methods]
    if labelled and labelled != list(WAVEFUNCTION_METHODS):
        words += ['--methods', shlex.quote(','.join(labelled))]
    return ' '.join(words)
