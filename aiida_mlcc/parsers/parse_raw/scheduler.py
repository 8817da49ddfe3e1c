"""How a job ended, in the scheduler's words: ``sacct`` after its end, or what was written on its standard error."""

from __future__ import annotations

import re
from typing import TypedDict

SAYS_TIME = re.compile(
    r'DUE TO TIME LIMIT|walltime \d+ exceeded limit|job killed: walltime|TERM_RUNLIMIT|exceeded .*wall.?time',
    re.IGNORECASE,
)
"""What Slurm, PBS and LSF write where a job ran out of its wall time."""
SAYS_MEMORY = re.compile(
    r'std::bad_alloc|oom[-_ ]kill|out of memory|cannot allocate memory|exceeded .*memory limit|TERM_MEMLIMIT',
    re.IGNORECASE,
)
"""What they, the kernel and programs write where there was not memory enough."""

UNKNOWN = 'killed, out of memory, disk full?'
OUT_OF_TIME = 'out of the wall time that it was given'

_OF_STATES = {
    'CANCELLED': 'cancelled by hand, as scancel does',
    'TIMEOUT': OUT_OF_TIME,
    'OUT_OF_MEMORY': 'out of the memory that it was given',
    'NODE_FAIL': 'its node failed',
    'PREEMPTED': 'preempted by another job',
}
_IN_STDERR = (
    (re.compile(r'DUE TO TIME LIMIT|walltime .*exceeded limit'), 'TIMEOUT'),
    (re.compile(r'oom[-_ ]kill|exceeded memory limit|memory limit exceeded', re.IGNORECASE), 'OUT_OF_MEMORY'),
    (re.compile(r'DUE TO NODE FAILURE'), 'NODE_FAIL'),
    (re.compile(r'DUE TO PREEMPTION'), 'PREEMPTED'),
    (re.compile(r'slurmstepd\S*: error: \*\*\* (?:JOB|STEP) .* CANCELLED AT'), 'CANCELLED'),
)
"""Phrases of Slurm and PBS Pro → Slurm's name of the state; the first that is found."""


class Accounting(TypedDict, total=False):
    """What ``sacct --parsable`` said of a job, as AiiDA keeps it."""

    retval: int
    stdout: str
    stderr: str


def how_it_ended(accounting: Accounting | None, stderr: str | None, otherwise: str = UNKNOWN) -> str:
    """Say in words why a job was ended, `otherwise` where the scheduler does not say.

    :param accounting: ``stdout`` and ``retval`` of ``sacct --parsable``, as AiiDA keeps them.
    :param stderr: the scheduler's standard error of the job.
    """
    state = _state_of(accounting or {}) or next((s for phrase, s in _IN_STDERR if phrase.search(stderr or '')), '')
    return _OF_STATES.get(state, otherwise)


def _state_of(accounting: Accounting) -> str:
    """Return the first word of the job's state, such as ``CANCELLED`` of ``CANCELLED by 1000``."""
    lines = str(accounting.get('stdout') or '').splitlines()
    if accounting.get('retval') or len(lines) < 2:
        return ''
    row = dict(zip(lines[0].split('|'), lines[1].split('|'), strict=False))
    state = row.get('State', '').split()[:1]
    return state[0] if state and state[0] in _OF_STATES else ''
