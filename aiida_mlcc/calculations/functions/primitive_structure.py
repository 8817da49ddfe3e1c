"""The primitive cell of a crystal, in the orientation it was given in."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.science.crystal.cells import primitive_cell


@calcfunction
def primitive_structure(
    structure: orm.StructureData, symprec: orm.Float, science: orm.Str, kind: orm.Str | None = None
) -> orm.StructureData:
    """Return the primitive cell; forces and force constants keep their Cartesian axes.

    :param kind: which, as :func:`~aiida_mlcc.science.crystal.cells.primitive_cell` has it; ``auto`` by default.
    """
    chosen = 'auto' if kind is None else kind.value
    return orm.StructureData(ase=primitive_cell(structure.get_ase(), symprec.value, chosen))
