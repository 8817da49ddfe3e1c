"""Snapshots of two origins as one set."""

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.merging import merge_labels
from aiida_mlcc.science.labels.snapshots import concatenate


@calcfunction
def join_snapshots(snapshots: SnapshotsData, more: SnapshotsData, science: orm.Str) -> SnapshotsData:
    """Return the frames of `snapshots`, then those of `more` that carry a label, with the labels of both.

    It ends with the reason where labels of one method were made with different settings, or nothing is labelled.
    """
    added = more.get_snapshots()
    if not (labelled := [frame for label in added.labels.values() for frame in label.labelled.nonzero()[0]]):
        return ExitCode(400, 'none of them is labelled')
    parts = [snapshots.get_snapshots(), added.select(sorted(set(labelled)))]
    try:
        structures = concatenate([part.without_labels() for part in parts])
        return SnapshotsData(merge_labels(structures, parts))
    except ValueError as error:
        return ExitCode(400, str(error))
