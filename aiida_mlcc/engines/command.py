"""Any program as an engine of energies: it reads a file of snapshots and writes one of labels."""

from __future__ import annotations

from collections.abc import Iterable

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.command import CommandCalculation
from aiida_mlcc.calculations.command_settings import NAME, CommandEnergies, source_of
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import CorrelationEngine, Inputs, LabelMaker, Step
from aiida_mlcc.engines.runtime_jobs import OPTIONAL
from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.methods import COSTLY, usual_kind


class CommandEngine(CorrelationEngine[CommandEnergies]):
    """A batch of snapshots in one job of the program."""

    name, title = NAME, 'any program'
    settings_class = CommandEnergies
    places = (NAME,)
    label_makers = (LabelMaker('aiida.calculations:mlcc.command'),)

    def calculates(self, methods: Iterable[str]) -> list[str]:
        """Return all methods beyond DFT: the program says what it has."""
        return [method for method in methods if usual_kind(method) in (COSTLY, None)]

    @classmethod
    def declare_ports(cls, spec: WorkChainSpec) -> None:
        """Declare `command`, the job of the program."""
        if NAME not in spec.inputs:
            spec.expose_inputs(
                CommandCalculation,
                namespace=NAME,
                exclude=('snapshots', 'methods', 'engine'),
                namespace_options=dict(OPTIONAL),
            )

    def source(self) -> Source:
        """Return what the labels say of their source: all settings."""
        return source_of(self.settings)

    def batch(self, inputs: Inputs, snapshots: SnapshotsData, methods: orm.List) -> Step:
        """Return the job that labels a batch."""
        job = {**inputs[NAME], 'snapshots': snapshots, 'methods': methods, 'engine': inputs['engine']}
        return Step(CommandCalculation, job)
