"""Born charges and the dielectric tensor in the order of the primitive cell, checked and symmetrised."""

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.science.phonons.born import BornCharges, born_from_arrays, born_from_file, compared
from aiida_mlcc.science.phonons.born_quantum_espresso import charges_from_quantum_espresso, is_quantum_espresso


@calcfunction
def born_charges(
    nac: orm.SinglefileData | orm.ArrayData,
    primitive: orm.StructureData,
    symprec: orm.Float,
    science: orm.Str,
    other: orm.SinglefileData | orm.ArrayData | None = None,
) -> orm.ArrayData:
    """Return ``born_charges`` (e, n_atoms × 3 × 3) and ``dielectric``; what was corrected is in the attributes.

    It ends with the reason where they belong to another cell.

    :param other: the same from another k mesh; the report says by how much they differ.
    """
    try:
        found = born_of(nac, primitive, symprec.value)
        report = found.report()
        if other is not None:
            report += f' {compared(found, born_of(other, primitive, symprec.value))}'
    except ValueError as error:
        return ExitCode(400, str(error))
    node = orm.ArrayData({'born_charges': found.charges, 'dielectric': found.dielectric})
    names = ('factor', 'net_charge', 'asymmetry', 'dielectric_asymmetry')
    node.base.attributes.set_many({name: getattr(found, name) for name in names} | {'report': report})
    return node


def born_of(nac: orm.SinglefileData | orm.ArrayData, primitive: orm.StructureData, symprec: float) -> BornCharges:
    """Return what a node says: a file of phonopy or Quantum ESPRESSO, or arrays with the factor as an attribute.

    :raises aiida_mlcc.science.phonons.born.BornError: where it belongs to another cell.
    """
    if isinstance(nac, orm.SinglefileData):
        text, atoms = nac.get_content(), primitive.get_ase()
        if is_quantum_espresso(text):
            return born_from_arrays(charges_from_quantum_espresso(text), atoms, symprec)
        return born_from_file(text, atoms, symprec)
    arrays = {name: np.asarray(nac.get_array(name)) for name in nac.get_arraynames()}
    return born_from_arrays(arrays, primitive.get_ase(), symprec, nac.base.attributes.get('factor', None))
