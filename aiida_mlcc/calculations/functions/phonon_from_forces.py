"""Forces of the displaced cells as phonon data."""

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, calcfunction
from aiida_phonopy.data.phonopy import PhonopyData
from aiida_phonopy.data.preprocess import PreProcessData

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal import isotopes


@calcfunction
def phonon_from_forces(
    preprocess: PreProcessData,
    evaluated: SnapshotsData,
    first: orm.Int,
    science: orm.Str,
    cell: orm.StructureData | None = None,
) -> PhonopyData:
    """Return phonopy's data of one member; the forces on the undisplaced cell are kept as residual forces.

    It ends with the reason where a force is missing or not a number.

    :param first: the frame of the undisplaced cell; the displaced ones follow it.
    :param cell: whose atoms are displaced. If it has isotopes, their masses go into the phonon data, which would have
        those of the natural elements otherwise.
    """
    frames = evaluated.get_snapshots()
    (label,) = frames.labels.values()
    start, count = first.value, len(preprocess.displacements)
    forces = None if label.forces is None else label.forces[start : start + 1 + count]
    if forces is None or len(forces) <= count:
        return ExitCode(400, f'there are no forces on all {count + 1} cells')
    if not np.isfinite(forces).all():
        wrong = start + int(np.argwhere(~np.isfinite(forces))[0, 0])
        return ExitCode(400, f'a force of cell {wrong} is not a number')
    node = PhonopyData(preprocess_data=preprocess)
    if cell is not None and isotopes(atoms := cell.get_ase()):
        node.base.attributes.set('masses', atoms.get_masses().tolist())
    node.set_forces(forces[1:])
    node.set_residual_forces(forces[0])
    return node
