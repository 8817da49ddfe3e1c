"""From what a person types to the inputs of the master WorkChain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_mlcc.cli.nodes import describe, find

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import AbstractCode, ArrayData, SinglefileData, StructureData
    from ase import Atoms

    from aiida_mlcc.jobs.inputs import InputTree, InputValue
    from aiida_mlcc.science.json_values import JsonValue


def read_structure(source: str) -> StructureData:
    """Return the structure in a file, or the one a node holds.

    :param source: a file, see :func:`read_crystal_file`; or a node.
    :raises click.UsageError: where there is no such file or node, or it cannot be read as a crystal.
    """
    from aiida.orm import StructureData

    if (atoms := read_crystal_file(source)) is not None:
        return StructureData(ase=atoms)
    node = find(source)
    if not isinstance(node, StructureData):
        raise click.UsageError(f'{describe(node)} is not a StructureData: give a file, or a node of that type.')
    return node


def read_crystal_file(source: str) -> Atoms | None:
    """Return the structure in a file, or None where `source` names none but may name a node.

    :param source: a file, whose last structure is taken, or ``FILE@N`` for another one, counted from 0.
    :raises click.UsageError: where there is no such file, or it cannot be read as a crystal.
    """
    from aiida_mlcc.science.crystal.structure_checks import refuse_contents
    from aiida_mlcc.science.dataset.file_content import ContentError
    from aiida_mlcc.science.dataset.frame_files import read_structures

    path, number = Path(source), -1
    if not path.is_file() and (found := re.fullmatch(r'(.+)@(-?\d+)', source)):
        path, number = Path(found[1]), int(found[2])
    if not path.is_file():
        if path.suffix and not source.isdigit():
            raise click.UsageError(f'There is no file {source}.')
        return None
    try:
        images = read_structures(path)
        atoms = images[number]
    except ContentError as error:
        raise click.UsageError(f'{error}.') from None
    except IndexError:
        raise click.UsageError(f'{path} contains {len(images)} structures: there is no structure {number}.') from None
    if len(images) > 1 and number == -1:
        click.echo(
            f'{path} contains {len(images)} structures: the last one is used; {path}@N selects another one.', err=True
        )
    if not all(atoms.pbc) or atoms.cell.rank < 3:
        raise click.UsageError(f'{source} is not a crystal: it needs three lattice vectors, all periodic.')
    if (reason := refuse_contents(atoms)) is not None:
        raise click.UsageError(_sentence(f'{source}: {reason}'))
    return atoms


def symmetrise(structure: StructureData, symprec: float) -> StructureData:
    """Return a structure with the symmetry that it has within `symprec` (Å).

    What is made from a stored structure is stored with its provenance.

    :raises click.UsageError: where no symmetry is found.
    """
    from aiida.orm import Float, StructureData

    from aiida_mlcc.calculations.functions.symmetrised_structure import symmetrised_structure
    from aiida_mlcc.calculations.runtime_source import science_hash
    from aiida_mlcc.science.crystal.symmetry import SymmetryError, symmetrised

    try:
        ideal = symmetrised(structure.get_ase(), symprec)
    except (SymmetryError, ValueError) as error:
        raise click.UsageError(_sentence(str(error))) from None
    if not structure.is_stored:
        return StructureData(ase=ideal)
    found: StructureData = symmetrised_structure(structure, Float(symprec), science_hash(symmetrised_structure))
    return found


def read_nac(source: str) -> SinglefileData | ArrayData:
    """Return the ``BORN`` file at a path, or a node that holds such a file or its arrays.

    :raises click.UsageError: where it is neither.
    """
    from aiida.orm import ArrayData, SinglefileData

    path = Path(source)
    if path.is_file():
        return SinglefileData(path.absolute(), label=path.name)
    node = find(source)
    if not isinstance(node, (ArrayData, SinglefileData)):
        raise click.UsageError(f'{describe(node)} contains no Born charges: give a BORN file, or arrays.')
    return node


def read_overrides(path: Path | None) -> dict[str, InputValue]:
    """Return the overrides in a YAML file; none without a file.

    :raises click.UsageError: where it is not a mapping.
    """
    from aiida_mlcc.workflows.common import protocol

    try:
        return protocol.read_overrides(path)
    except protocol.ProtocolError as error:
        raise click.UsageError(f'{error}.') from None


def read_settings(assignments: Iterable[str], what: str = '--set') -> dict[str, JsonValue]:
    """Return ``path.to.input=value`` assignments as a nested mapping; values are read as YAML."""
    settings: dict[str, JsonValue] = {}
    for assignment in assignments:
        path, sign, text = assignment.partition('=')
        keys = path.strip().split('.')
        if not sign or not all(keys):
            raise click.UsageError(f'{what} {assignment}: write it as path.to.input=value.')
        branch = settings
        for key in keys[:-1]:
            below = branch.setdefault(key, {})
            if not isinstance(below, dict):
                raise click.UsageError(f'{what} {assignment}: {key} already has a value.')
            branch = below
        branch[keys[-1]] = _value(text, with_lists=what == '--set')
    return settings


_LIST = re.compile(r'[\w.()+-]+(, ?[\w.()+-]+)+')
"""Values separated by commas, of which none needs brackets or quotes."""


def _value(text: str, with_lists: bool) -> JsonValue:
    """Return a value as YAML has it.

    :param with_lists: whether ``1,2`` and ``HF,MP2`` are lists; a scheduler takes names with commas.
    """
    import yaml

    if with_lists and _LIST.fullmatch(text.strip()):
        return [_value(part.strip(), False) for part in text.split(',')]
    try:
        value: JsonValue = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, str):
        # YAML 1.1 reads 1e-6 as a word; a person means the number.
        try:
            return float(value)
        except ValueError:
            return value
    return value


def method_named(text: str) -> str:
    """Return the method that a person means: its name or its slug, in capitals or not; others as they are."""
    from aiida_mlcc.science.labels.methods import METHODS

    plain = text.strip().casefold()
    named = {**{slug: method for slug, method in METHODS.items()}, **{m.casefold(): m for m in METHODS.values()}}
    return named.get(plain, text.strip())


def read_methods(given: Any) -> list[str]:
    """Return methods, from a list or separated by commas, by their names or slugs.

    :raises click.UsageError: for an unknown one, and for anything but a list.
    """
    from aiida_mlcc.science.labels.methods import WAVEFUNCTION_METHODS, refuse_name

    methods = _names(given, 'methods')
    for method in methods:
        if (reason := refuse_name(method)) is not None:
            raise click.UsageError(f'Unknown method: {reason}.')
    if not methods:
        raise click.UsageError(f'No method given: choose from {", ".join(WAVEFUNCTION_METHODS)}.')
    return methods


def tidy_methods(overrides: InputTree) -> dict[str, InputValue]:
    """Return overrides with `methods` and `vacf_methods` as lists of names.

    :raises click.UsageError: for an unknown wave-function method, and for anything but a list.
    """
    tidied = dict(overrides)
    if 'methods' in tidied:
        tidied['methods'] = read_methods(tidied['methods'])
    if 'vacf_methods' in tidied:
        tidied['vacf_methods'] = _names(tidied['vacf_methods'], 'vacf_methods')
    return tidied


def _names(given: Any, what: str) -> list[str]:
    """Return the names of methods in a list, or in a text with commas."""
    parts = given.split(',') if isinstance(given, str) else given
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise click.UsageError(f'`{what}` is {given!r}: give methods, such as HF,MP2.')
    return [method_named(part) for part in parts if part.strip()]


def refuse_options(options: Iterable[str], what: str) -> None:
    """Refuse scheduler options that AiiDA does not know.

    :raises click.UsageError: naming the first one, and those there are.
    """
    from aiida.engine import CalcJob

    known = CalcJob.spec().inputs['metadata']['options']
    if unknown := [name for name in options if name not in known]:
        raise click.UsageError(
            f'{what} {unknown[0]}: AiiDA does not know this scheduler option; choose from {", ".join(sorted(known))}.'
        )


def read_code(identifier: str | None) -> AbstractCode:
    """Return a code, by default the one `setup` made."""
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import load_code

    from aiida_mlcc.cli.setup import CODE, COMPUTER

    name = identifier or f'{CODE}@{COMPUTER}'
    try:
        return load_code(name)
    except MultipleObjectsError:
        raise click.UsageError(f'More than one code is called {name}: give a PK or UUID.') from None
    except (NotExistent, ValueError):
        hint = 'give one with --code' if identifier is None else 'see `verdi code list`'
        raise click.UsageError(f'There is no code {name} in this profile: run `aiida-mlcc setup`, or {hint}.') from None


def build(
    structure: StructureData,
    code: AbstractCode,
    protocol: str | None,
    overrides: InputTree,
    **given: Any,
) -> ProcessBuilder:
    """Return the validated builder of the master WorkChain.

    :raises click.UsageError: with the sentence that says what is wrong.
    """
    from aiida_mlcc.workflows.mlcc_phonon import MLCCPhononWorkChain

    return validated(
        MLCCPhononWorkChain, code=code, structure=structure, protocol=protocol, overrides=overrides, **given
    )


def validated(workchain: Any, **given: Any) -> ProcessBuilder:
    """Return the builder of a WorkChain with protocols, its inputs checked as they are at submission.

    :raises click.UsageError: with the sentence that says what is wrong.
    """
    try:
        builder: ProcessBuilder = workchain.get_builder_from_protocol(**given)
        ports = workchain.spec().inputs
        wrong = ports.validate(ports.pre_process(ports.serialize(builder._inputs(prune=True))))
    except (ValueError, TypeError) as error:
        raise click.UsageError(_sentence(str(error))) from None
    if wrong is not None:
        at = '' if wrong.port in (None, 'inputs') else f' (at `{wrong.port}`)'
        raise click.UsageError(_sentence(f'{wrong.message}{at}'))
    return builder


def _sentence(text: str) -> str:
    text = ' '.join(text.split()).removeprefix('invalid attribute value ')
    return text if text.endswith('.') else f'{text}.'
