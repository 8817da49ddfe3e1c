"""The phonons of a base against those of reference displacements, in the cell of the displacements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.science.crystal.cells import map_onto_crystal, supercell
from aiida_mlcc.science.fit.fit_errors import PhononErrors
from aiida_mlcc.science.fit.reference import ReferenceForces, fit_reference
from aiida_mlcc.science.force_field import ForceField, Term
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.phonons.benchmark import phonon_errors, phonopy_from_rows
from aiida_mlcc.science.phonons.finite_displacements import rows_at_rest


@dataclass(frozen=True)
class ReferencePhonons:
    """Reference displacements with the force constants that were fitted to them.

    :param term: what the dipoles leave of them.
    :param dipoles: the dipole–dipole energy of a polar crystal, if it is one.
    """

    forces: ReferenceForces
    primitive: Atoms
    term: Term
    dipoles: tuple[Term, ...]

    @classmethod
    def of(cls, reference: Snapshots, primitive: Atoms, method: str, dipoles: Sequence[Term] = ()) -> ReferencePhonons:
        """Fit the force constants once.

        :raises SnapshotsError: or CrystalError, as :func:`~aiida_mlcc.science.fit.reference.fit_reference`.
        """
        term = fit_reference(reference, primitive, method, dipoles).term
        return cls(ReferenceForces.of(reference, primitive, method), primitive, term, tuple(dipoles))

    def errors_of(self, force_field: ForceField, device: str = 'cpu') -> PhononErrors:
        """Return the :func:`~aiida_mlcc.science.phonons.benchmark.phonon_errors` of a base in the reference cell."""
        expected = ForceField((self.term, *self.dipoles), force_field.constants)
        multiples = self.forces.site_map.multiples
        matrix = multiples.T * round(float(np.sign(np.linalg.det(multiples))))
        calculators = ForceFieldCalculator(force_field, device), ForceFieldCalculator(expected)
        return against_force_field(*calculators, self.primitive, matrix)


def against_force_field(found: Any, expected: Any, primitive: Atoms, matrix: ArrayLike) -> PhononErrors:
    """Return :func:`~aiida_mlcc.science.phonons.benchmark.phonon_errors` of one ASE calculator against another.

    :param matrix: supercell of `primitive`, as phonopy reads it.
    """
    atoms = supercell(primitive, matrix)
    site_map = map_onto_crystal(primitive, atoms)
    sides = [
        phonopy_from_rows(rows_at_rest(calculator.get_forces, atoms, site_map), primitive, site_map)
        for calculator in (found, expected)
    ]
    return phonon_errors(*sides)
