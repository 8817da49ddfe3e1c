"""LabelFramesWorkChain: wave-function energies of chosen frames, in batches."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.correlate import CorrelateCalculation
from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.functions.take_frames import take_frames
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.pyscf import refuse_correlation_engine
from aiida_mlcc.science.labelling import missing_labels
from aiida_mlcc.science.labelling_plan import in_one_job
from aiida_mlcc.workflows.inputs import batches
from aiida_mlcc.workflows.ports import count_port
from aiida_mlcc.workflows.restart import CorrelateRestartWorkChain


class LabelFramesWorkChain(WorkChain):
    """Frames that lack the same methods go into jobs together; one that fails is named and does not stop the others."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input('frames', valid_type=orm.Dict, help='Method → indices of the frames to be labelled by it.')
        spec.input('engine', valid_type=orm.Dict, serializer=orm.to_aiida_type, validator=refuse_correlation_engine)
        count_port(spec, 'batch_size', 8, 'Snapshots per job.')
        count_port(spec, 'max_concurrent', 4, 'Jobs at a time.')
        spec.expose_inputs(
            CorrelateCalculation,
            namespace='correlate',
            exclude=('snapshots', 'methods', 'engine', 'runtime_source', 'parent_folder'),
        )
        spec.output('snapshots', valid_type=SnapshotsData, help='The snapshots of the input with the new labels.')
        spec.output('failures', valid_type=orm.Dict, help='Which frames failed, for which methods, and why.')
        spec.outline(
            cls.plan_batches,
            while_(cls.batches_left)(
                cls.submit_next_batches,
                cls.collect_batches,
            ),
            cls.assemble_labels,
        )
        spec.exit_code(310, 'ERROR_NOTHING_LABELLED', message='No snapshot was labelled. The first reason: {reason}')

    def plan_batches(self) -> None:
        """Put the frames that lack the same methods into batches."""
        self.ctx.labelled, self.ctx.failed, self.ctx.n_submitted = {}, [], 0
        self.ctx.batches = [
            (list(methods), batch)
            for methods, frames in in_one_job(self.inputs.frames.get_dict()).items()
            for batch in batches(frames, self.inputs.batch_size.value)
        ]

    def batches_left(self) -> bool:
        """Tell whether batches are left."""
        return bool(self.ctx.batches)

    def submit_next_batches(self) -> ToContext:
        """Submit as many batches as may run at a time: waiting parents hold a worker's slots."""
        size = self.inputs.max_concurrent.value
        now, self.ctx.batches = self.ctx.batches[:size], self.ctx.batches[size:]
        self.ctx.running, jobs = {}, {}
        for methods, frames in now:
            name = f'batch_{self.ctx.n_submitted:03d}'
            self.ctx.n_submitted += 1
            snapshots = take_frames(
                self.inputs.snapshots, orm.List(frames), science_hash(), metadata={'call_link_label': f'take_{name}'}
            )
            job = self.exposed_inputs(CorrelateCalculation, 'correlate')
            job.update(snapshots=snapshots, methods=orm.List(methods), engine=self.inputs.engine)
            jobs[name] = self.submit(CorrelateRestartWorkChain, job=job, metadata={'call_link_label': name})
            self.ctx.running[name] = (methods, frames)
        self.report(f'{len(jobs)} batches submitted, {len(self.ctx.batches)} to come')
        return ToContext(**jobs)

    def collect_batches(self) -> None:
        """Keep every energy that was finished, and the reason for every one that was not."""
        for name, (methods, frames) in self.ctx.running.items():
            node = self.ctx[name]
            lost = {method: list(range(len(frames))) for method in methods}
            reasons: dict[int, str] = {}
            if 'labelled' in node.outputs:
                self.ctx.labelled[name] = node.outputs.labelled
                found = node.outputs.labelled.get_snapshots()
                lost = {method: missing_labels(found, [method]) for method in methods}
                entries = node.outputs.failures['failed'] if 'failures' in node.outputs else []
                reasons = {entry['snapshot']: entry['reason'] for entry in entries}
            otherwise = node.exit_message or f'the job ended as {node.process_state}'
            for position, frame in enumerate(frames):
                if without := [method for method in methods if position in lost[method]]:
                    reason = reasons.get(position, otherwise)
                    self.ctx.failed.append({'snapshot': frame, 'methods': without, 'batch': name, 'reason': reason})
                    self.report(f'no {", ".join(without)} energy of snapshot {frame}: {reason}')

    def assemble_labels(self) -> ExitCode | None:
        """Put the labels onto the snapshots they belong to."""
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())
        if not self.ctx.labelled:
            return self.exit_codes.ERROR_NOTHING_LABELLED.format(reason=self.ctx.failed[0]['reason'])
        label = {'call_link_label': 'merge_labels'}
        self.out('snapshots', merge_labels(self.inputs.snapshots, science_hash(), metadata=label, **self.ctx.labelled))
        return None
