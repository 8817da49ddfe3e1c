"""Engines whose program runs in the jobs of the runtime, under the Python that runs all of them."""

from __future__ import annotations

from typing import Final

from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.evaluate import EvaluateCalculation
from aiida_mlcc.calculations.md import MdCalculation
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Codes, ForceEngine, Inputs, S, Step, at
from aiida_mlcc.jobs.inputs import InputTree, JobOptions, job_inputs, mapping_at
from aiida_mlcc.jobs.restart import EvaluateRestartWorkChain, MdRestartWorkChain
from aiida_mlcc.runtime import programs
from aiida_mlcc.science.settings import Settings

OPTIONAL = {'required': False, 'populate_defaults': False}
"""Of the namespace of a job that not every engine runs."""

EVALUATE: Final = 'evaluate'
MD: Final = 'md'


def evaluate_port(spec: WorkChainSpec, required: bool) -> None:
    """Declare `evaluate`, the job of energies and forces."""
    spec.expose_inputs(
        EvaluateCalculation,
        namespace=EVALUATE,
        exclude=('snapshots', 'engine', 'force_fields', 'runtime_source', 'parent_folder'),
        **({} if required else {'namespace_options': dict(OPTIONAL)}),
    )


def md_port(spec: WorkChainSpec) -> None:
    """Declare `md`, the job of a dynamics; its parameters are those of any engine's dynamics."""
    spec.expose_inputs(
        MdCalculation,
        namespace=MD,
        exclude=('start', 'primitive', 'engine', 'force_field', 'seed', 'device', 'runtime_source'),
    )


class RuntimeForces(ForceEngine[S]):
    """A program of :mod:`aiida_mlcc.runtime.programs` that gives energies and forces.

    All structures are one job, and so is a dynamics.
    """

    place = EVALUATE
    place_of_dynamics = MD
    relaxes = True

    @classmethod
    def declare_ports(cls, spec: WorkChainSpec, dynamics: bool = False) -> None:
        """Declare `evaluate` or `md`."""
        if dynamics and MD not in spec.inputs:
            md_port(spec)
        elif not dynamics and EVALUATE not in spec.inputs:
            evaluate_port(spec, required=False)

    @classmethod
    def fill(cls, inputs: InputTree, codes: Codes, options: JobOptions | None, dynamics: bool = False) -> InputTree:
        """Return the inputs with the code and options of the job."""
        place = MD if dynamics else EVALUATE
        return {**inputs, place: job_inputs(mapping_at(inputs, place), codes['code'], options)}

    def refuse_places(self, inputs: Inputs, dynamics: bool = False) -> str | None:
        """Return that the Python is missing."""
        place = MD if dynamics else EVALUATE
        if 'code' in at(inputs, place):
            return None
        return f'`{place}.code` is missing: a Python that has ASE and {self.title}'

    def labels(self, inputs: Inputs, snapshots: SnapshotsData) -> Step:
        """Return the job that evaluates all snapshots."""
        job = {**inputs[EVALUATE], 'snapshots': snapshots, 'engine': inputs['engine']}
        return Step(EvaluateRestartWorkChain, {'job': job})

    def dynamics(self, inputs: Inputs, start: SnapshotsData) -> Step:
        """Return the job that runs the dynamics."""
        job = {**inputs[MD], 'start': start, 'engine': inputs['engine'], 'seed': inputs['seed']}
        return Step(MdRestartWorkChain, {'job': job})


def runtime_forces(name: str) -> type[RuntimeForces[Settings]]:
    """Return the engine of a program of which there is no more to say than its settings."""
    group = programs.settings_class(programs.FORCES, name)
    return type(name, (RuntimeForces,), {'name': name, 'title': group.TITLE, 'settings_class': group})
