"""The table of curves: what the workflows calculate from forces or from dynamics.

Each file of ``aiida_mlcc.workflows.curves`` is one entry: a calcfunction and the :data:`CURVE` that describes it. The
file of the same name in ``aiida_mlcc.report.curves`` says how it is read and shown.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from typing import Any

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida_phonopy.data.phonopy import PhonopyData

from aiida_mlcc.engines.engine import Inputs, Place

CURVE = 'CURVE'
"""The name that a file of the table gives its entry."""

AT_REST = 'at_rest'
"""The volume of the phonons; the others are ``expanded`` and ``compressed``."""


@dataclass(frozen=True)
class Output:
    """An output of a calcfunction.

    :param kind: its node type.
    :param help: what it holds, with units.
    :param always: whether every run that ends well gives it.
    """

    kind: type[orm.Data]
    help: str
    always: bool = True


Arguments = Mapping[str, orm.Data | Place | Mapping[str, PhonopyData] | Mapping[str, Mapping[str, PhonopyData]]]
"""What a calcfunction is called with: name → node, or a namespace of nodes."""


@dataclass(frozen=True)
class Phonons:
    """What the curves of the harmonic crystal are calculated from.

    :param inputs: of the HarmonicPhononWorkChain.
    :param primitive: the primitive cell before any relaxation.
    :param volumes: volume → member → its forces; :data:`AT_REST` always, the others if they were asked for.
    :param alternatives: kind of Δ → member → its forces.
    :param made: the curves calculated so far.
    """

    inputs: Inputs
    primitive: orm.StructureData
    volumes: Mapping[str, Mapping[str, PhonopyData]]
    alternatives: Mapping[str, Mapping[str, PhonopyData]] = field(default_factory=dict)
    made: Mapping[str, orm.Data] = field(default_factory=dict)

    @property
    def members(self) -> Mapping[str, PhonopyData]:
        """Member → its forces, at rest."""
        return self.volumes[AT_REST]

    @property
    def at_all_volumes(self) -> list[str]:
        """The members with forces at several volumes, and at each of them."""
        return [name for name in self.members if all(name in members for members in self.volumes.values())]


@dataclass(frozen=True)
class Dynamics:
    """What the curves of a dynamics are calculated from.

    :param inputs: of the VACFWorkChain.
    :param autocorrelations: trajectory → its velocity autocorrelation, of those that can be trusted.
    """

    inputs: Inputs
    primitive: orm.StructureData
    autocorrelations: Mapping[str, orm.ArrayData]
    made: Mapping[str, orm.Data] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """An entry: a calcfunction, what it gives, and what it is called with.

    :param stage: the stage of the MLCCPhononWorkChain that calculates it: ``harmonic_phonon`` or ``vacf``.
    :param step: link label of the call.
    :param calculate: the calcfunction. It takes the hash of what it imports as ``science``.
    :param outputs: name → output, of the WorkChain and, for a calcfunction that gives several, of the calcfunction.
    :param arguments: from :class:`Phonons` or :class:`Dynamics` to the other arguments of `calculate`; None where the
        curve cannot or need not be calculated. None instead of a function: a step of the outline calculates it.
    :param told: lines for the report of the WorkChain.
    :param needs: outputs of other entries that `arguments` looks for.
    """

    stage: str
    step: str
    calculate: Any
    outputs: Mapping[str, Output]
    arguments: Callable[[Any], Arguments | None] | None
    told: Callable[[Mapping[str, orm.Data]], list[str]] = lambda made: []  # noqa: ARG005
    needs: tuple[str, ...] = ()


def entries_in(package: str, attribute: str) -> dict[str, Any]:
    """Return the entries of a table: file of a package → what the file calls `attribute`."""
    files = pkgutil.iter_modules(import_module(package).__path__)
    return {file.name: getattr(import_module(f'{package}.{file.name}'), attribute) for file in files}


@cache
def curves_of(stage: str) -> dict[str, Curve]:
    """Return the entries of a stage, name → entry, each after those that it needs."""
    entries = {name: curve for name, curve in all_curves().items() if curve.stage == stage}
    made_by = {output: name for name, curve in entries.items() for output in curve.outputs}
    order = TopologicalSorter({name: [made_by[need] for need in curve.needs] for name, curve in entries.items()})
    return {name: entries[name] for name in order.static_order()}


@cache
def all_curves() -> dict[str, Curve]:
    """Return the whole table, name → entry."""
    return entries_in('aiida_mlcc.workflows.curves', CURVE)


def outputs_of_stage(stage: str) -> dict[str, Output]:
    """Return the outputs of all curves of a stage."""
    return {name: output for curve in curves_of(stage).values() for name, output in curve.outputs.items()}


def curve_outputs(spec: WorkChainSpec, stage: str) -> None:
    """Declare the outputs of a WorkChain that calculates the curves of a stage."""
    for name, output in outputs_of_stage(stage).items():
        spec.output(name, valid_type=output.kind, required=output.always, help=output.help)


def curve_namespaces(spec: WorkChainSpec, stage: str) -> None:
    """Declare the same outputs of a WorkChain that has them of several methods."""
    for name, output in outputs_of_stage(stage).items():
        spec.output_namespace(name, dynamic=True, valid_type=output.kind, help=f'By method. {output.help}')
