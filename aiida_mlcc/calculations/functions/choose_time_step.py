"""The time step of a dynamics, from the stiffest mode of its crystal."""

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.cells import primitive_cell
from aiida_mlcc.science.fit.reference import longest_time_step, method_of_reference, reference_model


@calcfunction
def choose_time_step(
    reference: SnapshotsData,
    structure: orm.StructureData,
    start: SnapshotsData,
    parameters: orm.Dict,
    symprec: orm.Float,
    science: orm.Str,
) -> orm.Dict:
    """Return the parameters of a dynamics with `time_step_fs`; it ends with the reason where no mode is known.

    :param reference: displacements with forces.
    :param start: the supercell of the dynamics.
    """
    found = reference.get_snapshots()
    try:
        primitive = primitive_cell(structure.get_ase(), symprec.value)
        model = reference_model(found, primitive, method_of_reference(found), start.get_ase(0))
        step = longest_time_step(max(mode.frequency_cm1 for mode in model.modes()))
    except ValueError as error:
        return ExitCode(400, str(error))
    return orm.Dict({**parameters.get_dict(), 'time_step_fs': step})
