"""The table of engines: what computes energies and forces, and what computes correlated energies.

This is the only place outside the package of an engine where an engine is named. The entries are found when they are
asked for, since those with WorkChains of their own import much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aiida_mlcc.science.json_values import Source, StoredSettings
from aiida_mlcc.science.settings import Choice, Settings

if TYPE_CHECKING:
    import click
    from aiida import orm
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

    from aiida_mlcc.engines.engine import Codes, CorrelationEngine, Engine, ForceEngine, Inputs, Place
    from aiida_mlcc.jobs.inputs import InputTree, JobOptions

    ForceKind = type[ForceEngine[Settings]]
    CorrelationKind = type[CorrelationEngine[Settings]]

RUNTIME = 'aiida_mlcc.engines.runtime_jobs:runtime_forces'
"""Any program of :mod:`aiida_mlcc.runtime.programs` that gives energies and forces, where there is no more to say."""

FORCE_ENGINES = {
    'pyscf': 'aiida_mlcc.engines.pyscf:PyscfEngine',
    'vasp': 'aiida_mlcc.engines.vasp.engine:VaspEngine',
    'quantumespresso': 'aiida_mlcc.engines.quantumespresso.engine:QuantumEspressoEngine',
}
"""Name → :class:`~aiida_mlcc.engines.engine.ForceEngine`, or what makes such a class, as ``module:attribute``."""

CORRELATION_ENGINES = {
    'pyscf': 'aiida_mlcc.engines.pyscf:PyscfEnergies',
    'pyscf+cc4s': 'aiida_mlcc.engines.cc4s.engine:Cc4sWithPyscf',
    'vasp+cc4s': 'aiida_mlcc.engines.cc4s.engine:Cc4sWithVasp',
    'command': 'aiida_mlcc.engines.command:CommandEngine',
}
"""Name → :class:`~aiida_mlcc.engines.engine.CorrelationEngine`, as ``module:attribute``."""

CODES = {
    'command': 'Any program, for the engine command of cc_energies; by default the Python of the jobs.',
    'cc4s': 'Cc4s, for the engines pyscf+cc4s and vasp+cc4s of cc_energies.',
    'quantumespresso': 'pw.x, for the engine quantumespresso of energies and forces.',
    'vasp': 'VASP, for dft_md.engine.name=vasp and the engine vasp+cc4s.',
}
"""Place of the jobs of a program of its own → what its code is for; the code is given as ``PLACE_code``."""

COMMANDS = ('aiida_mlcc.engines.quantumespresso.upf:upf',)
"""Commands of ``aiida-mlcc`` that belong to an engine, as ``module:attribute``.

The module imports AiiDA and NumPy only where they are needed. The command gets a `profile`, and what loads it as the
object of its context.
"""


def force_engine(engine: StoredSettings | orm.Dict) -> ForceEngine[Settings]:
    """Return the engine with these settings; only one that :func:`refuse_force_engine` lets pass is there."""
    return force_kind(str(engine['name']))(engine)


def correlation_engine(engine: StoredSettings | orm.Dict) -> CorrelationEngine[Settings]:
    """Return the engine with these settings; only one that :func:`refuse_correlation_engine` lets pass is there."""
    return correlation_kind(str(engine['name']))(engine)


def force_kind(name: str) -> ForceKind:
    """Return the engine of energies and forces that a name of the table stands for, without settings."""
    return _kind(name, FORCE_ENGINES[name])


def correlation_kind(name: str) -> CorrelationKind:
    """Return the engine of correlated energies that a name of the table stands for, without settings."""
    return _kind(name, CORRELATION_ENGINES[name])


def force_kinds() -> list[ForceKind]:
    """Return all engines of energies and forces."""
    return [force_kind(name) for name in FORCE_ENGINES]


def correlation_kinds() -> list[CorrelationKind]:
    """Return all engines of correlated energies."""
    return [correlation_kind(name) for name in CORRELATION_ENGINES]


def kinds() -> Iterator[type[Engine[Settings]]]:
    """Give all engines of both tables."""
    yield from force_kinds()
    yield from correlation_kinds()


class _LazySettings(Mapping[str, type[Settings]]):
    """The settings of the engines of a table, found when they are asked for."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self.table = table

    def __getitem__(self, name: str) -> type[Settings]:
        return _kind(name, self.table[name]).settings_class

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)


FORCES = Choice('force engine', 'name', _LazySettings(FORCE_ENGINES))
"""The settings of an engine of energies and forces."""

CORRELATION = Choice('correlation engine', 'name', _LazySettings(CORRELATION_ENGINES))
"""The settings of an engine of correlated energies."""


def refuse_force_engine(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give energies and forces, in a sentence, or None."""
    return FORCES.refuse(node.get_dict())


def refuse_correlation_engine(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give correlated energies, in a sentence, or None."""
    return CORRELATION.refuse(node.get_dict())


def label_ports(spec: WorkChainSpec) -> None:
    """Declare the places where engines label structures."""
    for engine in force_kinds():
        engine.declare_ports(spec)


def dynamics_ports(spec: WorkChainSpec) -> None:
    """Declare the places where engines run dynamics."""
    for engine in force_kinds():
        engine.declare_ports(spec, dynamics=True)


def correlation_ports(spec: WorkChainSpec) -> None:
    """Declare the places where engines compute correlated energies, and what else their jobs need."""
    for engine in correlation_kinds():
        engine.declare_ports(spec)


def refuse_jobs(inputs: Inputs) -> str | None:
    """Return why the jobs that the correlation engine asks for cannot run on the snapshots, in a sentence, or None."""
    return correlation_engine(inputs['engine']).refuse_jobs(inputs)


def force_kind_of(source: Source, method: str) -> ForceKind:
    """Return the engine that made labels of `method`.

    :param source: what they say of their source.
    :raises ValueError: where it is none of the table.
    """
    name = source.get('engine')
    if name not in FORCE_ENGINES:
        raise ValueError(
            f'the {method} labels come from {name or "an unknown source"}, not from one of '
            f'{", ".join(FORCE_ENGINES)}: nothing here can label new structures in the same way'
        )
    return force_kind(str(name))


def engine_named(named: InputTree, code: orm.AbstractCode) -> str | None:
    """Return the engine of forces that overrides name, else the one that `code` is the program of; None: neither."""
    if 'name' in named:
        return str(named['name'])
    return next((engine.name for engine in force_kinds() if engine.runs(code)), None)


def refuse_code_names(codes: Codes) -> None:
    """Refuse keyword arguments that are not codes of the table.

    :raises TypeError: naming the first one.
    """
    if unknown := [name for name in codes if name.removesuffix('_code') not in CODES or not name.endswith('_code')]:
        known = ', '.join(f'{place}_code' for place in CODES)
        raise TypeError(f'unexpected argument {unknown[0]!r}: the codes of engines are {known}')


def codes_by_place(code: orm.AbstractCode, codes: Codes) -> Codes:
    """Return place → code, with the Python of the jobs as ``code``.

    :param codes: ``cc4s_code`` and so on.
    :raises TypeError: for a name that no engine has.
    """
    refuse_code_names(codes)
    return {'code': code, **{place: codes.get(f'{place}_code') for place in CODES}}


def places_of_labels(inputs: Inputs) -> dict[str, Place]:
    """Return of the inputs of a WorkChain those that say where engines label structures."""
    return {engine.place: engine.at_place(inputs) for engine in force_kinds() if engine.place in inputs}


def places_of_programs() -> tuple[str, ...]:
    """Return the places where engines of energies and forces run a program of their own."""
    return tuple(dict.fromkeys(engine.place for engine in force_kinds() if engine.place in CODES))


def valence_of(source: Source, method: str, symbols: Sequence[str]) -> Mapping[str, float] | None:
    """Return element → electrons that are not part of its core, None where that is not known.

    :param source: what labels of `method` say of their source.
    """
    name = source.get('engine')
    if name in CORRELATION_ENGINES:
        return correlation_kind(str(name)).valence(source, method, symbols)
    return force_kind(str(name)).valence(source, method, symbols) if name in FORCE_ENGINES else None


def other_valence(
    ours: Mapping[str, float] | None, theirs: Mapping[str, float] | None
) -> tuple[str, float, float] | None:
    """Return the first element that has other valence electrons here and there, with both numbers, or None."""
    pairs = ((symbol, electrons, (theirs or {}).get(symbol, electrons)) for symbol, electrons in (ours or {}).items())
    return next((pair for pair in pairs if pair[1] != pair[2]), None)


def with_label_job(inputs: InputTree, name: str, codes: Codes, options: JobOptions | None) -> InputTree:
    """Return the inputs of a protocol with the job of the engine `name` that labels structures, and no other place.

    :param codes: as :func:`codes_by_place` returns them.
    """
    of_engine = force_kind(name)
    places = {other.place for other in force_kinds()} - {of_engine.place}
    return {name: value for name, value in of_engine.fill(inputs, codes, options).items() if name not in places}


def with_jobs(inputs: InputTree, name: str, codes: Codes, options: JobOptions | None) -> InputTree:
    """Return the inputs of a protocol with the jobs of the correlation engine `name`, and no others.

    The places of engines that label new structures are there, too, if their own code is given.

    :param codes: as :func:`codes_by_place` returns them.
    """
    places = {engine.place for engine in force_kinds()}
    places |= {place for engine in correlation_kinds() for place in engine.places}
    chosen = {name: value for name, value in inputs.items() if name not in places}
    for engine in force_kinds():
        if codes.get(engine.place) is not None:
            chosen[engine.place] = engine.fill(inputs, codes, options)[engine.place]
    return {**chosen, **correlation_kind(name).fill(inputs, codes, options)}


def programs_of(names: Iterable[str | None]) -> dict[str, tuple[str, str]]:
    """Return what to cite for engines, by the names that settings and labels have for them: program → text, address."""
    asked = set(names)
    return {program: cite for e in kinds() if e.name in asked for program, cite in e.programs.items()}


def commands() -> list[click.Command]:
    """Return the commands that belong to engines."""
    return [_load(address) for address in COMMANDS]


@cache
def _kind(name: str, address: str) -> Any:
    found = _load(address)
    return found if isinstance(found, type) else found(name)


def _load(address: str) -> Any:
    module, _, attribute = address.partition(':')
    return getattr(import_module(module), attribute)
