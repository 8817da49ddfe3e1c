"""What jobs cost: core hours, memory and disk, as far as the programs say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiida import orm

from aiida_mlcc.engines.table import engines

_SECONDS_PER_HOUR = 3600.0


def cost_of(processes: Iterable[orm.ProcessNode]) -> dict[str, Any]:
    """Return what all jobs below `processes` cost together; those taken from the cache cost nothing.

    :returns: ``core_hours``; ``n_jobs``; ``n_jobs_of_unknown_cost``, killed ones among them; ``largest_memory_gb`` of
        a job, None where no program says it.
    """
    found = [job for job in _jobs_below(processes) if not job.base.caching.is_created_from_cache]
    summaries = _summaries_of(found)
    jobs = [_cost_of_job(job, summaries.get(job.pk, {})) for job in found]
    hours = [job['core_hours'] for job in jobs if job['core_hours'] is not None]
    memory = [job['memory_gb'] for job in jobs if job['memory_gb'] is not None]
    return {
        'core_hours': float(sum(hours)),
        'n_jobs': len(jobs),
        'n_jobs_of_unknown_cost': len(jobs) - len(hours),
        'largest_memory_gb': max(memory, default=None),
    }


def ran_anew(process: orm.ProcessNode) -> bool:
    """Tell whether every job below `process` ran: what comes from the cache says nothing of what others will cost."""
    jobs = _jobs_below([process])
    return bool(jobs) and not any(job.base.caching.is_created_from_cache for job in jobs)


def add_costs(costs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the cost of all together."""
    all_costs = list(costs)
    names = ('core_hours', 'n_jobs', 'n_jobs_of_unknown_cost')
    memory = [cost['largest_memory_gb'] for cost in all_costs if cost['largest_memory_gb'] is not None]
    total: dict[str, Any] = {name: sum(cost[name] for cost in all_costs) for name in names}
    return {**total, 'largest_memory_gb': max(memory, default=None)}


def forecast(
    finished: Sequence[tuple[Sequence[str], int, Mapping[str, Any]]],
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


def _summaries_of(jobs: Sequence[orm.CalcJobNode]) -> dict[int, dict[str, Any]]:
    """Return job → its output `summary`, for those that have one."""
    query = orm.QueryBuilder()
    query.append(orm.CalcJobNode, filters={'id': {'in': [job.pk for job in jobs]}}, tag='job', project='id')
    query.append(orm.Dict, with_incoming='job', edge_filters={'label': 'summary'}, project='attributes')
    return dict(query.all()) if jobs else {}


def _cost_of_job(job: orm.CalcJobNode, summary: Mapping[str, Any]) -> dict[str, float | None]:
    if not summary:
        for engine in engines():
            if (found := engine.cost_of(job)) is not None:
                return found
    hours = summary.get('core_hours')
    if hours is None and 'wall_seconds' in summary:
        hours = _cores_of(job) * summary['wall_seconds'] / _SECONDS_PER_HOUR
    return {'core_hours': hours, 'memory_gb': summary.get('memory_gb')}


def _cores_of(job: orm.CalcJobNode) -> int:
    """Return how many cores a job was given; one where its resources do not say."""
    resources = job.get_option('resources') or {}
    machines = resources.get('num_machines', 1)
    ranks = resources.get('tot_num_mpiprocs') or machines * resources.get('num_mpiprocs_per_machine', 1)
    per_machine = resources.get('num_cores_per_machine')
    return per_machine * machines if per_machine else ranks * resources.get('num_cores_per_mpiproc', 1)
