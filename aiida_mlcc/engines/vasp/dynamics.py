"""VaspMdWorkChain: Langevin dynamics by VASP, in as many jobs as it takes."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, while_
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.vasp_structures import vasp_structures
from aiida_mlcc.calculations.functions.vasp_trajectory import vasp_trajectory
from aiida_mlcc.calculations.functions.vasp_velocities import draw_velocities, hand_over_velocities
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.calculations.vasp_md import VaspMdCalculation
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.engines.vasp.incar import langevin, next_segment
from aiida_mlcc.engines.vasp.jobs import retrieved_run, segment_port, vasp_job, vasp_ports, why
from aiida_mlcc.engines.vasp.settings import VaspForces, refuse_potentials, source_of
from aiida_mlcc.jobs.ports import seed_port
from aiida_mlcc.runtime.md.settings import MD

_IDLE_JOBS = 2
"""A job that made no step is tried once more."""

_GOES_ON = (
    'ERROR_DID_NOT_FINISH',
    'ERROR_ELECTRONIC_NOT_CONVERGED',
    'ERROR_SCHEDULER_OUT_OF_WALLTIME',
    'ERROR_SCHEDULER_OUT_OF_MEMORY',
    'ERROR_SCHEDULER_NODE_FAILURE',
)
"""After these the dynamics goes on: it was stopped, or its last step did not converge, which its frame says."""


class VaspMdWorkChain(WorkChain):
    """Each job goes on with the positions, velocities and the thermostat's temperature with which the last one ended.

    The CONTCAR of a job is the POSCAR of the next one, byte by byte, as VASP wants it.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('start', valid_type=SnapshotsData, help='The structure to start from: its first frame.')
        settings_port(spec, 'engine', VaspForces, help='VASP.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=refuse_dynamics,
            help='How to move, as for MdCalculation.',
        )
        seed_port(spec)
        vasp_ports(spec)
        segment_port(spec)
        spec.inputs.validator = _refuse_potentials
        spec.output('trajectory', valid_type=SnapshotsData, required=False, help='Frames with energies and forces.')
        spec.output(
            'summary',
            valid_type=orm.Dict,
            required=False,
            help='`steps` of the frames, `unconverged_steps` that were left out, `steps_done`, `n_segments`.',
        )
        spec.outline(
            cls.draw_velocities,
            while_(cls.steps_left)(
                cls.run_segment,
                cls.hand_over_velocities,
            ),
            cls.assemble_trajectory,
        )
        spec.exit_code(310, 'ERROR_NO_FRAMES', message='{reason}')
        spec.exit_code(410, 'ERROR_INCOMPLETE', message='{done} of {total} steps were made. {reason}')

    @property
    def settings(self) -> VaspForces:
        """The settings of VASP."""
        return VaspForces.of(self.inputs.engine.get_dict())

    def draw_velocities(self) -> None:
        """Draw the first velocities; from rest there are none."""
        self.ctx.done, self.ctx.idle, self.ctx.reason = 0, 0, None
        self.ctx.segments, self.ctx.steps, self.ctx.poscar = {}, {}, None
        parameters = self.inputs.parameters
        label = {'call_link_label': 'take_start'}
        self.ctx.structure = vasp_structures(
            self.inputs.start, orm.List([0]), science_hash(vasp_structures), metadata=label
        )['frame_0']
        if parameters['initial_temperature_K'] > 0:
            self.ctx.poscar = draw_velocities(
                self.inputs.start,
                orm.Float(parameters['initial_temperature_K']),
                self.inputs.seed,
                science_hash(draw_velocities),
                metadata={'call_link_label': 'draw_velocities'},
            )

    def steps_left(self) -> bool:
        """Tell whether steps are left and can be made."""
        return self.ctx.reason is None and self.ctx.done < self.total_steps

    @property
    def total_steps(self) -> int:
        """Steps of the dynamics with its equilibration."""
        return self.inputs.parameters['equilibration_steps'] + self.inputs.parameters['n_steps']

    def run_segment(self) -> ToContext:
        """Go on from where the dynamics is."""
        vasp, ours, dynamics = self.inputs.vasp, self.settings, MD.of(self.inputs.parameters.get_dict())
        most = vasp.segment_steps.value if 'segment_steps' in vasp else None
        segment = next_segment(dynamics, self.ctx.done, most)
        species = list(dict.fromkeys(site.kind_name for site in self.ctx.structure.sites))
        tags = langevin(ours, dynamics, segment, species, self.inputs.seed.value)
        label = f'segment_{len(self.ctx.segments):03d}'
        job = vasp_job(vasp, ours.potentials, self.ctx.structure, tags, ours.kpoints, label)
        if self.ctx.poscar is not None:
            job['poscar'] = self.ctx.poscar
        self.report(
            f'{label}: steps {segment.first + 1} to {segment.first + segment.n_steps} of {self.total_steps}, '
            f'{segment.begin_K:.1f} to {segment.end_K:.1f} K'
        )
        self.ctx.planned = segment.n_steps
        return ToContext(job=self.submit(VaspMdCalculation, **job))

    def hand_over_velocities(self) -> None:
        """Keep the complete steps, and take positions and velocities for what is left."""
        node = self.ctx.job
        run = retrieved_run(node)
        made = min(len(run.steps), self.ctx.planned) if run is not None else 0
        if made:
            name = f'segment_{len(self.ctx.segments):03d}'
            self.ctx.segments[name], self.ctx.steps[name] = node.outputs.retrieved, made
            self.ctx.done += made
        if self.ctx.done >= self.total_steps:
            return
        self.ctx.idle = 0 if made else self.ctx.idle + 1
        if (not node.is_finished_ok and not self._goes_on(node)) or self.ctx.idle >= _IDLE_JOBS:
            self.ctx.reason = why(node) if not node.is_finished_ok else 'VASP ended without a step.'
            return
        if not made:
            self.report(f'{why(node)} No step was made: tried once more')
            return
        if made < self.ctx.planned:
            self.report(f'the job ended after {made} of {self.ctx.planned} steps: going on from there')
        poscar, process = hand_over_velocities.run_get_node(
            node.outputs.retrieved,
            orm.Float(self.inputs.parameters['time_step_fs']),
            science_hash(hand_over_velocities),
            metadata={'call_link_label': f'hand_over_{self.ctx.done}'},
        )
        if process.is_finished_ok:
            self.ctx.poscar = poscar
        else:
            self.ctx.reason = f'The dynamics cannot go on: {process.exit_message}.'

    def _goes_on(self, node: orm.CalcJobNode) -> bool:
        codes = VaspMdCalculation.exit_codes
        return node.exit_status in {codes[name].status for name in _GOES_ON}

    def assemble_trajectory(self) -> ExitCode | None:
        """Put the frames of all jobs together, and say what is missing."""
        if not self.ctx.segments:
            return self.exit_codes.ERROR_NO_FRAMES.format(reason=self.ctx.reason)
        results, process = vasp_trajectory.run_get_node(
            self.inputs.start,
            orm.Str(self.settings.method),
            orm.Str(self.settings.energy),
            orm.Dict(source_of(self.settings)),
            self.inputs.parameters,
            orm.Dict(self.ctx.steps),
            science_hash(vasp_trajectory),
            metadata={'call_link_label': 'assemble_trajectory'},
            **self.ctx.segments,
        )
        if not process.is_finished_ok:
            reason = f'The dynamics gave no frame: {process.exit_message}. {self.ctx.reason or ""}'.strip()
            return self.exit_codes.ERROR_NO_FRAMES.format(reason=reason)
        self.out_many(results)
        if lost := results['summary']['unconverged_steps']:
            self.report(f'{len(lost)} frames left out, whose electrons did not converge: steps {lost}')
        if self.ctx.done < self.total_steps:
            return self.exit_codes.ERROR_INCOMPLETE.format(
                done=self.ctx.done, total=self.total_steps, reason=self.ctx.reason
            )
        return None


def refuse_dynamics(node: orm.Dict, _: Any) -> str | None:
    """Refuse a dynamics that VASP is not asked for here."""
    if (reason := MD.refuse(node.get_dict())) is not None:
        return reason
    asked = MD.of(node.get_dict())
    if asked.ensemble != 'langevin' or asked.record != 'snapshots':
        return (
            f'the dynamics by VASP is `langevin` and records `snapshots`, not `{asked.ensemble}` and `{asked.record}`'
        )
    if asked.temperature_start_K > 0 and asked.initial_temperature_K == 0:
        return (
            '`initial_temperature_K` is 0, but the sweep begins at '
            f'{asked.temperature_start_K:g} K, at which VASP would draw velocities itself: give the same for both'
        )
    return None


def _refuse_potentials(inputs: Inputs, namespace: PortNamespace) -> str | None:
    if not {'start', 'engine', 'vasp'} <= set(inputs):
        return None
    settings = VaspForces.of(inputs['engine'].get_dict())
    return refuse_potentials(list(inputs['start'].get_snapshots().symbols), settings.potentials)
