"""Relaxation of a crystal with its symmetry kept: positions in a fixed cell, or positions and cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.tasks.evaluate_settings import Relax
from aiida_mlcc.science.crystal.cells import CrystalError
from aiida_mlcc.science.force_field import ForceFieldError

_STRAIN = 1e-4
"""Of the central differences that give the stress: far above the rounding of energies, far below any strain itself."""


def relaxed(calculator: Calculator, atoms: Atoms, settings: Relax) -> Atoms:
    """Return `atoms` at rest, in the symmetry they had.

    :raises EngineError: where ``max_steps`` do not suffice, or a structure on the way has no energy or forces.
    """
    from ase.calculators.fd import FiniteDifferenceCalculator
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    moving = atoms.copy()
    moving.set_constraint(FixSymmetry(moving, symprec=settings.symprec, adjust_cell=settings.cell))
    if settings.cell:
        moving.calc = FiniteDifferenceCalculator(calculator, eps_disp=None, eps_strain=_STRAIN, force_consistent=False)
        target: Any = FrechetCellFilter(moving)
    else:
        moving.calc = calculator
        target = moving
    optimiser = BFGS(target, logfile=None)
    try:
        found = _run(optimiser, moving, settings)
    except (ForceFieldError, CrystalError) as error:
        raise EngineError(str(error)) from error
    if not found:
        raise EngineError(
            f'the structure is not at rest after {settings.max_steps} steps: the largest force is '
            f'{_largest_force(moving):.2g} eV/Å, more than {settings.fmax:g}'
        )
    at_rest = moving.copy()
    at_rest.set_constraint()
    return at_rest


def _run(optimiser: Any, moving: Atoms, settings: Relax) -> bool:
    """Take steps until the atoms are at rest, and say whether they are."""
    for at_rest in optimiser.irun(fmax=settings.fmax, steps=settings.max_steps):
        if not np.isfinite(_largest_force(moving)):
            raise EngineError('a force is not a number')
        if at_rest:
            return True
    return False


def _largest_force(moving: Atoms) -> float:
    return float(np.linalg.norm(moving.get_forces(), axis=1).max())
