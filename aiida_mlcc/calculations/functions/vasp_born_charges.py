"""Born charges of a DFPT calculation by aiida-vasp, as the input `nac` of the phonons."""

import numpy as np
from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def vasp_born_charges(
    born_charges: orm.ArrayData, dielectrics: orm.ArrayData, structure: orm.StructureData
) -> orm.ArrayData:
    """Return the charges with the dielectric tensor and the cell they belong to, which may be any cell of the crystal.

    :param born_charges: the output of that name, for which the parser is asked by ``include_node``.
    :param dielectrics: likewise; its ``epsilon`` is the high-frequency tensor.
    :param structure: of the calculation.
    """
    atoms = structure.get_ase()
    return orm.ArrayData(
        {
            'born_charges': np.asarray(born_charges.get_array('born_charges')),
            'dielectric': np.asarray(dielectrics.get_array('epsilon')),
            'numbers': atoms.numbers,
            'cell': atoms.cell.array,
            'positions': atoms.positions,
        }
    )
