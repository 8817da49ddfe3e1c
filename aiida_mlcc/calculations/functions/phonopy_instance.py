"""Phonopy from its nodes, with force constants: what the calcfunctions of the curves have in common."""

import copy
import json
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from aiida import orm
from aiida_phonopy.data.phonopy import PhonopyData
from aiida_phonopy.data.preprocess import PreProcessData
from phonopy import Phonopy
from phonopy.physical_units import get_physical_units

from aiida_mlcc.science.crystal.force_symmetry import symmetrise

_CRYSTAL = (
    'cell',
    'positions',
    'numbers',
    'symbols',
    'masses',
    'magnetic_moments',
    'supercell_matrix',
    'primitive_matrix',
    'symprec',
    'is_symmetry',
    'distinguish_kinds',
)
"""Attributes of a node that decide what supercell and symmetry phonopy finds."""


_CRYSTALS_KEPT = 4


class PhonopyInstances:
    """Phonopy of many nodes. The symmetry of a supercell, which takes longest to find, is found once for all nodes of
    that supercell: members and alternatives differ by forces and charges only, and the curves of a run follow each
    other in one process."""

    _crystals: ClassVar[dict[str, Phonopy]] = {}

    def of(self, node: PhonopyData, nac: orm.ArrayData | None = None) -> Phonopy:
        """Return phonopy with force constants, without residual forces and with the symmetry of permutations enforced.

        :param nac: the charges of runs whose phonon data have none of their own.
        """
        return self.with_violation(node, nac)[0]

    def with_violation(self, node: PhonopyData, nac: orm.ArrayData | None = None) -> tuple[Phonopy, dict[str, float]]:
        """Return phonopy as :meth:`of` does, and how far its force constants were from their symmetry."""
        phonon = copy.copy(self._crystal_of(node))
        phonon.nac_params = None
        phonon.dataset = node.displacement_dataset
        phonon.forces = node.forces - node.residual_forces
        phonon.produce_force_constants(show_drift=False)
        violation = symmetrise(phonon)
        violation['residual_force_eV_A'] = float(np.abs(node.residual_forces).max())
        # Charges last: with them, each change of the force constants would prepare the correction anew.
        if nac is not None:
            phonon.nac_params = {
                'born': nac.get_array('born_charges'),
                'dielectric': nac.get_array('dielectric'),
                'factor': nac.base.attributes.get('factor'),
                'method': 'gonze',
            }
        elif node.has_nac_parameters():
            units = get_physical_units()
            factor = units.Hartree * units.Bohr
            phonon.nac_params = {'born': node.born_charges, 'dielectric': node.dielectric, 'factor': factor}
        return phonon, violation

    def of_members(self, nodes: Mapping[str, PhonopyData]) -> dict[str, Phonopy]:
        """Return phonopy of each member, in the order of their names."""
        return {name: self.of(node) for name, node in sorted(nodes.items())}

    def _crystal_of(self, node: PhonopyData) -> Phonopy:
        """Return phonopy of the supercell of a node, to be copied."""
        attributes = node.base.attributes.all
        crystal = json.dumps([attributes.get(name) for name in _CRYSTAL], default=np.ndarray.tolist)
        if crystal not in self._crystals:
            while len(self._crystals) >= _CRYSTALS_KEPT:
                del self._crystals[next(iter(self._crystals))]
            self._crystals[crystal] = node.get_phonopy_instance(symmetrize_nac=False)
        return self._crystals[crystal]


def without_symmetry(node: PreProcessData) -> PreProcessData:
    """Return a copy of a node, not stored, whose methods do not look for the symmetry of the supercell.

    Each phonopy.Phonopy does otherwise, and so most methods of these nodes.
    """
    found = node.clone()
    found.base.attributes.set('is_symmetry', False)
    return found
