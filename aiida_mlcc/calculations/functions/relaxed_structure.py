"""The primitive cell of a relaxed supercell."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.relaxation import primitive_of_relaxed


@calcfunction
def relaxed_structure(
    primitive: orm.StructureData,
    supercell_matrix: orm.List,
    ideal: SnapshotsData,
    relaxed: SnapshotsData,
    science: orm.Str,
) -> orm.StructureData:
    """Return the primitive cell at rest, the mean over its repetitions in the supercell."""
    matrix = supercell_matrix.get_list()
    return orm.StructureData(
        ase=primitive_of_relaxed(primitive.get_ase(), matrix, ideal.get_ase(0), relaxed.get_ase(0))
    )
