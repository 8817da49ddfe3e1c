"""VACFWorkChain: the vibrational density of states from molecular dynamics, beyond the harmonic approximation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, while_
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.build_supercell import build_supercell
from aiida_mlcc.calculations.functions.primitive_structure import primitive_structure
from aiida_mlcc.calculations.functions.vibrational_spectrum import vibrational_spectrum
from aiida_mlcc.calculations.md import MdCalculation
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.workflows.inputs import Options, job_inputs
from aiida_mlcc.workflows.ports import count_port, seed_port, structure_port, supercell_port, symprec_port
from aiida_mlcc.workflows.protocol import ProtocolMixin
from aiida_mlcc.workflows.restart import MdRestartWorkChain


class VACFWorkChain(ProtocolMixin, WorkChain):
    """Dynamics with every member of one method, and the Fourier transform of its velocity autocorrelation."""

    PROTOCOL_FILE = 'vacf.yaml'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        structure_port(spec)
        spec.input_namespace('force_fields', valid_type=ForceFieldData, dynamic=True, help='The members, by seed.')
        supercell_port(spec, 'the primitive cell')
        symprec_port(spec)
        seed_port(spec)
        spec.input(
            'spectrum',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=_validate_spectrum,
            help='Window and highest frequency (cm⁻¹) of the spectrum.',
        )
        count_port(spec, 'max_concurrent', 4, 'Jobs at a time.')
        spec.expose_inputs(
            MdCalculation,
            namespace='md',
            exclude=('start', 'engine', 'force_field', 'seed', 'runtime_source', 'parent_folder'),
        )
        spec.inputs.validator = _refuse_no_member
        spec.output_namespace('vacf', valid_type=orm.ArrayData, dynamic=True, help='Autocorrelation of each member.')
        spec.output('vdos', valid_type=orm.XyData, help='Vibrational density of states, modes per cm⁻¹.')
        spec.outline(
            cls.build_supercell,
            while_(cls.members_left)(
                cls.run_md,
                cls.collect_vacf,
            ),
            cls.transform,
            cls.judge,
        )
        spec.exit_code(310, 'ERROR_NO_DYNAMICS', message='No member came to the end of its dynamics. {reason}')
        spec.exit_code(410, 'ERROR_MEMBERS_MISSING', message='Without {members}, of the others only. {reason}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        force_fields: Mapping[str, ForceFieldData],
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Options = None,
    ):
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has ASE and MACE.
        :param force_fields: members by name, such as ``seed_5192``.
        :param options: scheduler options of the jobs, as in ``metadata.options``.
        :raises aiida_mlcc.workflows.protocol.ProtocolError: for an unknown protocol or override key.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        inputs['md'] = job_inputs(inputs['md'], code, options)
        return cls.fill({'structure': structure, 'force_fields': force_fields, **inputs})

    def build_supercell(self) -> None:
        """Repeat the primitive cell."""
        self.ctx.primitive = primitive_structure(
            self.inputs.structure,
            self.inputs.symprec,
            science_hash(),
            metadata={'call_link_label': 'find_primitive_cell'},
        )
        self.ctx.start = build_supercell(
            self.ctx.primitive,
            self.inputs.supercell_matrix,
            science_hash(),
            metadata={'call_link_label': 'build_supercell'},
        )
        self.ctx.queue = sorted(self.inputs.force_fields)
        self.ctx.finished, self.ctx.failed = {}, {}
        parameters = self.inputs.md.parameters
        self.report(
            f'{len(self.ctx.queue)} members: {self.ctx.start.n_atoms} atoms, {parameters["n_steps"]} steps of '
            f'{parameters["time_step_fs"]} fs at {parameters["temperature_start_K"]} K'
        )

    def members_left(self) -> bool:
        """Tell whether any member is still to run."""
        return bool(self.ctx.queue)

    def run_md(self) -> ToContext:
        """Run the dynamics of the next members."""
        size = self.inputs.max_concurrent.value
        self.ctx.running, self.ctx.queue = self.ctx.queue[:size], self.ctx.queue[size:]
        jobs = {}
        for name in self.ctx.running:
            job = self.exposed_inputs(MdCalculation, 'md')
            job.update(start=self.ctx.start, force_field=self.inputs.force_fields[name], seed=self.inputs.seed)
            jobs[name] = self.submit(MdRestartWorkChain, job=job, metadata={'call_link_label': f'md_{name}'})
        return ToContext(**jobs)

    def collect_vacf(self) -> None:
        """Keep the autocorrelation of each member that came to its end."""
        for name in self.ctx.running:
            node = self.ctx[name]
            if node.is_finished_ok:
                self.ctx.finished[name] = node.outputs.vacf
                self.out(f'vacf.{name}', node.outputs.vacf)
            else:
                self.ctx.failed[name] = node.exit_message or f'It ended {node.process_state}.'
                self.report(f'{name} failed: {self.ctx.failed[name]}')

    def transform(self) -> ExitCode | None:
        """Transform the autocorrelation into a spectrum, with its spread over the members."""
        if not self.ctx.finished:
            return self.exit_codes.ERROR_NO_DYNAMICS.format(reason=next(iter(self.ctx.failed.values())))
        spectrum = vibrational_spectrum(
            self.ctx.primitive,
            self.inputs.spectrum,
            science_hash(),
            metadata={'call_link_label': 'transform'},
            **self.ctx.finished,
        )
        self.out('vdos', spectrum)
        return None

    def judge(self) -> ExitCode | None:
        """Say whether members are missing."""
        if self.ctx.failed:
            members, reason = ', '.join(self.ctx.failed), next(iter(self.ctx.failed.values()))
            return self.exit_codes.ERROR_MEMBERS_MISSING.format(members=members, reason=reason)
        return None


_SPECTRUM = ('window', 'highest_cm1')


def _validate_spectrum(node: orm.Dict, _: Any) -> str | None:
    settings = node.get_dict()
    if set(settings) != set(_SPECTRUM):
        wrong = sorted(set(settings) ^ set(_SPECTRUM))[0]
        return f'unknown or missing spectrum setting `{wrong}`: there are {", ".join(_SPECTRUM)}'
    return None if settings['highest_cm1'] > 0 else '`highest_cm1` must be above 0'


def _refuse_no_member(inputs: Mapping[str, Any], namespace: PortNamespace) -> str | None:
    if 'force_fields' not in namespace:
        return None
    return None if inputs.get('force_fields') else 'no force field given: each is one member'
