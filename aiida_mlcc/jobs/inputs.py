"""What the WorkChains' inputs have in common: checks at submission, and jobs put together from a protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

import numpy as np
from aiida import orm

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.cells import LEFT_HANDED, expand_matrix, isotopes, map_onto_crystal, primitive_cell
from aiida_mlcc.science.json_values import JsonValue

InputValue: TypeAlias = JsonValue | orm.Data | Sequence['InputValue'] | Mapping[str, 'InputValue']
"""A node, plain JSON that becomes one, or a namespace of these."""

InputTree = Mapping[str, InputValue]
"""Inputs of a process or of a protocol, whatever their names are."""


class JobOptions(TypedDict, total=False):
    """Scheduler options of a job, as in ``metadata.options``; those of AiiDA that are not named here are valid, too."""

    account: str
    append_text: str
    custom_scheduler_commands: str
    environment_variables: Mapping[str, str]
    max_memory_kb: int
    max_wallclock_seconds: int
    prepend_text: str
    qos: str
    queue_name: str
    resources: Mapping[str, int]
    withmpi: bool


def mapping_at(inputs: InputTree, name: str) -> InputTree:
    """Return the namespace `name` of inputs, or the content of a Dict there; empty where there is neither.

    :raises TypeError: where something else is there.
    """
    found = inputs.get(name) or {}
    if isinstance(found, orm.Dict):
        found = found.get_dict()
    if not isinstance(found, Mapping):
        raise TypeError(f'`{name}` is {found!r}: give a mapping of inputs')
    return found


def job_inputs(inputs: InputTree, code: orm.AbstractCode, options: JobOptions | None) -> InputTree:
    """Return the inputs of a job from a protocol with its code and scheduler options."""
    return {'code': code, **merge(options_of(code), merge(inputs, {'metadata': {'options': options or {}}}))}


def options_of(code: orm.AbstractCode | None) -> InputTree:
    """Return the option of a job to run with or without MPI, where its code says it."""
    if code is None or code.with_mpi is None:
        return {}
    return {'metadata': {'options': {'withmpi': code.with_mpi}}}


def place_inputs(inputs: InputTree, code: orm.AbstractCode | None, options: JobOptions | None) -> InputTree:
    """Return the place of a program from a protocol with its code; its own options go before those of all jobs."""
    return {'code': code, **inputs, 'options': merge(options or {}, mapping_at(inputs, 'options'))}


def refuse_structure(node: orm.StructureData, _: Any) -> str | None:
    """Refuse what is not a crystal, and isotopes: a dynamics has the masses of the natural elements."""
    if (reason := refuse_no_crystal(node, _)) is not None:
        return reason
    if special := isotopes(node.get_ase()):
        symbol, masses = next(iter(special.items()))
        return (
            f'{symbol} has the mass {masses[0]:g}, but a dynamics here has those of the natural elements: leave the '
            'masses out; phonons alone (`HarmonicPhononWorkChain`) can have them'
        )
    return None


def refuse_no_crystal(node: orm.StructureData, _: Any) -> str | None:
    """Refuse what is not a crystal, or one in which atoms of an element differ in their mass."""
    if not all(node.pbc):
        return f'the structure is periodic in {sum(node.pbc)} directions: a crystal is in three'
    volume = np.linalg.det(np.array(node.cell))
    if abs(volume) < 1e-6:
        return 'the structure has no lattice: its three vectors span no volume'
    if volume < 0:
        return LEFT_HANDED
    if node.is_alloy or node.has_vacancies:
        return 'the structure has partly occupied sites, which no calculation can take'
    atoms = node.get_ase()
    for symbol in isotopes(atoms):
        masses = sorted({float(mass) for mass in atoms.get_masses()[atoms.symbols.search(symbol)]})
        if masses[-1] - masses[0] > 1e-6:
            return f'{symbol} has the masses {masses[0]:g} and {masses[-1]:g}: give all atoms of an element the same'
    return None


def refuse_supercell_matrix(node: orm.List, _: Any) -> str | None:
    """Refuse what is not a supercell."""
    try:
        expand_matrix(node.get_list())
    except (ValueError, TypeError) as error:
        return str(error)
    return None


def refuse_seeds(node: orm.List, _: Any) -> str | None:
    """Refuse seeds that are not whole numbers, or one given twice."""
    seeds = node.get_list()
    if not seeds:
        return 'no seed given: each seed is one member'
    if wrong := [seed for seed in seeds if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0]:
        return f'the seed {wrong[0]!r} must be a whole number, 0 or larger'
    if len(set(seeds)) < len(seeds):
        return f'a seed is given twice in {seeds}: that would be one member counted twice'
    return None


def seed_label(seed: int) -> str:
    """Return the link label of a member."""
    return f'seed_{seed}'


def batches(items: Sequence[Any], size: int) -> list[list[Any]]:
    """Cut `items` into consecutive batches of at most `size`."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def refuse_count(node: orm.Int, _: Any) -> str | None:
    """Refuse a number of things below one."""
    return None if node.value >= 1 else f'must be at least 1, not {node.value}'


def refuse_fraction(node: orm.Float, _: Any) -> str | None:
    """Refuse what lies outside [0, 1]."""
    return None if 0 <= node.value <= 1 else f'must lie between 0 and 1, not at {node.value}'


def refuse_mismatch(structure: orm.StructureData, snapshots: SnapshotsData, what: str = 'the snapshots') -> str | None:
    """Refuse snapshots whose cell is not a supercell of `structure`.

    :param what: what the sentence calls them.
    """
    try:
        map_onto_crystal(primitive_cell(structure.get_ase()), snapshots.get_ase(0))
    except ValueError as error:
        return f'{what} do not fit the structure: {error}'
    return None


def merge(base: InputTree, overrides: InputTree) -> dict[str, InputValue]:
    """Return `base` with `overrides` laid over it, mapping by mapping."""
    merged = dict(base)
    for key, value in overrides.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(below, value)
        else:
            merged[key] = deepcopy_plain(value)
    return merged


def deepcopy_plain(value: Any) -> Any:
    """Copy plain containers; what is in them, AiiDA nodes above all, is passed as it is."""
    if isinstance(value, dict):
        return {key: deepcopy_plain(entry) for key, entry in value.items()}
    return [deepcopy_plain(entry) for entry in value] if isinstance(value, list) else value
