"""A crystal at another volume."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.science.phonons.gruneisen import strained


@calcfunction
def strained_structure(structure: orm.StructureData, strain: orm.Float, science: orm.Str) -> orm.StructureData:
    """Return the crystal with all lattice vectors longer by `strain`, its atoms at the same fractions of the cell."""
    return orm.StructureData(ase=strained(structure.get_ase(), strain.value))
