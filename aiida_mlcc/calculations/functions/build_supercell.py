"""The supercell of a crystal, as the first snapshot."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.cells import expand_matrix, supercell
from aiida_mlcc.science.labels.snapshots import Snapshots


@calcfunction
def build_supercell(structure: orm.StructureData, supercell_matrix: orm.List, science: orm.Str) -> SnapshotsData:
    """Return the undisplaced supercell as one unlabelled snapshot."""
    atoms = supercell(structure.get_ase(), expand_matrix(supercell_matrix.get_list()))
    return SnapshotsData(Snapshots.from_atoms([atoms]))
