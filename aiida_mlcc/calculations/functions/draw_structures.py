"""Structures of thermal motion, drawn from the harmonic distribution of a crystal, unlabelled."""

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.cells import expand_matrix, primitive_cell, supercell
from aiida_mlcc.science.design.thermal_structures import ThermalStructures, next_structures


@calcfunction
def draw_structures(
    reference: SnapshotsData,
    structure: orm.StructureData,
    supercell_matrix: orm.List,
    parameters: orm.Dict,
    seed: orm.Int,
    symprec: orm.Float,
    science: orm.Str,
    frames: SnapshotsData | None = None,
) -> dict[str, orm.Data]:
    """Return the first structures as `snapshots`, or with `frames`, which are these, the others; and `remarks`.

    It ends with the reason where the forces allow no harmonic distribution.
    """
    crystal = structure.get_ase()
    try:
        drawn = next_structures(
            reference.get_snapshots(),
            primitive_cell(crystal, symprec.value),
            supercell(crystal, expand_matrix(supercell_matrix.get_list())),
            ThermalStructures.of(parameters.get_dict()),
            seed.value,
            None if frames is None else frames.get_snapshots(),
        )
    except ValueError as error:
        return ExitCode(400, str(error))
    return {'snapshots': SnapshotsData(drawn.snapshots), 'remarks': orm.List(drawn.remarks)}
