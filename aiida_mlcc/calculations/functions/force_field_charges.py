"""The Born charges that a force field stands for."""

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.science.force_field import ForceFieldError
from aiida_mlcc.science.force_field.dipole import polarity_of


@calcfunction
def force_field_charges(force_field: ForceFieldData, primitive: orm.StructureData, science: orm.Str) -> orm.ArrayData:
    """Return ``born_charges`` (e, n_atoms × 3 × 3) and ``dielectric`` of its dipole–dipole energy.

    The charges are √w times those it was given, w being the weight of that energy. It ends with the reason where there
    are none.
    """
    try:
        polarity = polarity_of(force_field.get_force_field(), primitive.get_ase())
    except ForceFieldError as error:
        return ExitCode(400, str(error))
    if polarity is None or polarity.weight <= 0:
        weight = 'no dipole–dipole energy' if polarity is None else f'one of weight {polarity.weight:.2f}'
        return ExitCode(400, f'no Born charges follow from the force field: it has {weight}')
    charges = np.sqrt(polarity.weight) * polarity.charges
    return orm.ArrayData({'born_charges': charges, 'dielectric': polarity.dielectric})
