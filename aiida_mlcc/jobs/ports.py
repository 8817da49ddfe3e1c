"""Ports that several WorkChains have, declared once."""

from __future__ import annotations

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.jobs.inputs import refuse_count, refuse_no_crystal, refuse_structure, refuse_supercell_matrix


def structure_port(spec: WorkChainSpec, with_isotopes: bool = False) -> None:
    """Declare `structure`, a crystal.

    :param with_isotopes: whether its masses may be others than those of the natural elements.
    """
    validator = refuse_no_crystal if with_isotopes else refuse_structure
    spec.input('structure', valid_type=orm.StructureData, validator=validator, help='The crystal.')


def supercell_port(spec: WorkChainSpec, unit: str) -> None:
    """Declare `supercell_matrix`, in multiples of `unit`."""
    spec.input(
        'supercell_matrix',
        valid_type=orm.List,
        serializer=orm.to_aiida_type,
        validator=refuse_supercell_matrix,
        help=f'The supercell in multiples of {unit}: three numbers, or a 3×3 matrix as phonopy reads it.',
    )


def symprec_port(spec: WorkChainSpec) -> None:
    """Declare `symprec`."""
    spec.input('symprec', valid_type=orm.Float, serializer=orm.to_aiida_type, help='Symmetry tolerance, Å.')


def seed_port(spec: WorkChainSpec) -> None:
    """Declare `seed`, of a dynamics."""
    spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of velocities and thermostat.')


def count_port(spec: WorkChainSpec, name: str, default: int, help_text: str) -> None:
    """Declare a number of things, one at least."""
    spec.input(
        name,
        valid_type=orm.Int,
        serializer=orm.to_aiida_type,
        default=lambda: orm.Int(default),
        validator=refuse_count,
        help=help_text,
    )
