"""Reference displacements that somebody else has calculated, from a node or a file such as phonopy's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import find
from aiida_mlcc.science.dataset.label_keys import read_number

if TYPE_CHECKING:
    from aiida_mlcc.data.snapshots import SnapshotsData


def read_displacements(source: str, snapshots: SnapshotsData | None) -> SnapshotsData:
    """Return the SnapshotsData that is named, or the displaced cells of a file with their forces.

    :param source: a node, or a file that ``dataset import`` reads, such as ``phonopy_params.yaml``.
    :param snapshots: those of the run: the forces of a file are taken to be made as their DFT forces are.
    :raises click.UsageError: where it is neither, or a file without `snapshots`.
    """
    import numpy as np
    from aiida.plugins import DataFactory

    from aiida_mlcc.science.dataset.file_content import ContentError
    from aiida_mlcc.science.dataset.frame_files import read_frames
    from aiida_mlcc.science.labels.snapshots import Label, Snapshots
    from aiida_mlcc.workflows.labelling.selections import base_method_of

    node_type = DataFactory('mlcc.snapshots')
    path = Path(source)
    if not path.is_file():
        found: SnapshotsData = find(source, node_type)
        return found
    method = None if snapshots is None else base_method_of(snapshots)
    if snapshots is None or method is None:
        raise click.UsageError(
            f'{path} does not say which DFT settings its forces were computed with: give --snapshots with the '
            'same DFT settings, or import the file with `aiida-mlcc dataset import` and give the data set.'
        )
    try:
        frames = read_frames(path)
    except ContentError as error:
        raise click.UsageError(f'{error}.') from None
    if missing := [number for number, frame in enumerate(frames) if 'forces' not in frame.columns]:
        raise click.UsageError(f'{path}: frame {missing[0]} has no forces.')
    try:
        cells = Snapshots.from_atoms([frame.atoms for frame in frames])
        label = Label(
            np.array([read_number(frame.entries, 'energy')[0] for frame in frames]),
            np.array([frame.columns['forces'] for frame in frames]),
            snapshots.get_snapshots().labels[method].source,
        )
        labelled = cells.with_label(method, label)
    except ValueError as error:
        raise click.UsageError(f'{path}: {error}.') from None
    click.echo(f'{path}: {len(frames)} displaced cells, whose forces are taken as {method} like those of the snapshots')
    return node_type(labelled)
