"""Reference displacements of a crystal, unlabelled."""

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells


@calcfunction
def displaced_structures(
    structure: orm.StructureData,
    supercell_matrix: orm.List,
    parameters: orm.Dict,
    symprec: orm.Float,
    science: orm.Str,
) -> SnapshotsData:
    """Return a supercell at rest, then with one atom moved in each; it ends with the reason if there is none."""
    try:
        settings = Displacements.of(parameters.get_dict())
        found = displaced_cells(structure.get_ase(), supercell_matrix.get_list(), settings, symprec.value)
    except ValueError as error:
        return ExitCode(400, str(error))
    return SnapshotsData(found)
