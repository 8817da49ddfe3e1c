"""Forces of the displaced cells as phonon data."""

from aiida import orm
from aiida.engine import calcfunction
from aiida_phonopy.data.phonopy import PhonopyData
from aiida_phonopy.data.preprocess import PreProcessData

from aiida_mlcc.data.snapshots import SnapshotsData


@calcfunction
def phonon_from_forces(preprocess: PreProcessData, evaluated: SnapshotsData, science: orm.Str) -> PhonopyData:
    """Return phonopy's data of one member; the forces on the undisplaced cell are kept as residual forces."""
    frames = evaluated.get_snapshots()
    (label,) = frames.labels.values()
    node = PhonopyData(preprocess_data=preprocess)
    node.set_forces(label.forces[1:])
    node.set_residual_forces(label.forces[0])
    return node
