"""DFTMDWorkChain: snapshots of the crystal from molecular dynamics with DFT forces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.build_supercell import build_supercell
from aiida_mlcc.calculations.md import MdCalculation
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.forces import is_vasp, refuse_force_engine
from aiida_mlcc.engines.vasp.dynamics import VaspMdWorkChain, refuse_dynamics
from aiida_mlcc.engines.vasp.jobs import segment_port, vasp_ports
from aiida_mlcc.engines.vasp.settings import is_vasp_code, refuse_potentials
from aiida_mlcc.jobs.inputs import Options, job_inputs, merge
from aiida_mlcc.jobs.ports import seed_port, structure_port, supercell_port
from aiida_mlcc.jobs.restart import MdRestartWorkChain
from aiida_mlcc.runtime.md_settings import MD
from aiida_mlcc.workflows.protocol import ProtocolMixin


class DFTMDWorkChain(ProtocolMixin, WorkChain):
    """Langevin dynamics of a supercell through a sweep of temperatures: structures, energies and forces."""

    PROTOCOL_FILE = 'dft_md.yaml'
    SETTINGS = {'md.parameters': MD}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        structure_port(spec)
        supercell_port(spec, '`structure`')
        spec.input(
            'engine',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=refuse_force_engine,
            help='Where energies and forces come from, PySCF or VASP, with all its settings.',
        )
        seed_port(spec)
        spec.expose_inputs(
            MdCalculation,
            namespace='md',
            exclude=('start', 'primitive', 'engine', 'force_field', 'seed', 'device', 'runtime_source'),
        )
        spec.inputs['md']['code'].help = 'A Python that has ASE and PySCF; not for VASP.'
        vasp_ports(spec, required=False)
        segment_port(spec)
        spec.inputs.validator = _refuse_places
        spec.output('snapshots', valid_type=SnapshotsData, help='The frames with energies and forces.')
        spec.outline(
            cls.build_supercell,
            cls.run_md,
            cls.collect_snapshots,
        )
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
        overrides: Mapping[str, Any] | None = None,
        options: Options = None,
        vasp_code: orm.AbstractCode | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has ASE and PySCF, or VASP.
        :param vasp_code: VASP, which runs where `overrides` name the engine ``vasp``.
        :param options: scheduler options of the job, as in ``metadata.options``.
        :raises aiida_mlcc.workflows.protocol.ProtocolError: for an unknown protocol or override key.
        """
        named = (overrides or {}).get('engine') or {}
        if is_vasp_code(code) or named.get('name') == 'vasp':
            inputs = _VaspProtocol.get_protocol_inputs(protocol, overrides)
            inputs['vasp'] = merge({'code': vasp_code or code, 'options': {}}, inputs['vasp'])
            inputs['vasp']['options'] = merge(options or {}, inputs['vasp']['options'])
        else:
            inputs = cls.get_protocol_inputs(protocol, overrides)
            inputs['md'] = job_inputs(inputs['md'], code, options)
        return cls.fill({'structure': structure, **inputs})

    def build_supercell(self) -> None:
        """Repeat the crystal."""
        self.ctx.start = build_supercell(
            self.inputs.structure,
            self.inputs.supercell_matrix,
            science_hash(build_supercell),
            metadata={'call_link_label': 'build_supercell'},
        )

    def run_md(self) -> ToContext:
        """Run the dynamics to its last step, however many jobs that takes."""
        parameters, engine = self.inputs.md.parameters, self.inputs.engine
        self.report(
            f'{engine["method"]} dynamics of {self.ctx.start.n_atoms} atoms: {parameters["n_steps"]} steps of '
            f'{parameters["time_step_fs"]} fs, {parameters["temperature_start_K"]} to '
            f'{parameters["temperature_end_K"]} K'
        )
        common = {'start': self.ctx.start, 'engine': engine, 'seed': self.inputs.seed}
        label = {'call_link_label': 'md'}
        if is_vasp(engine):
            inputs = {**common, 'parameters': parameters, 'vasp': self.inputs.vasp}
            return ToContext(md=self.submit(VaspMdWorkChain, **inputs, metadata=label))
        job = {**self.exposed_inputs(MdCalculation, 'md'), **common}
        return ToContext(md=self.submit(MdRestartWorkChain, job=job, metadata=label))

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


class _VaspProtocol(ProtocolMixin):
    """The same inputs, with VASP's settings."""

    PROTOCOL_FILE = 'dft_md_vasp.yaml'
    SETTINGS = DFTMDWorkChain.SETTINGS
    spec = DFTMDWorkChain.spec

    @classmethod
    def refuse_unknown(
        cls, overrides: Mapping[str, Any], known: Mapping[str, Any], ports: PortNamespace | None, path: str = ''
    ) -> None:
        # Elements and INCAR tags are no names of ours: the engine checks them.
        if path not in ('engine.potential_mapping', 'engine.incar'):
            super().refuse_unknown(overrides, known, ports, path)


def _refuse_places(inputs: Mapping[str, Any], namespace: PortNamespace) -> str | None:
    """Refuse an engine without the code that runs it, and what VASP cannot do."""
    if not {'engine', 'md'} <= set(inputs):
        return None
    engine, parameters = inputs['engine'], inputs['md'].get('parameters')
    if not is_vasp(engine):
        return None if 'code' in inputs['md'] else '`md.code` is missing: a Python that has ASE and PySCF'
    if 'vasp' not in inputs or 'code' not in inputs['vasp']:
        return 'the engine is VASP, but `vasp.code` is missing: give the code to run it'
    if parameters is not None and (reason := refuse_dynamics(parameters, None)) is not None:
        return f'md.parameters: {reason}'
    if 'structure' not in inputs:
        return None
    symbols = [inputs['structure'].get_kind(site.kind_name).symbol for site in inputs['structure'].sites]
    return refuse_potentials(symbols, engine.get_dict())
