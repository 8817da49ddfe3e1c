"""LabelFramesWorkChain: wave-function energies of chosen frames, in batches."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.functions.take_frames import take_frames
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.cost import add_costs, cost_of, forecast, ran_anew
from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.engines.table import CORRELATION, correlation_engine, correlation_ports, refuse_jobs
from aiida_mlcc.jobs.inputs import merge
from aiida_mlcc.jobs.ports import count_port
from aiida_mlcc.jobs.rolling import RollingMixin
from aiida_mlcc.science.labels.labelling_plan import plan_batches
from aiida_mlcc.science.labels.merging import missing_labels
from aiida_mlcc.workflows.labelling.forecast import forecast_port, hours_of


class LabelFramesWorkChain(RollingMixin, WorkChain):
    """Frames that lack the same methods go into jobs together; one that fails is named and does not stop the others.

    A new batch starts as soon as one has ended.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input('frames', valid_type=orm.Dict, help='Method → indices of the frames to be labelled by it.')
        count_port(spec, 'batch_size', 8, 'Snapshots per job, or per job of integrals.')
        count_port(
            spec,
            'max_concurrent',
            4,
            'Batches at a time; for engines with separate jobs per snapshot, this number times `batch_size` snapshots.',
        )
        spec.input(
            'max_core_hours',
            valid_type=orm.Float,
            required=False,
            serializer=orm.to_aiida_type,
            validator=refuse_budget,
            help=('Stop and keep the finished labels if the first snapshot shows that all would cost more than this.'),
        )
        forecast_port(spec)
        settings_port(spec, 'engine', CORRELATION, help='The program, with all its settings.')
        correlation_ports(spec)
        spec.inputs.validator = _refuse
        spec.output('snapshots', valid_type=SnapshotsData, help='The snapshots of the input with the new labels.')
        spec.output('failures', valid_type=orm.Dict, help='Which frames failed, for which methods, and why.')
        spec.output('cost', valid_type=orm.Dict, help='Core hours, jobs and memory, with the forecast.')
        spec.outline(
            cls.plan_batches,
            while_(cls.work_left)(
                cls.fill_places,
                cls.collect_batches,
                cls.judge_cost,
            ),
            cls.assemble_labels,
        )
        spec.exit_code(310, 'ERROR_NOTHING_LABELLED', message='No snapshot was labelled. The first reason: {reason}')
        spec.exit_code(
            411,
            'ERROR_TOO_EXPENSIVE',
            message='{n_left} snapshots are left, which would cost about {forecast:.3g} core hours more: with '
            'the {spent:.3g} so far over the {limit:g} of `max_core_hours`. Finished labels are kept.',
        )

    def plan_batches(self) -> None:
        """Put the frames that lack the same methods into batches."""
        self.ctx.labelled, self.ctx.failed, self.ctx.n_submitted = {}, [], 0
        self.ctx.costs, self.ctx.telling, self.ctx.forecasts, self.ctx.left_out = [], [], [], []
        self.ctx.at_least = []
        self.ctx.spent = add_costs([])
        pilot = 'max_core_hours' in self.inputs
        size, self.ctx.n_places = self.inputs.batch_size.value, self.inputs.max_concurrent.value
        if not correlation_engine(self.inputs.engine).shares_jobs:
            size, self.ctx.n_places = 1, size * self.ctx.n_places
        self.ctx.running, self.ctx.pks = {}, {}
        self.ctx.batches = plan_batches(self.inputs.frames.get_dict(), size, pilot)
        if 'forecast' in self.inputs:
            found = self.inputs.forecast.get_dict()
            hours = sum(len(frames) * hours_of(found, methods) for methods, frames in self.ctx.batches)
            n_left = sum(len(frames) for _, frames in self.ctx.batches)
            entry = {'core_hours_spent': 0.0, 'core_hours_to_come': hours, 'n_left': n_left, 'from_dry_run': True}
            self.ctx.forecasts.append(entry)

    def work_left(self) -> bool:
        """Tell whether batches are left or running."""
        return bool(self.ctx.batches or self.ctx.running)

    def fill_places(self) -> ToContext:
        """Submit as many batches as may run beside those that do: waiting parents hold a worker's slots."""
        # As long as no batch tells what one costs, one at a time is dear enough.
        in_the_dark = 'max_core_hours' in self.inputs and not self.ctx.telling
        n_free = (1 if in_the_dark else self.ctx.n_places) - len(self.ctx.running)
        now, self.ctx.batches = self.ctx.batches[: max(n_free, 0)], self.ctx.batches[max(n_free, 0) :]
        jobs = {name: orm.load_node(self.ctx.pks[name]) for name in self.ctx.running}
        for methods, frames in now:
            name = f'batch_{self.ctx.n_submitted:03d}'
            self.ctx.n_submitted += 1
            snapshots = take_frames(
                self.inputs.snapshots,
                orm.List(frames),
                science_hash(take_frames),
                metadata={'call_link_label': f'take_{name}'},
            )
            jobs[name] = self.submit_batch(name, snapshots, orm.List(methods))
            self.ctx.running[name], self.ctx.pks[name] = (methods, frames), jobs[name].pk
        if now:
            self.report(f'{len(now)} batches submitted, {len(jobs)} running, {len(self.ctx.batches)} to come')
        return ToContext(**jobs)

    def submit_batch(self, name: str, snapshots: SnapshotsData, methods: orm.List) -> orm.ProcessNode:
        """Submit what labels a batch with the engine."""
        process, inputs = correlation_engine(self.inputs.engine).batch(self.inputs, snapshots, methods)
        return self.submit(process, **merge(inputs, {'metadata': {'call_link_label': name}}))

    def collect_batches(self) -> None:
        """Keep every energy of the batches that ended, and the reason for every one that is not there."""
        for name, (methods, frames) in list(self.ctx.running.items()):
            node = self.ctx[name]
            if not isinstance(node, orm.ProcessNode):
                continue
            del self.ctx.running[name]
            cost = cost_of([node])
            self.ctx.costs.append(cost)
            if 'labelled' in node.outputs and cost['n_jobs']:
                is_whole = ran_anew(node) and not cost['n_jobs_of_unknown_cost']
                evidence = self.ctx.telling if is_whole else self.ctx.at_least
                evidence.append((methods, len(frames), cost))
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

    def judge_cost(self) -> None:
        """Forecast what the rest will cost, those that are running included, and leave it where that is too much."""
        self.ctx.spent = add_costs(self.ctx.costs)
        # A batch partly from the cache, or with a job that died unseen, says at least how little the others will cost.
        evidence = self.ctx.telling or self.ctx.at_least
        spent, budget = self.ctx.spent['core_hours'], self.inputs.get('max_core_hours')
        is_spent = budget is not None and spent >= budget.value
        if not self.ctx.batches or not (evidence or is_spent):
            return
        left = [*self.ctx.batches, *self.ctx.running.values()]
        to_come, n_left = forecast(evidence, left), sum(len(frames) for _, frames in left)
        self.ctx.forecasts.append({'core_hours_spent': spent, 'core_hours_to_come': to_come, 'n_left': n_left})
        self.report(f'{spent:.3g} core hours spent; {n_left} snapshots to come, about {to_come:.3g} core hours')
        if is_spent or (budget is not None and spent + to_come > budget.value):
            self.ctx.left_out, self.ctx.batches = self.ctx.batches, []

    def assemble_labels(self) -> ExitCode | None:
        """Put the labels onto the snapshots they belong to."""
        limit = self.inputs.max_core_hours.value if 'max_core_hours' in self.inputs else None
        for methods, frames in self.ctx.left_out:
            reason = f'left out: all snapshots would cost more than the {limit:g} core hours of `max_core_hours`'
            self.ctx.failed += [{'snapshot': frame, 'methods': methods, 'reason': reason} for frame in frames]
        self.out('failures', orm.Dict({'failed': self.ctx.failed}).store())
        self.out('cost', orm.Dict({**self.ctx.spent, 'forecasts': self.ctx.forecasts}).store())
        if not self.ctx.labelled:
            return self.exit_codes.ERROR_NOTHING_LABELLED.format(reason=self.ctx.failed[0]['reason'])
        label = {'call_link_label': 'merge_labels'}
        self.out(
            'snapshots',
            merge_labels(self.inputs.snapshots, science_hash(merge_labels), metadata=label, **self.ctx.labelled),
        )
        if self.ctx.left_out:
            last = self.ctx.forecasts[-1]
            return self.exit_codes.ERROR_TOO_EXPENSIVE.format(
                n_left=sum(len(frames) for _, frames in self.ctx.left_out),
                forecast=last['core_hours_to_come'],
                spent=last['core_hours_spent'],
                limit=limit,
            )
        return None


def refuse_budget(node: orm.Float, _: Any) -> str | None:
    """Refuse a budget of nothing."""
    return None if node.value > 0 else f'must be above 0 core hours, not {node.value}'


def _refuse(inputs: Inputs, _: Any) -> str | None:
    return refuse_jobs(inputs) if {'snapshots', 'engine'} <= set(inputs) else None
