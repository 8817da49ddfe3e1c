"""One set of snapshots with all labels that there are of it."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labelling import merge_labels as merge


@calcfunction
def merge_labels(snapshots: SnapshotsData, science: orm.Str, **labelled: SnapshotsData) -> SnapshotsData:
    """Return `snapshots` with the labels of every set in `labelled`, matched by geometry."""
    sets = [labelled[name].get_snapshots() for name in sorted(labelled)]
    return SnapshotsData(merge(snapshots.get_snapshots(), sets))
