"""A force field as an ASE calculator: E = Σ_t w_t·E_t(x) + Σ_i c(Z_i), and its forces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from aiida_mlcc.science.force_field import ForceField, ForceFieldError
from aiida_mlcc.science.force_field.kinds import BoundModel, models_of
from aiida_mlcc.science.json_values import Source

_LARGEST_STEP = 1.0
"""Å; an atom that is further from where it was at the last call has jumped: another structure, not the next step."""

_PROBE_TOLERANCE = {'float64': 1e-6, 'float32': 2e-4}
"""eV per atom."""


class ForceFieldCalculator(Calculator):
    """Energy (eV) and forces (eV/Å) of a force field, for crystals. The same input gives the same bits on the CPU.

    Torch and MACE are imported only where the force field has a network; readouts of a network cost no second
    evaluation of it.

    :param device: ``cpu`` or ``cuda``, of the networks.
    :param dtype: ``float64`` or ``float32``, of the networks; finite differences of forces need ``float64``.
    :param label: the method that the force field stands for, as in ``CCSD(T)``.
    :raises ForceFieldError: for a Δ that has no energy of its own, a readout without its network, or a force field
        whose energy is not the stored one.
    """

    implemented_properties = ['energy', 'forces']

    def __init__(
        self, force_field: ForceField, device: str = 'cpu', dtype: str = 'float64', label: str | None = None
    ) -> None:
        super().__init__()
        if dtype not in _PROBE_TOLERANCE:
            raise ForceFieldError(f'unknown dtype {dtype!r}: choose from {", ".join(_PROBE_TOLERANCE)}')
        if force_field.base_scale:
            raise ForceFieldError(
                f'this Δ rescales the base it was fitted with by {force_field.base_scale:g} and has no energy '
                'of its own: add it to a base force field first'
            )
        self.force_field = force_field
        self.dtype = dtype
        self.label_method = label
        self.label_source: Source = {'force_field': force_field.content_hash(), 'dtype': dtype}
        self._models = models_of(force_field.terms, device, dtype)
        self._bound: list[BoundModel] = []
        self._bound_to: Atoms | None = None
        self._check_probe()

    def bind(self, atoms: Atoms) -> None:
        """Fix which site of the crystal each atom of `atoms` belongs to, for the terms that know sites.

        That happens by itself at the first call and whenever the cell changes or an atom jumps. A resumed MD run calls
        it with the structure the run began with, to go on with the same reference bit by bit.

        :raises ForceFieldError: where the atoms are another crystal.
        """
        self._bound = [model.bind(atoms) for model in self._models]
        self._bound_to = atoms.copy()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ('energy', 'forces'),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute energy and forces, as ASE calls it."""
        super().calculate(atoms, properties, system_changes)
        structure = self.atoms
        if structure is None or not structure.pbc.all():
            raise ForceFieldError('a force field of a crystal needs a structure that is periodic in all directions')
        positions = structure.positions
        energy = self.force_field.constant_of(structure.get_chemical_symbols())
        forces: NDArray[np.float64] = np.zeros_like(positions)
        self._follow(structure)
        for bound in self._bound:
            energy_of_term, forces_of_term = bound.energy_forces(positions)
            energy, forces = energy + energy_of_term, forces + forces_of_term
        self.results = {'energy': float(energy), 'forces': forces}

    def _follow(self, atoms: Atoms) -> None:
        known = self._bound_to
        if known is None or not _same_crystal(known, atoms):
            self.bind(atoms)
        else:
            known.positions[:] = atoms.positions

    def _check_probe(self) -> None:
        probe = self.force_field.probe
        if probe is None:
            return
        atoms = Atoms(probe['symbols'], cell=probe['cell'], positions=probe['positions'], pbc=True)
        energy = self.get_potential_energy(atoms)
        difference = abs(energy - probe['energy'])
        if not difference <= _PROBE_TOLERANCE[self.dtype] * len(atoms):
            raise ForceFieldError(
                f'this force field gives {energy:.6f} eV for its probe structure, not the {probe["energy"]:.6f} eV '
                'stored with it: it was made with a version of MACE that computes something else, or it is damaged'
            )
        self.reset()
        self._bound, self._bound_to = [], None


def _same_crystal(before: Atoms, after: Atoms) -> bool:
    return (
        len(before) == len(after)
        and bool((before.numbers == after.numbers).all())
        and bool(np.array_equal(before.cell.array, after.cell.array))
        and float(np.abs(after.positions - before.positions).max()) <= _LARGEST_STEP
    )
