"""What WorkChains with one job for each frame have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs, Step
from aiida_mlcc.jobs.inputs import batches
from aiida_mlcc.jobs.ports import count_port
from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.merging import common_source


class SinglePointsWorkChain(WorkChain):
    """A frame that fails is named and does not stop the others, unless all of the first batch fail.

    A subclass declares `engine` and where its program runs, and says what a job is and how its label is read.
    """

    PROGRAM: ClassVar[str]
    """What the program is called in reports."""

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
        count_port(spec, 'max_concurrent', 4, 'Jobs at a time.')
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

    @abstractmethod
    def take_structures(self, frames: orm.List, label: str) -> Mapping[str, orm.StructureData]:
        """Return ``frame_N`` → the structure of frame N, taken by a calcfunction with this call link label."""

    @abstractmethod
    def single_point(self, structure: orm.StructureData, label: str) -> Step:
        """Return the job of one structure and its inputs, with this call link label."""

    @staticmethod
    @abstractmethod
    def why_no_label(node: orm.CalcJobNode) -> str | None:
        """Return why a job gives no label, in a sentence, or None."""

    @abstractmethod
    def read_labels(self, retrieved: Mapping[str, orm.FolderData], label: str) -> SnapshotsData:
        """Return snapshots with the labels of ``frame_N``, read by a calcfunction with this call link label."""

    def plan_batches(self) -> None:
        """Put as many frames into a batch as may run at a time."""
        self.ctx.labelled, self.ctx.failed = {}, []
        frames = chosen_frames(self.inputs)
        self.ctx.batches = batches(frames, self.inputs.max_concurrent.value)
        self.report(f'{self.inputs.engine["method"]} energies and forces of {len(frames)} frames by {self.PROGRAM}')

    def batches_left(self) -> bool:
        """Tell whether batches are left."""
        return bool(self.ctx.batches)

    def submit_next_batch(self) -> ToContext:
        """Submit one job for each frame of the next batch."""
        self.ctx.running = self.ctx.batches.pop(0)
        structures = self.take_structures(orm.List(self.ctx.running), f'take_frames_{self.ctx.running[0]}')
        jobs = {}
        for name, structure in structures.items():
            process, inputs = self.single_point(structure, name)
            jobs[name] = self.submit(process, **inputs)
        return ToContext(**jobs)

    def collect_batch(self) -> None:
        """Keep every label that converged, and the reason for every one that did not."""
        method, finished = self.inputs.engine['method'], {}
        for frame in self.ctx.running:
            node = self.ctx[f'frame_{frame}']
            if (reason := self.why_no_label(node)) is None:
                finished[f'frame_{frame}'] = node.outputs.retrieved
                continue
            self.ctx.failed.append({'snapshot': frame, 'methods': [method], 'job': node.pk, 'reason': reason})
            self.report(f'no {method} label of snapshot {frame}: {reason}')
        if finished:
            name = f'batch_{len(self.ctx.labelled):03d}'
            self.ctx.labelled[name] = self.read_labels(finished, name)
        if not self.ctx.labelled and len(self.ctx.running) > 1:
            self.leave_out_the_others()

    def leave_out_the_others(self) -> None:
        """Try no more frames where all of the first batch failed, as those of a metal with fixed occupations do."""
        left = [frame for batch in self.ctx.batches for frame in batch]
        if not left:
            return
        first, methods = len(self.ctx.running), [self.inputs.engine['method']]
        reason = f'it was not tried, because none of the first {first} frames has a label'
        self.ctx.failed += [{'snapshot': frame, 'methods': methods, 'reason': reason} for frame in left]
        self.ctx.batches = []
        self.report(f'{len(left)} frames are not tried: none of the first {first} has a label')

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


def chosen_frames(inputs: Inputs) -> list[int]:
    """Return the indices of the frames that are to be labelled."""
    return inputs['frames'].get_list() if 'frames' in inputs else list(range(inputs['snapshots'].n_frames))


def refuse_frames(inputs: Inputs, source: Source) -> str | None:
    """Return why the frames cannot be labelled, in a sentence, or None.

    :param inputs: `snapshots`, `engine` and perhaps `frames`.
    :param source: what the labels will say of their source.
    """
    snapshots, frames = inputs['snapshots'], chosen_frames(inputs)
    if not frames:
        return '`frames` names no frame'
    if wrong := [f for f in frames if isinstance(f, bool) or not isinstance(f, int) or not 0 <= f < snapshots.n_frames]:
        return f'`frames` names {wrong[0]!r}, but the snapshots are 0 to {snapshots.n_frames - 1}'
    if len(set(frames)) < len(frames):
        return f'`frames` names a frame twice: {frames}'
    method = inputs['engine']['method']
    if (there := snapshots.get_snapshots().labels.get(method)) is None:
        return None
    if there.labelled[frames].any():
        first = next(frame for frame in frames if there.labelled[frame])
        return f'snapshot {first} already has a {method} label: leave it out of `frames`'
    try:
        common_source(method, there.source, source)
    except ValueError as error:
        return str(error)
    return None
