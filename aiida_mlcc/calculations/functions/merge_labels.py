"""One set of snapshots with all labels that there are of it."""

from dataclasses import replace

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.merging import merge_labels as merge


@calcfunction
def merge_labels(
    snapshots: SnapshotsData, science: orm.Str, methods: orm.List = None, **labelled: SnapshotsData
) -> SnapshotsData:
    """Return `snapshots` with the labels of every set in `labelled`, matched by geometry.

    :param methods: take labels of these methods alone; by default all.
    """
    sets = [labelled[name].get_snapshots() for name in sorted(labelled)]
    if methods is not None:
        sets = [
            replace(one, labels={method: label for method, label in one.labels.items() if method in methods.get_list()})
            for one in sets
        ]
    return SnapshotsData(merge(snapshots.get_snapshots(), sets))
