"""A supercell of the crystal for an engine of energies and forces: its inputs, and what is refused."""

from __future__ import annotations

from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.engines.table import FORCES, force_engine
from aiida_mlcc.jobs.ports import structure_port, supercell_port, symprec_port
from aiida_mlcc.science.crystal.cells import expand_matrix, supercell


def dft_supercell_ports(spec: WorkChainSpec) -> None:
    """Declare `structure`, its `supercell_matrix`, `symprec` and the `engine`."""
    structure_port(spec)
    supercell_port(spec, '`structure`')
    symprec_port(spec)
    settings_port(spec, 'engine', FORCES, help='The engine for energies and forces, with all its settings.')


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
