"""Steps that several WorkChains begin with, within the one that runs: the primitive cell, displaced atoms."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_mlcc.calculations.functions.displaced_structures import displaced_structures
from aiida_mlcc.calculations.functions.primitive_structure import primitive_structure
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData


def find_primitive_cell(inputs: Any, kind: str | None = None) -> orm.StructureData:
    """Return the primitive cell of the input `structure`, found within `symprec`.

    :param inputs: of the WorkChain.
    :param kind: as :func:`~aiida_mlcc.science.crystal.cells.primitive_cell` has it; ``auto`` by default.
    """
    given = () if kind is None else (orm.Str(kind),)
    found: orm.StructureData = primitive_structure(
        inputs.structure,
        inputs.symprec,
        science_hash(primitive_structure),
        *given,
        metadata={'call_link_label': 'find_primitive_cell'},
    )
    return found


def displace_atoms(inputs: Any, crystal: orm.StructureData) -> tuple[SnapshotsData | None, str | None]:
    """Return a supercell at rest and with one atom moved in each, or None and the reason in a sentence.

    :param inputs: of the WorkChain, with `supercell_matrix`, `parameters` and `symprec`.
    """
    found, node = displaced_structures.run_get_node(
        crystal,
        inputs.supercell_matrix,
        inputs.parameters,
        inputs.symprec,
        science_hash(displaced_structures),
        metadata={'call_link_label': 'displace_atoms'},
    )
    return (found, None) if node.is_finished_ok else (None, node.exit_message)
