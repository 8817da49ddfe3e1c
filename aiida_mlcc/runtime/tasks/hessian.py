"""What each site of a crystal does to all atoms of a supercell, by finite displacements."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from ase import Atoms

from aiida_mlcc.runtime.calculators import energy_and_forces
from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.task_records import Cell
from aiida_mlcc.science.crystal.cells import SiteMap
from aiida_mlcc.science.phonons.commensurate import NormalModes, normal_modes
from aiida_mlcc.science.phonons.finite_displacements import rows_at_rest


def primitive_atoms(primitive: Cell) -> Atoms:
    """Return the primitive cell of an input: ``symbols``, ``cell`` and ``positions`` (Å)."""
    return Atoms(primitive['symbols'], cell=primitive['cell'], positions=primitive['positions'], pbc=True)


def modes_at_rest(calculator: Any, atoms: Atoms, site_map: SiteMap) -> tuple[NormalModes, float]:
    """Return the normal modes of a supercell about `atoms`, and the largest force there (eV/Å).

    `atoms` are not relaxed: of a structure that is not at rest, the force says how far these modes are its own.

    :param site_map: of `atoms`, from :func:`~aiida_mlcc.science.crystal.cells.map_onto_crystal`.
    :raises EngineError: where a force is missing or not a number.
    """
    symbols = atoms.get_chemical_symbols()
    rows = rows_at_rest(partial(_forces, calculator), atoms, site_map)
    residual = float(np.abs(_forces(calculator, atoms)).max())
    masses = dict(zip(symbols, atoms.get_masses().tolist(), strict=True))
    return normal_modes(rows, site_map, symbols, masses), residual


def _forces(calculator: Any, atoms: Atoms) -> Any:
    _, forces = energy_and_forces(calculator, atoms)
    if forces is None or not np.isfinite(forces).all():
        raise EngineError('a force on the crystal at rest is not a number')
    return forces
