"""From the description of a calculator in ``input.json`` to an ASE calculator that knows what its energies are.

Every calculator here carries ``label_method``, the method its energies stand for, and ``label_source``, what is stored
with them. Where the next energy depends on the last ones, ``state()`` and ``restore()`` carry that through a
checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.units import Hartree
from numpy.typing import NDArray

from aiida_mlcc.runtime.density_extrapolation import DensityExtrapolation
from aiida_mlcc.runtime.pyscf_engine import (
    FUNCTIONALS,
    EngineError,
    PyscfSettings,
    density_functional,
    density_functional_forces,
    hartree_fock,
    hartree_fock_forces,
)
from aiida_mlcc.runtime.task import JobError
from aiida_mlcc.science.crystal import CrystalError
from aiida_mlcc.science.force_field import ForceField, ForceFieldError
from aiida_mlcc.science.methods import slug_of


def build_calculator(spec: Mapping[str, Any], folder: Path) -> Any:
    """Make the calculator that `spec` describes: an ASE calculator with a label.

    ``{"kind": "force-field", "path", "label", "device", "dtype"}``: `path` in `folder`, `label` the method the force
    field stands for. ``{"kind": "pyscf", "method", …}``: LDA, PBE or HF with the fields of
    :class:`~aiida_mlcc.runtime.pyscf_engine.PyscfSettings`.

    :raises JobError: for an unknown kind or method, or a setting that is missing or unknown.
    """
    settings = dict(spec)
    kind = settings.pop('kind', None)
    if kind == 'force-field':
        return _force_field_calculator(settings, folder)
    if kind == 'pyscf':
        method = settings.pop('method', None)
        if method not in (*FUNCTIONALS, 'HF'):
            raise JobError(f'PySCF gives forces for {", ".join(FUNCTIONALS)} and HF here, not for {method!r}')
        try:
            return PyscfCalculator(method, PyscfSettings.of(settings))
        except EngineError as error:
            raise JobError(str(error)) from error
    raise JobError(f'unknown kind of calculator {kind!r}: choose from force-field, pyscf')


def energy_and_forces(
    calculator: Calculator, atoms: Atoms, with_forces: bool = True
) -> tuple[float, NDArray[np.float64] | None]:
    """Return energy (eV) and forces (eV/Å) of `atoms`, computed anew whatever the calculator did before.

    :raises EngineError: where this structure has none.
    """
    try:
        calculator.calculate(atoms, ['energy', 'forces'] if with_forces else ['energy'], all_changes)
    except (ForceFieldError, CrystalError) as error:
        raise EngineError(str(error)) from error
    energy = float(calculator.results['energy'])
    return energy, np.array(calculator.results['forces'], dtype=float) if with_forces else None


class PyscfCalculator(Calculator):
    """PySCF at the Γ point: LDA or PBE with analytic forces, HF with forces by central differences.

    HF forces cost six energies an atom. See :mod:`aiida_mlcc.runtime.pyscf_engine`.

    :param follow: start each SCF from the density matrices of the last structures, as the steps of a trajectory allow.
        Without it an energy does not depend on what was computed before.
    """

    implemented_properties = ['energy', 'forces']

    def __init__(self, method: str, settings: PyscfSettings, follow: bool = False) -> None:
        super().__init__()
        self.settings = settings
        self.follow = follow
        self.label_method = method
        self.label_source = settings.source(method)
        self.extrapolation = DensityExtrapolation()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ('energy', 'forces'),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        if not self.follow:
            self.extrapolation.forget()
        if self.label_method == 'HF':
            mean_field = hartree_fock(self.atoms, self.settings, self.extrapolation)
        else:
            mean_field = density_functional(self.atoms, self.settings, self.label_method, self.extrapolation)
        self.results = {'energy': float(mean_field.e_tot) * Hartree}
        if 'forces' not in properties:
            return
        if self.label_method == 'HF':
            self.results['forces'] = hartree_fock_forces(self.atoms, self.settings, mean_field.make_rdm1())
        else:
            self.results['forces'] = density_functional_forces(mean_field)

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Return what the next SCF starts from."""
        return self.extrapolation.state()

    def restore(self, state: Mapping[str, NDArray[np.float64]]) -> None:
        """Go on from what :meth:`state` gave."""
        self.extrapolation.restore(state)


def _force_field_calculator(settings: dict[str, Any], folder: Path) -> Calculator:
    from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator

    known = ('path', 'label', 'device', 'dtype')
    if unknown := sorted(set(settings) - set(known)):
        raise JobError(f'a force field has no setting {unknown[0]!r} here: choose from {", ".join(known)}')
    if missing := [name for name in ('path', 'label') if not settings.get(name)]:
        raise JobError(f'the force field lacks its {missing[0]}')
    if not (folder / settings['path']).is_dir():
        raise JobError(f"there is no force field {settings['path']} in the job's folder")
    slug_of(settings['label'])
    return ForceFieldCalculator(
        ForceField.load(folder / settings['path']),
        device=settings.get('device', 'cpu'),
        dtype=settings.get('dtype', 'float64'),
        label=settings['label'],
    )
