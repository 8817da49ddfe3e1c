"""A crystal with exactly the symmetry that it has within a tolerance."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.science.crystal.symmetry import symmetrised


@calcfunction
def symmetrised_structure(structure: orm.StructureData, symprec: orm.Float, science: orm.Str) -> orm.StructureData:
    """Return the crystal with its atoms on the places of the symmetry that is found within `symprec` (Å)."""
    return orm.StructureData(ase=symmetrised(structure.get_ase(), symprec.value))
