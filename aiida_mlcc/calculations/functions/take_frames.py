"""Some frames of a set, by index: what is still to be labelled, or one batch of it."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData


@calcfunction
def take_frames(snapshots: SnapshotsData, frames: orm.List, science: orm.Str) -> SnapshotsData:
    """Return the frames with the given indices, without labels."""
    return SnapshotsData(snapshots.get_snapshots().select(frames.get_list()).without_labels())
