"""How long a job ran and on how many cores, as the scheduler and AiiDA say it."""

from __future__ import annotations

import re

from aiida import orm

from aiida_mlcc.parsers.parse_raw.scheduler import Accounting

_ELAPSED = re.compile(r'(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)')
_OF_CPU_TIME = 'core.direct'
"""Without a scheduler AiiDA takes the CPU time of the job's shell for its wall time."""


def wall_seconds(job: orm.CalcJobNode) -> float | None:
    """Return how long the scheduler says a job ran; None where it says nothing.

    The accounting after the job's end (``sacct`` of Slurm) goes before what was seen when it was last polled, which may
    be short by the interval of polling.
    """
    if job.computer is not None and job.computer.scheduler_type == _OF_CPU_TIME:
        return None
    if (detailed := _seconds_of_accounting(job.get_detailed_job_info())) is not None:
        return detailed
    if (info := job.get_last_job_info()) is None:
        return None
    begin, end = info.get('dispatch_time'), info.get('finish_time')
    polled = float(info.get('wallclock_time_seconds') or 0.0)
    passed = (end - begin).total_seconds() if begin is not None and end is not None else 0.0
    return max(polled, passed) or None


def cores_of(job: orm.CalcJobNode) -> int:
    """Return how many cores a job was given; one where its resources do not say."""
    resources = job.get_option('resources') or {}
    machines = resources.get('num_machines', 1)
    ranks = resources.get('tot_num_mpiprocs') or machines * resources.get('num_mpiprocs_per_machine', 1)
    per_machine = resources.get('num_cores_per_machine')
    return per_machine * machines if per_machine else ranks * resources.get('num_cores_per_mpiproc', 1)


def _seconds_of_accounting(accounting: Accounting | None) -> float | None:
    """Return the elapsed time in the output of ``sacct --parsable``: a head, and the job itself in the first line."""
    detailed: Accounting = accounting or {}
    lines = str(detailed.get('stdout') or '').splitlines()
    if detailed.get('retval') or len(lines) < 2:
        return None
    row = dict(zip(lines[0].split('|'), lines[1].split('|'), strict=False))
    if (raw := row.get('ElapsedRaw', '')).isdigit():
        return float(raw)
    if (found := _ELAPSED.fullmatch(row.get('Elapsed', ''))) is None:
        return None
    part = {name: int(value or 0) for name, value in found.groupdict().items()}
    return 60.0 * (60 * (24 * part['days'] + part['hours']) + part['minutes']) + part['seconds']
