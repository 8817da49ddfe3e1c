"""Phonons of a force field: phonopy with its force constants, and with the Born charges that it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.crystal.cells import CrystalError, map_onto_crystal, supercell
from aiida_mlcc.science.crystal.force_symmetry import symmetrise
from aiida_mlcc.science.force_field.dipole import drawn_charges
from aiida_mlcc.science.force_field.kinds import models_of
from aiida_mlcc.science.force_field.sum import ForceField
from aiida_mlcc.science.phonons.benchmark import phonopy_from_rows
from aiida_mlcc.science.phonons.finite_displacements import rows_at_rest
from aiida_mlcc.science.phonons.nac import refuse_supercell

if TYPE_CHECKING:
    from phonopy import Phonopy


def phonopy_of(
    force_field: ForceField, primitive: Atoms, supercell_matrix: int | ArrayLike, device: str = 'cpu'
) -> Phonopy:
    """Return phonopy with the force constants of a force field, by finite displacements of the crystal at rest.

    Translational and permutation symmetry are enforced. If the force field has a dipole–dipole term, the non-analytical
    correction follows from it, see :func:`~aiida_mlcc.science.force_field.dipole.drawn_charges`.

    :param force_field: in eV and Å.
    :param primitive: the primitive cell of the crystal that the force field is of.
    :param supercell_matrix: of `primitive`, as phonopy reads it: one whole number, three, or 3×3; right-handed.
    :param device: ``cpu`` or ``cuda``, where networks are evaluated.
    :returns: a :class:`phonopy.Phonopy` with `primitive` as its primitive cell.
    :raises aiida_mlcc.science.crystal.cells.CrystalError: for a supercell that is none, or too small for the
        correction.
    :raises aiida_mlcc.science.force_field.ForceFieldError: for a force field that cannot be evaluated.
    """
    from phonopy.physical_units import get_physical_units

    charges = drawn_charges(force_field, primitive)
    if charges is not None and (reason := refuse_supercell(primitive, np.asarray(supercell_matrix))) is not None:
        raise CrystalError(reason)
    atoms = supercell(primitive, supercell_matrix)
    bound = [model.bind(atoms) for model in models_of(force_field.terms, device)]

    def forces_of(moved: Atoms) -> NDArray[np.float64]:
        return np.asarray(sum(one.energy_forces(moved.positions)[1] for one in bound))

    site_map = map_onto_crystal(primitive, atoms)
    phonon = phonopy_from_rows(rows_at_rest(forces_of, atoms, site_map), primitive, site_map)
    symmetrise(phonon)
    if charges is not None:
        units = get_physical_units()
        phonon.nac_params = {
            'born': charges.charges,
            'dielectric': charges.dielectric,
            'factor': units.Hartree * units.Bohr,
        }
    return phonon
