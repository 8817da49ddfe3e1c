"""The displacements of a frozen-phonon calculation."""

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from aiida_phonopy.data.preprocess import PreProcessData


@calcfunction
def phonopy_displacements(
    primitive: orm.StructureData,
    supercell_matrix: orm.List,
    distance: orm.Float,
    symprec: orm.Float,
    science: orm.Str,
) -> PreProcessData:
    """Return phonopy's displacements of the atoms that symmetry leaves to be displaced.

    :param supercell_matrix: in multiples of `primitive`, as phonopy reads it.
    :param distance: how far each is displaced, Å.
    """
    # A node of aiida-phonopy looks for the symmetry of its supercell in each of its steps; it is needed in the last.
    node = PreProcessData(
        structure=primitive,
        supercell_matrix=supercell_matrix.get_list(),
        primitive_matrix=np.eye(3).tolist(),
        symprec=symprec.value,
        is_symmetry=False,
    )
    node.base.attributes.set('is_symmetry', True)
    node.set_displacements(distance=distance.value)
    return node
