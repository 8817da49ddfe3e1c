"""DFTMDWorkChain: snapshots of the crystal from molecular dynamics with DFT forces, in a sweep of temperatures.

The temperature of each step is `target_temperature` in :mod:`aiida_mlcc.runtime.md.settings`; VASP gets the sweep from
``engines/vasp/incar.py``.
"""

from __future__ import annotations

from typing import ClassVar, cast

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain, if_
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.build_supercell import build_supercell
from aiida_mlcc.calculations.functions.choose_time_step import choose_time_step
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.engines.runtime_jobs import md_port
from aiida_mlcc.engines.table import FORCES, codes_by_place, dynamics_ports, engine_named, force_engine, force_kind
from aiida_mlcc.jobs.inputs import JobOptions, mapping_at, merge
from aiida_mlcc.jobs.ports import seed_port
from aiida_mlcc.runtime.md.settings import MD
from aiida_mlcc.workflows.common.engine_protocol import EngineProtocolMixin
from aiida_mlcc.workflows.common.protocol import Overrides, read_overrides
from aiida_mlcc.workflows.sampling.dft_supercell import dft_supercell_ports, of_conventional_cells, refuse_cell


class DFTMDWorkChain(EngineProtocolMixin, WorkChain):
    """Langevin dynamics of a supercell through a sweep of temperatures: structures, energies and forces."""

    PROTOCOL_FILE = 'dft_md.yaml'
    SETTINGS: ClassVar = {'engine': FORCES, 'md.parameters': MD}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        dft_supercell_ports(spec)
        seed_port(spec)
        md_port(spec)
        spec.inputs['md']['code'].help = 'A Python with ASE and the program, for engines that run in Python.'
        dynamics_ports(spec)
        spec.input(
            'reference',
            valid_type=SnapshotsData,
            required=False,
            help='Displacements with DFT forces, which determine the time step if `md.parameters.time_step_fs` '
            'is null.',
        )
        spec.inputs.validator = _refuse
        spec.output('snapshots', valid_type=SnapshotsData, help='The frames with energies and forces.')
        spec.outline(
            cls.build_supercell,
            if_(cls.has_no_time_step)(
                cls.choose_time_step,
            ),
            cls.run_md,
            cls.collect_snapshots,
        )
        spec.exit_code(210, 'ERROR_NO_TIME_STEP', message='No time step: {reason}')
        spec.exit_code(310, 'ERROR_MD_FAILED', message='The dynamics gave no frame. {reason}')
        spec.exit_code(
            410, 'ERROR_MD_INCOMPLETE', message='The dynamics ended early, {n_frames} frames are kept. {reason}'
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        protocol: str | None = None,
        overrides: Overrides = None,
        options: JobOptions | None = None,
        **codes: orm.AbstractCode | None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has ASE and PySCF, or the program of an engine.
        :param options: scheduler options of the job, as in ``metadata.options``.
        :param codes: the codes of engines with a program of their own, such as ``vasp_code``.
        :raises aiida_mlcc.workflows.common.protocol.ProtocolError: for an unknown protocol or override key.
        """
        places = codes_by_place(code, codes)
        asked = read_overrides(overrides)
        named = engine_named(mapping_at(asked, 'engine'), code)
        given = merge(asked, {} if named is None else {'engine': {'name': named}})
        inputs = cls.get_protocol_inputs(protocol, given)
        if 'supercell_matrix' not in asked:
            inputs['supercell_matrix'] = of_conventional_cells(structure, inputs['supercell_matrix'])
        filled = force_kind(inputs['engine']['name']).fill(inputs, places, options, dynamics=True)
        return cls.fill({'structure': structure, **filled})

    def build_supercell(self) -> None:
        """Repeat the crystal."""
        self.ctx.start = build_supercell(
            self.inputs.structure,
            self.inputs.supercell_matrix,
            science_hash(build_supercell),
            metadata={'call_link_label': 'build_supercell'},
        )

    def has_no_time_step(self) -> bool:
        """Tell whether the time step is to follow from the crystal."""
        self.ctx.parameters = self.inputs.md.parameters
        return self.ctx.parameters['time_step_fs'] is None

    def choose_time_step(self) -> ExitCode | None:
        """Take as long a step as the stiffest mode of the crystal allows."""
        self.ctx.parameters, node = choose_time_step.run_get_node(
            self.inputs.reference,
            self.inputs.structure,
            self.ctx.start,
            self.inputs.md.parameters,
            self.inputs.symprec,
            science_hash(choose_time_step),
            metadata={'call_link_label': 'choose_time_step'},
        )
        return None if node.is_finished_ok else self.exit_codes.ERROR_NO_TIME_STEP.format(reason=node.exit_message)

    def run_md(self) -> ToContext:
        """Run the dynamics to its last step, however many jobs that takes."""
        parameters, engine = self.ctx.parameters, self.inputs.engine
        self.report(
            f'{engine["method"]} dynamics of {self.ctx.start.n_atoms} atoms: {parameters["n_steps"]} steps of '
            f'{parameters["time_step_fs"]} fs, {parameters["temperature_start_K"]} to '
            f'{parameters["temperature_end_K"]} K'
        )
        inputs = cast(Inputs, {**self.inputs, 'md': {**self.inputs.md, 'parameters': parameters}})
        process, job = force_engine(engine).dynamics(inputs, self.ctx.start)
        return ToContext(md=self.submit(process, **job, metadata={'call_link_label': 'md'}))

    def collect_snapshots(self) -> ExitCode | None:
        """Keep every frame, also of a dynamics that ended early."""
        node = self.ctx.md
        reason = node.exit_message or ''
        if 'trajectory' not in node.outputs:
            return self.exit_codes.ERROR_MD_FAILED.format(reason=reason)
        snapshots = node.outputs.trajectory
        self.out('snapshots', snapshots)
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_MD_INCOMPLETE.format(n_frames=snapshots.n_frames, reason=reason)
        self.report(f'{snapshots.n_frames} snapshots in SnapshotsData<{snapshots.pk}>')
        return None


def refuse_dynamics(inputs: Inputs) -> str | None:
    """Return why the engine cannot run the dynamics, in a sentence, or None."""
    if 'engine' not in inputs:
        return None
    if 'md' not in inputs:
        return '`md`, the settings of the dynamics, is missing'
    engine, parameters = force_engine(inputs['engine']), inputs['md'].get('parameters')
    if (reason := engine.refuse_places(inputs, dynamics=True)) is not None:
        return reason
    if parameters is None:
        return None
    if (reason := engine.refuse_dynamics(parameters)) is not None:
        return f'md.parameters: {reason}'
    return None


def _refuse(inputs: Inputs, namespace: PortNamespace) -> str | None:
    asked = inputs.get('md', {}).get('parameters')
    if asked is not None and asked['time_step_fs'] is None and 'reference' not in inputs:
        return (
            '`md.parameters.time_step_fs` is null, and there are no `reference` displacements to determine it: '
            'give a time step (1 fs is safe for most crystals without hydrogen)'
        )
    return refuse_dynamics(inputs) or refuse_cell(inputs)
