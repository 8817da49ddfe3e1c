"""What jobs cost: core hours and memory, as the programs and the scheduler say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from aiida import orm

from aiida_mlcc.engines.engine import SaidCost
from aiida_mlcc.engines.table import kinds
from aiida_mlcc.jobs.wall_time import cores_of, wall_seconds

_SECONDS_PER_HOUR = 3600.0


class Cost(TypedDict):
    """What jobs cost; the memory is that of the largest job, None where no program says it."""

    core_hours: float
    n_jobs: int
    n_jobs_of_unknown_cost: int
    largest_memory_gb: float | None


class JobSummary(TypedDict, total=False):
    """What the output `summary` of a job says of its cost."""

    mpi_ranks: int
    threads: int
    core_hours: float
    wall_seconds: float
    finished: bool
    memory_gb: float


@dataclass(frozen=True)
class JobCost:
    """What a job cost, at least; `is_known`: whether that is all."""

    core_hours: float
    is_known: bool
    memory_gb: float | None


def cost_of(processes: Iterable[orm.ProcessNode]) -> Cost:
    """Return what all jobs below `processes` cost together; those taken from the cache cost nothing.

    A job that died is charged with the wall time that the scheduler gives. Where there is none, it is charged with what
    its program printed before, which is less than it cost: such a job counts among those of unknown cost.

    :returns: ``core_hours``; ``n_jobs``; ``n_jobs_of_unknown_cost``; ``largest_memory_gb`` of a job, None where no
        program says it.
    """
    found = [job for job in _jobs_below(processes) if not job.base.caching.is_created_from_cache]
    summaries = _summaries_of(found)
    jobs = [_cost_of_job(job, summaries.get(job.pk, {})) for job in found]
    memory = [job.memory_gb for job in jobs if job.memory_gb is not None]
    return {
        'core_hours': float(sum(job.core_hours for job in jobs)),
        'n_jobs': len(jobs),
        'n_jobs_of_unknown_cost': sum(not job.is_known for job in jobs),
        'largest_memory_gb': max(memory, default=None),
    }


def ran_anew(process: orm.ProcessNode) -> bool:
    """Tell whether every job below `process` ran: what comes from the cache says nothing of what others will cost."""
    jobs = _jobs_below([process])
    return bool(jobs) and not any(job.base.caching.is_created_from_cache for job in jobs)


def add_costs(costs: Iterable[Cost]) -> Cost:
    """Return the cost of all together."""
    all_costs = list(costs)
    memory = [cost['largest_memory_gb'] for cost in all_costs if cost['largest_memory_gb'] is not None]
    return {
        'core_hours': sum(cost['core_hours'] for cost in all_costs),
        'n_jobs': sum(cost['n_jobs'] for cost in all_costs),
        'n_jobs_of_unknown_cost': sum(cost['n_jobs_of_unknown_cost'] for cost in all_costs),
        'largest_memory_gb': max(memory, default=None),
    }


def forecast(
    finished: Sequence[tuple[Sequence[str], int, Cost]],
    left: Sequence[tuple[Sequence[str], Sequence[int]]],
) -> float:
    """Return the core hours of what is left: a frame costs what those before it cost on average.

    :param finished: methods, number of frames and cost of each batch.
    :param left: methods and frames of each batch to come; methods of which no frame is finished are taken to cost as
        much as the costliest of which there is one.
    """
    spent: dict[tuple[str, ...], list[float]] = {}
    for methods, n_frames, cost in finished:
        total = spent.setdefault(tuple(methods), [0.0, 0])
        total[0] += cost['core_hours']
        total[1] += n_frames
    each = {methods: hours / n_frames for methods, (hours, n_frames) in spent.items()}
    most = max(each.values(), default=0.0)
    return sum(each.get(tuple(methods), most) * len(frames) for methods, frames in left)


def _jobs_below(processes: Iterable[orm.ProcessNode]) -> list[orm.CalcJobNode]:
    """Return the jobs among `processes` and below them, in the order of their making.

    A query for each level, and not one for each process: of a batch there are dozens.
    """
    callers = list(processes)
    found = {node.pk: node for node in callers if isinstance(node, orm.CalcJobNode)}
    level = [node.pk for node in callers]
    while level:
        jobs = orm.QueryBuilder().append(orm.WorkflowNode, filters={'id': {'in': level}}, tag='caller')
        workflows = orm.QueryBuilder().append(orm.WorkflowNode, filters={'id': {'in': level}}, tag='caller')
        jobs.append(orm.CalcJobNode, with_incoming='caller')
        found.update({node.pk: node for node in jobs.all(flat=True)})
        level = workflows.append(orm.WorkflowNode, with_incoming='caller', project='id').all(flat=True)
    return [node for _, node in sorted(found.items())]


def _summaries_of(jobs: Sequence[orm.CalcJobNode]) -> dict[int, JobSummary]:
    """Return job → its output `summary`, for those that have one."""
    query = orm.QueryBuilder()
    query.append(orm.CalcJobNode, filters={'id': {'in': [job.pk for job in jobs]}}, tag='job', project='id')
    query.append(orm.Dict, with_incoming='job', edge_filters={'label': 'summary'}, project='attributes')
    return dict(query.all()) if jobs else {}


def _cost_of_job(job: orm.CalcJobNode, summary: JobSummary) -> JobCost:
    said = _said_by_summary(job, summary) if summary else _said_by_program(job)
    hours, is_known = said.core_hours or 0.0, said.is_complete
    if not is_known and (seconds := wall_seconds(job)) is not None:
        hours, is_known = max(hours, (said.cores or cores_of(job)) * seconds / _SECONDS_PER_HOUR), True
    return JobCost(hours, is_known, said.memory_gb)


def _said_by_summary(job: orm.CalcJobNode, summary: JobSummary) -> SaidCost:
    cores = summary['mpi_ranks'] * summary.get('threads', 1) if 'mpi_ranks' in summary else cores_of(job)
    hours = summary.get('core_hours')
    if hours is None and 'wall_seconds' in summary:
        hours = cores * summary['wall_seconds'] / _SECONDS_PER_HOUR
    is_complete = hours is not None and summary.get('finished', True)
    return SaidCost(hours, is_complete, cores, summary.get('memory_gb'))


def _said_by_program(job: orm.CalcJobNode) -> SaidCost:
    return next((found for engine in kinds() if (found := engine.cost_of(job)) is not None), SaidCost())
