"""A supercell of the crystal for an engine of energies and forces: its inputs, and what is refused."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.engines.table import FORCES, force_engine
from aiida_mlcc.jobs.ports import structure_port, supercell_port, symprec_port
from aiida_mlcc.science.crystal.cells import conventional_matrix, expand_matrix, supercell
from aiida_mlcc.science.crystal.symmetry import fitting_tolerance


def dft_supercell_ports(spec: WorkChainSpec) -> None:
    """Declare `structure`, its `supercell_matrix`, `symprec` and the `engine`."""
    structure_port(spec)
    supercell_port(spec, '`structure`')
    symprec_port(spec)
    settings_port(spec, 'engine', FORCES, help='The engine for energies and forces, with all its settings.')


def of_conventional_cells(structure: orm.StructureData, matrix: list[list[int]] | None) -> list[list[int]] | None:
    """Return the supercell of a protocol, which counts in conventional cells, as `supercell_matrix` of `structure`.

    It is `matrix` itself where `structure` is not a primitive cell of a centred lattice.
    """
    try:
        crystal = structure.get_ase()
        conventional = conventional_matrix(crystal, fitting_tolerance(crystal))
    except ValueError:
        # The port says what is wrong with the structure.
        return matrix
    if matrix is None or (conventional == np.eye(3)).all():
        return matrix
    found: list[list[int]] = (conventional @ expand_matrix(matrix)).tolist()
    return found


def refuse_cell(inputs: Inputs) -> str | None:
    """Return why the engine cannot calculate the crystal in its supercell, in a sentence, or None."""
    if not {'engine', 'structure'} <= set(inputs):
        return None
    engine, crystal = force_engine(inputs['engine']), inputs['structure'].get_ase()
    if (reason := engine.refuse_crystal(crystal)) is not None or 'supercell_matrix' not in inputs:
        return reason
    cell = supercell(crystal, expand_matrix(inputs['supercell_matrix'].get_list()))
    if (reason := engine.refuse_electrons(cell)) is None and len(cell) == 1:
        return '`supercell_matrix` gives a cell of one atom, which has no vibrations: use a larger one'
    return reason
