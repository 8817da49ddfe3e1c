"""PySCF as an ASE calculator: energies and forces of LDA, PBE and Hartree–Fock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.units import Hartree
from numpy.typing import NDArray

from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.pyscf.density_extrapolation import DensityExtrapolation
from aiida_mlcc.runtime.pyscf.engine import (
    density_functional,
    density_functional_forces,
    hartree_fock,
    hartree_fock_forces,
)
from aiida_mlcc.runtime.pyscf.settings import PyscfForces, refuse_forces
from aiida_mlcc.science.crystal.cells import orthogonal_axes
from aiida_mlcc.science.phonons.finite_displacements import NET_FORCE


class PyscfCalculator(Calculator):
    """PySCF: LDA or PBE with analytic forces at the Γ point, HF with forces by central differences.

    HF forces cost six energies an atom. On a mesh of k-points LDA and PBE have no forces. See
    :mod:`aiida_mlcc.runtime.pyscf.engine`.

    :param follow: start each SCF from the density matrices of the last structures, as the steps of a trajectory allow.
        Without it an energy does not depend on what was computed before.
    """

    implemented_properties = ['energy', 'forces']

    def __init__(self, settings: PyscfForces, follow: bool = False) -> None:
        super().__init__()
        self.settings = settings
        self.follow = follow
        self.label_method = settings.method
        self.label_source = settings.source(settings.method)
        self.extrapolation = DensityExtrapolation()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ('energy', 'forces'),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute energy and forces, as ASE calls it."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        if not self.follow:
            self.extrapolation.forget()
        mesh = self.settings.mesh
        if 'forces' in properties and (reason := refuse_forces(self.label_method, mesh)) is not None:
            raise EngineError(reason)
        if self.label_method == 'HF':
            mean_field = hartree_fock(self.atoms, self.settings, self.extrapolation, mesh)
        else:
            turned, axes = _along_axes(self.atoms)
            mean_field = density_functional(turned, self.settings, self.label_method, self.extrapolation, mesh)
        self.results = {'energy': float(mean_field.e_tot) * Hartree}
        if 'forces' not in properties:
            return
        if self.label_method == 'HF':
            density_matrix = np.asarray(mean_field.make_rdm1())
            self.results['forces'] = hartree_fock_forces(self.atoms, self.settings, density_matrix, mesh=mesh)
        else:
            forces = density_functional_forces(mean_field) @ axes
            self.results['forces'] = forces - forces.mean(axis=0)
            self.results[NET_FORCE] = forces.sum(axis=0)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what the next SCF starts from."""
        return self.extrapolation.state()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`state` gave."""
        self.extrapolation.restore(state)


def _along_axes(atoms: Atoms) -> tuple[Atoms, NDArray[np.float64]]:
    """Return a crystal with an orthogonal cell turned so that its vectors lie along x, y and z, and where they lay.

    PySCF's multigrid is many times faster there. Other cells stay as they are.

    :returns: the crystal, and the directions of the vectors of `atoms`, shape (3, 3), rows: forces times these are
        those of `atoms`.
    """
    cell = atoms.cell.array
    axes = orthogonal_axes(cell)
    if axes is None or not np.any(cell - np.diag(cell.diagonal())):
        return atoms, np.eye(3)
    turned = Atoms(atoms.numbers, cell=np.linalg.norm(cell, axis=1), pbc=atoms.pbc)
    turned.set_scaled_positions(atoms.get_scaled_positions(wrap=False))
    return turned, axes
