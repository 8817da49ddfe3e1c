"""Structures for VASP, one for each frame: VASP takes one at a time."""

from aiida import orm
from aiida.engine import calcfunction
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.species_order import species_order


@calcfunction
def vasp_structures(snapshots: SnapshotsData, frames: orm.List, science: orm.Str) -> dict[str, orm.StructureData]:
    """Return ``frame_N`` → structure for each N in `frames`, its atoms sorted by species, one kind for each element."""
    content = snapshots.get_snapshots()
    return {f'frame_{frame}': _structure(content.atoms(frame)) for frame in frames.get_list()}


def _structure(atoms: Atoms) -> orm.StructureData:
    ordered = atoms[species_order(atoms.get_chemical_symbols())]
    return orm.StructureData(ase=ordered)
