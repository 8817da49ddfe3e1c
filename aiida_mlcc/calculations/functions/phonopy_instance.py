"""Phonopy from its node, with force constants: what the calcfunctions of the curves have in common."""

from typing import Any

import numpy as np
from aiida import orm
from aiida_phonopy.data.phonopy import PhonopyData

from aiida_mlcc.science.force_symmetry import symmetrise


def phonopy_of(node: PhonopyData, nac: orm.ArrayData | None = None) -> Any:
    """Return phonopy with force constants, without residual forces and with the symmetry of permutations enforced."""
    return phonopy_and_violation(node, nac)[0]


def phonopy_and_violation(node: PhonopyData, nac: orm.ArrayData | None = None) -> tuple[Any, dict[str, float]]:
    """Return phonopy with force constants, and how far these were from their symmetry.

    The Born charges are those of the phonon data, from which phonopy takes them itself.

    :param nac: the charges of runs whose phonon data have none of their own.
    """
    phonon = node.get_phonopy_instance(subtract_residual_forces=True, symmetrize_nac=False)
    phonon.produce_force_constants()
    violation = symmetrise(phonon)
    violation['residual_force_eV_A'] = float(np.abs(node.residual_forces).max())
    if nac is not None:
        phonon.nac_params = {
            'born': nac.get_array('born_charges'),
            'dielectric': nac.get_array('dielectric'),
            'factor': nac.base.attributes.get('factor'),
            'method': 'gonze',
        }
    return phonon, violation


def members_of(nodes: dict[str, PhonopyData]) -> dict[str, Any]:
    """Return phonopy of each member, in the order of their names."""
    return {name: phonopy_of(node) for name, node in sorted(nodes.items())}
