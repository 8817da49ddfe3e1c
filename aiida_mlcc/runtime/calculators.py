"""From the description of a calculator in ``input.json`` to an ASE calculator that knows what its energies are.

Every calculator here carries ``label_method``, the method its energies stand for, and ``label_source``, what is stored
with them. Where the next energy depends on the last ones, ``state()`` and ``restore()`` carry that through a
checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from aiida_mlcc.runtime.programs import FORCES, EngineError, names, run_of, settings_of
from aiida_mlcc.runtime.task import JobError
from aiida_mlcc.science.crystal.cells import CrystalError
from aiida_mlcc.science.force_field import ForceField, ForceFieldError
from aiida_mlcc.science.json_values import StoredSettings
from aiida_mlcc.science.labels.methods import predicted
from aiida_mlcc.science.settings import SettingsError


def build_calculator(spec: StoredSettings, folder: Path) -> Any:
    """Make the calculator that `spec` describes: an ASE calculator with a label.

    ``{"kind": "force-field", "path", "label", "device", "dtype"}``: `path` in `folder`, `label` the method the force
    field stands for, whose predictions are labelled ``ML(METHOD)``. ``{"kind": "pyscf", …}``: a program of
    :mod:`aiida_mlcc.runtime.programs` with its settings.

    :raises JobError: for an unknown kind, or a setting that is missing, unknown or not allowed.
    """
    settings = dict(spec)
    kind = settings.pop('kind', None)
    if isinstance(kind, str) and kind in _OTHER_KINDS:
        return _OTHER_KINDS[kind](settings, folder)
    if not isinstance(kind, str) or kind not in names(FORCES):
        raise JobError(f'unknown kind of calculator {kind!r}: choose from {", ".join((*_OTHER_KINDS, *names(FORCES)))}')
    try:
        return run_of(FORCES, kind)(settings_of(FORCES, {'name': kind, **settings}))
    except (SettingsError, EngineError) as error:
        raise JobError(str(error)) from error


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


def _force_field_calculator(settings: StoredSettings, folder: Path) -> Calculator:
    from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator

    known = ('path', 'label', 'device', 'dtype')
    if unknown := sorted(set(settings) - set(known)):
        raise JobError(f'a force field has no setting {unknown[0]!r} here: choose from {", ".join(known)}')
    if missing := [name for name in ('path', 'label') if not settings.get(name)]:
        raise JobError(f'the force field lacks its {missing[0]}')
    path = folder / str(settings['path'])
    if not path.is_dir():
        raise JobError(f"there is no force field {settings['path']} in the job's folder")
    return ForceFieldCalculator(
        ForceField.load(path),
        device=str(settings.get('device', 'cpu')),
        dtype=str(settings.get('dtype', 'float64')),
        label=predicted(str(settings['label'])),
    )


_OTHER_KINDS = {'force-field': _force_field_calculator}
"""Kinds of calculator that are not programs."""
