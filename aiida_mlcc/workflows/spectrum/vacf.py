"""VACFWorkChain: the vibrational density of states from molecular dynamics, beyond the harmonic approximation."""

from __future__ import annotations

from collections.abc import Mapping

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.build_supercell import build_supercell
from aiida_mlcc.calculations.md import MdCalculation
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.jobs.crystal import find_primitive_cell
from aiida_mlcc.jobs.inputs import JobOptions, job_inputs
from aiida_mlcc.jobs.ports import count_port, seed_port, structure_port, supercell_port, symprec_port
from aiida_mlcc.jobs.restart import MdRestartWorkChain
from aiida_mlcc.runtime.md.settings import MD
from aiida_mlcc.science.dynamics.settings import DynamicsLimits, SpectrumSettings
from aiida_mlcc.science.dynamics.vdos import folding
from aiida_mlcc.workflows.common.draw_curve import draw
from aiida_mlcc.workflows.common.protocol import Overrides, ProtocolMixin
from aiida_mlcc.workflows.curve_table import Dynamics, curve_outputs, curves_of
from aiida_mlcc.workflows.curves.spectrum import TRAJECTORY
from aiida_mlcc.workflows.spectrum.checks import distrust, refuse_inputs

SEEDS_OF_A_MEMBER = 1000
"""Members by name, trajectories by number: velocities of two members with one seed would share their noise, and more
trajectories later leave the seeds of these as they are."""


class VACFWorkChain(ProtocolMixin, WorkChain):
    """Dynamics with every member of one method, and the Fourier transform of its velocity autocorrelation.

    Each trajectory is brought to its temperature by a Langevin thermostat and then runs on at constant energy, or
    weakly coupled. Its spectrum comes with that of the harmonic crystal in the very same supercell, so that finite size
    is not taken for anharmonicity.
    """

    PROTOCOL_FILE = 'vacf.yaml'
    SETTINGS = {'md.parameters': MD, 'spectrum': SpectrumSettings, 'limits': DynamicsLimits}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        structure_port(spec)
        spec.input_namespace('force_fields', valid_type=ForceFieldData, dynamic=True, help='The members, by seed.')
        supercell_port(spec, 'the primitive cell')
        symprec_port(spec)
        seed_port(spec)
        settings_port(
            spec,
            'spectrum',
            SpectrumSettings,
            help='Window and highest frequency (cm⁻¹; null for all harmonic modes) of the spectrum; if '
            '`resolution_cm1` is given, the longest lag must resolve it.',
        )
        settings_port(
            spec,
            'limits',
            DynamicsLimits,
            help='By which fraction of the temperature the mean `temperature` may be off (in quadrature with two '
            'standard deviations of so small a crystal), and `energy_drift` may heat.',
        )
        count_port(
            spec,
            'n_trajectories',
            1,
            f'Trajectories of each member: `seed`, `seed` + 1, …, from `seed` + {SEEDS_OF_A_MEMBER} for the next.',
        )
        count_port(spec, 'max_concurrent', 4, 'Jobs at a time.')
        spec.expose_inputs(
            MdCalculation,
            namespace='md',
            exclude=('start', 'primitive', 'engine', 'force_field', 'seed', 'runtime_source', 'parent_folder'),
        )
        spec.inputs.validator = refuse_inputs
        spec.output_namespace(
            'vacf', valid_type=orm.ArrayData, dynamic=True, help='Autocorrelation of each trajectory.'
        )
        spec.output_namespace(
            'trajectory',
            valid_type=SnapshotsData,
            dynamic=True,
            help='Frames if `keep_trajectory` is true, and the last frames of an unstable run.',
        )
        curve_outputs(spec, 'vacf')
        spec.outline(
            cls.build_supercell,
            while_(cls.trajectories_left)(
                cls.run_md,
                cls.collect_vacf,
            ),
            cls.transform,
            cls.judge,
        )
        spec.exit_code(310, 'ERROR_NO_DYNAMICS', message='The dynamics of no member finished. {reason}')
        spec.exit_code(320, 'ERROR_UNRELIABLE_DYNAMICS', message='All dynamics are outside the limits. {reason}')
        spec.exit_code(
            410, 'ERROR_MEMBERS_MISSING', message='Without {members}; the results are those of the others. {reason}'
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        structure: orm.StructureData,
        force_fields: Mapping[str, ForceFieldData],
        protocol: str | None = None,
        overrides: Overrides = None,
        options: JobOptions | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: a Python that has ASE and MACE.
        :param force_fields: members by name, such as ``seed_5192``.
        :param options: scheduler options of the jobs, as in ``metadata.options``.
        :raises aiida_mlcc.workflows.common.protocol.ProtocolError: for an unknown protocol or override key.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        inputs['md'] = job_inputs(inputs['md'], code, options)
        return cls.fill({'structure': structure, 'force_fields': force_fields, **inputs})

    def build_supercell(self) -> None:
        """Repeat the primitive cell."""
        self.ctx.primitive = find_primitive_cell(self.inputs)
        self.ctx.start = build_supercell(
            self.ctx.primitive,
            self.inputs.supercell_matrix,
            science_hash(build_supercell),
            metadata={'call_link_label': 'build_supercell'},
        )
        members, n_trajectories = sorted(self.inputs.force_fields), self.inputs.n_trajectories.value
        numbered = n_trajectories > 1
        self.ctx.queue = [
            (
                f'{member}{TRAJECTORY}{number + 1}' if numbered else member,
                member,
                self.inputs.seed.value + SEEDS_OF_A_MEMBER * place + number,
            )
            for place, member in enumerate(members)
            for number in range(n_trajectories)
        ]
        self.ctx.finished, self.ctx.failed, self.ctx.distrusted = {}, {}, {}
        parameters = self.inputs.md.parameters
        each = f', {n_trajectories} trajectories each' if numbered else ''
        self.report(
            f'{len(members)} members{each}: {self.ctx.start.n_atoms} atoms, {parameters["n_steps"]} steps of '
            f'{parameters["time_step_fs"]} fs at {parameters["temperature_start_K"]} K'
        )

    def trajectories_left(self) -> bool:
        """Tell whether any trajectory is still to run."""
        return bool(self.ctx.queue)

    def run_md(self) -> ToContext:
        """Equilibrate and run the next trajectories."""
        size = self.inputs.max_concurrent.value
        self.ctx.running, self.ctx.queue = self.ctx.queue[:size], self.ctx.queue[size:]
        jobs = {}
        for name, member, seed in self.ctx.running:
            job = self.exposed_inputs(MdCalculation, 'md')
            # The seed of the input is that node itself, so that the graph shows where it comes from.
            seed_node = self.inputs.seed if seed == self.inputs.seed.value else orm.Int(seed)
            job.update(start=self.ctx.start, primitive=self.ctx.primitive, seed=seed_node)
            job['force_field'] = self.inputs.force_fields[member]
            jobs[name] = self.submit(MdRestartWorkChain, job=job, metadata={'call_link_label': f'md_{name}'})
        return ToContext(**jobs)

    def collect_vacf(self) -> None:
        """Keep the autocorrelation of each trajectory, and take those that can be trusted."""
        for name, _, _ in self.ctx.running:
            node = self.ctx[name]
            for kind in ('vacf', 'trajectory'):
                if kind in node.outputs:
                    self.out(f'{kind}.{name}', node.outputs[kind])
            if not node.is_finished_ok:
                self.ctx.failed[name] = node.exit_message or f'It ended {node.process_state}.'
                self.report(f'{name} failed: {self.ctx.failed[name]}')
                continue
            summary, md = node.outputs.summary.get_dict(), MD.of(self.inputs.md.parameters.get_dict())
            if (untold := summary.get('no_harmonic_modes_because')) is not None:
                self.report(f'{name} has no harmonic modes to compare with: {untold}')
            reason = distrust(summary, md, self.ctx.start.n_atoms, DynamicsLimits.of(self.inputs.limits.get_dict()))
            if reason is None and (highest := _highest_mode_cm1(node.outputs.vacf)) is not None:
                reason = folding(highest, md.record_every, md.step_fs)
            if reason is None:
                self.ctx.finished[name] = node.outputs.vacf
            else:
                self.ctx.failed[name] = self.ctx.distrusted[name] = f'{name} is left out: {reason}.'
                self.report(self.ctx.failed[name])

    def transform(self) -> ExitCode | None:
        """Transform the autocorrelation into a spectrum, and compare it with that of the harmonic crystal."""
        if not self.ctx.finished and self.ctx.distrusted:
            reason = next(iter(self.ctx.distrusted.values()))
            return self.exit_codes.ERROR_UNRELIABLE_DYNAMICS.format(reason=reason)
        if not self.ctx.finished:
            return self.exit_codes.ERROR_NO_DYNAMICS.format(reason=next(iter(self.ctx.failed.values())))
        made: dict[str, orm.Data] = {}
        for name in curves_of('vacf'):
            made |= draw(self, name, Dynamics(self.inputs, self.ctx.primitive, self.ctx.finished, made))
        return None

    def judge(self) -> ExitCode | None:
        """Say whether trajectories are missing."""
        if self.ctx.failed:
            members, reason = ', '.join(self.ctx.failed), next(iter(self.ctx.failed.values()))
            return self.exit_codes.ERROR_MEMBERS_MISSING.format(members=members, reason=reason)
        return None


def _highest_mode_cm1(vacf: orm.ArrayData) -> float | None:
    """Return the highest harmonic frequency that lies beside an autocorrelation, cm⁻¹."""
    name = 'harmonic_frequencies_cm1'
    return float(vacf.get_array(name).max()) if name in vacf.get_arraynames() else None
