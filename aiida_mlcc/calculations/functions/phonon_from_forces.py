"""Forces of the displaced cells as phonon data."""

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, calcfunction
from aiida_phonopy.data.phonopy import PhonopyData
from aiida_phonopy.data.preprocess import PreProcessData
from ase import Atoms

from aiida_mlcc.calculations.functions.phonopy_instance import without_symmetry
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.cells import from_phonopy, isotopes
from aiida_mlcc.science.force_field.dipole import DrawnCharges, drawn_charges


@calcfunction
def phonon_from_forces(
    preprocess: PreProcessData,
    evaluated: SnapshotsData,
    first: orm.Int,
    science: orm.Str,
    cell: orm.StructureData | None = None,
    nac: orm.ArrayData | None = None,
    force_field: ForceFieldData | None = None,
) -> PhonopyData:
    """Return phonopy's data of one member; the forces on the undisplaced cell are kept as residual forces.

    Born charges come from the dipole–dipole term of the force field: those of the forces, whatever the method. Where it
    has no such term, they are those given, and the attribute ``lo_remark`` says why the LO branch is then not known
    between the wave vectors of the training cell. It ends with the reason where a force is missing or not a number.

    :param first: the frame of the undisplaced cell; the displaced ones follow it.
    :param cell: whose atoms are displaced. If it has isotopes, their masses go into the phonon data, which would have
        those of the natural elements otherwise.
    :param nac: Born charges, as ``born_charges`` gives them.
    :param force_field: that gave the forces; without it they are those of an engine, whose charges are given.
    """
    frames = evaluated.get_snapshots()
    (label,) = frames.labels.values()
    displaced = without_symmetry(preprocess)
    phonon = displaced.get_phonopy_instance()
    start, count = first.value, len(phonon.displacements)
    forces = None if label.forces is None else label.forces[start : start + 1 + count]
    if forces is None or len(forces) <= count:
        return ExitCode(400, f'there are no forces on all {count + 1} cells')
    if not np.isfinite(forces).all():
        wrong = start + int(np.argwhere(~np.isfinite(forces))[0, 0])
        return ExitCode(400, f'a force of cell {wrong} is not a number')
    if forces.shape[1] != len(phonon.supercell):
        return ExitCode(400, f'the forces are of {forces.shape[1]} atoms, the supercell has {len(phonon.supercell)}')
    node = PhonopyData(preprocess_data=displaced)
    node.base.attributes.set('is_symmetry', preprocess.is_symmetry)
    if cell is not None and isotopes(atoms := cell.get_ase()):
        node.base.attributes.set('masses', atoms.get_masses().tolist())
    try:
        charges = _charges_of(from_phonopy(phonon.primitive), nac, force_field)
    except ValueError as error:
        return ExitCode(400, str(error))
    if charges is not None:
        node.set_array('born_charges', charges.charges)
        node.set_dielectric(charges.dielectric)
        node.base.attributes.set_many({'nac_weight': charges.weight, 'lo_remark': charges.remark})
    node.set_array('forces', forces[1:])
    node.set_array('residual_forces', forces[0])
    return node


def _charges_of(primitive: Atoms, nac: orm.ArrayData | None, force_field: ForceFieldData | None) -> DrawnCharges | None:
    if force_field is not None:
        drawn = drawn_charges(force_field.get_force_field(), primitive)
        if drawn is not None:
            return drawn
    if nac is None:
        return None
    remark = '' if force_field is None else 'the force field has no dipole–dipole term beside these Born charges'
    return DrawnCharges(nac.get_array('born_charges'), nac.get_array('dielectric'), 1.0, remark)
