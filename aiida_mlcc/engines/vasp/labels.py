"""VaspLabelsWorkChain: energies and forces of given snapshots by VASP, one job for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, while_
from aiida.engine.processes.ports import PortNamespace
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida_vasp.calcs.vasp import VaspCalculation

from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.functions.vasp_labels import vasp_labels
from aiida_mlcc.calculations.functions.vasp_structures import vasp_structures
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.single_points import chosen_frames, refuse_frames
from aiida_mlcc.engines.vasp.incar import single_point
from aiida_mlcc.engines.vasp.jobs import retrieved_run, vasp_job, vasp_ports, why
from aiida_mlcc.engines.vasp.settings import VaspForces, refuse_potentials, source_of
from aiida_mlcc.jobs.inputs import batches
from aiida_mlcc.jobs.ports import count_port


class VaspLabelsWorkChain(WorkChain):
    """A frame that fails is named and does not stop the others."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData, help='Frames, or displaced cells.')
        spec.input(
            'frames',
            valid_type=orm.List,
            required=False,
            serializer=orm.to_aiida_type,
            help='Indices of the frames to be labelled; all of them where it is not given.',
        )
        settings_port(spec, 'engine', VaspForces, help='VASP.')
        vasp_ports(spec)
        count_port(spec, 'max_concurrent', 4, 'Jobs at a time.')
        spec.inputs.validator = _refuse
        spec.output('snapshots', valid_type=SnapshotsData, help='The snapshots of the input with the new labels.')
        spec.output('failures', valid_type=orm.Dict, help='Which frames failed, and why.')
        spec.outline(
            cls.plan_batches,
            while_(cls.batches_left)(
                cls.submit_next_batch,
                cls.collect_batch,
            ),
            cls.assemble_labels,
        )
        spec.exit_code(310, 'ERROR_NOTHING_LABELLED', message='No snapshot was labelled. The first reason: {reason}')

    def plan_batches(self) -> None:
        """Put as many frames into a batch as may run at a time."""
        self.ctx.labelled, self.ctx.failed = {}, []
        frames = chosen_frames(self.inputs)
        self.ctx.batches = batches(frames, self.inputs.max_concurrent.value)
        self.report(f'{self.inputs.engine["method"]} energies and forces of {len(frames)} frames by VASP')

    def batches_left(self) -> bool:
        """Tell whether batches are left."""
        return bool(self.ctx.batches)

    def submit_next_batch(self) -> ToContext:
        """Submit one job for each frame of the next batch."""
        self.ctx.running = self.ctx.batches.pop(0)
        engine = self.inputs.engine.get_dict()
        label = {'call_link_label': f'take_frames_{self.ctx.running[0]}'}
        structures = vasp_structures(
            self.inputs.snapshots, orm.List(self.ctx.running), science_hash(vasp_structures), metadata=label
        )
        jobs = {}
        for name, structure in structures.items():
            job = vasp_job(self.inputs.vasp, engine, structure, single_point(engine), engine['kpoints'], name)
            jobs[name] = self.submit(VaspCalculation, **job)
        return ToContext(**jobs)

    def collect_batch(self) -> None:
        """Keep every label that converged, and the reason for every one that did not."""
        finished = {}
        for frame in self.ctx.running:
            node = self.ctx[f'frame_{frame}']
            if (reason := _why_no_label(node)) is None:
                finished[f'frame_{frame}'] = node.outputs.retrieved
                continue
            method = self.inputs.engine['method']
            self.ctx.failed.append({'snapshot': frame, 'methods': [method], 'job': node.pk, 'reason': reason})
            self.report(f'no {method} label of snapshot {frame}: {reason}')
        if finished:
            engine = self.inputs.engine
            name = f'batch_{len(self.ctx.labelled):03d}'
            self.ctx.labelled[name] = vasp_labels(
                self.inputs.snapshots,
                orm.Str(engine['method']),
                orm.Str(engine['energy']),
                orm.Dict(source_of(engine.get_dict())),
                science_hash(vasp_labels),
                metadata={'call_link_label': name},
                **finished,
            )

    def assemble_labels(self) -> ExitCode | None:
        """Put the labels onto the snapshots they belong to."""
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())
        if not self.ctx.labelled:
            return self.exit_codes.ERROR_NOTHING_LABELLED.format(reason=self.ctx.failed[0]['reason'])
        label = {'call_link_label': 'merge_labels'}
        self.out(
            'snapshots',
            merge_labels(self.inputs.snapshots, science_hash(merge_labels), metadata=label, **self.ctx.labelled),
        )
        return None


def _why_no_label(node: orm.CalcJobNode) -> str | None:
    if not node.is_finished_ok:
        return why(node)
    run = retrieved_run(node)
    if run is None or not run.steps or run.steps[0].forces is None:
        return f'{node.process_label}<{node.pk}> left no energy and forces.'
    return None if run.converged(0) else f'the electrons did not converge in {run.nelm} steps'


def _refuse(inputs: Mapping[str, Any], namespace: PortNamespace) -> str | None:
    if not {'snapshots', 'engine', 'vasp'} <= set(inputs):
        return None
    engine = inputs['engine'].get_dict()
    reason = refuse_frames(inputs, source_of(engine))
    return reason or refuse_potentials(list(inputs['snapshots'].get_snapshots().symbols), engine)
