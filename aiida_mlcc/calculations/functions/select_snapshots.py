"""Which snapshots are labelled by a costly method."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.selection import select


@calcfunction
def select_snapshots(snapshots: SnapshotsData, selection: orm.Dict, science: orm.Str) -> SnapshotsData:
    """Return the selected frames, without labels: their energies are yet to be computed."""
    frames = snapshots.get_snapshots()
    return SnapshotsData(frames.select(select(frames, selection.get_dict())).without_labels())
