"""How a job ended, from what Slurm's accounting and Slurm's standard error say."""

import pytest

from aiida_mlcc.parsers.parse_raw.scheduler import UNKNOWN, how_it_ended

HEAD = 'AllocCPUS|Account|State|Elapsed|'


def accounting(state: str, retval: int = 0) -> dict[str, object]:
    """Return what AiiDA keeps of ``sacct --parsable``."""
    return {'retval': retval, 'stdout': f'{HEAD}\n1|phonons|{state}|00:10:00|\n1|phonons|COMPLETED|00:10:00|\n'}


@pytest.mark.parametrize(
    ('state', 'told'),
    [
        ('CANCELLED by 1000', 'scancel'),
        ('TIMEOUT', 'wall time'),
        ('OUT_OF_MEMORY', 'memory that it was given'),
        ('NODE_FAIL', 'node failed'),
        ('PREEMPTED', 'preempted'),
    ],
)
def test_the_accounting_says_why(state: str, told: str) -> None:
    assert told in how_it_ended(accounting(state), None)


@pytest.mark.parametrize(
    ('line', 'told'),
    [
        ('slurmstepd: error: *** JOB 7 ON c1 CANCELLED AT 2026-11-30T10:00:00 DUE TO TIME LIMIT ***', 'wall time'),
        ('slurmstepd: error: *** JOB 7 ON c1 CANCELLED AT 2026-11-30T10:00:00 ***', 'scancel'),
        ('slurmstepd-c1: error: *** JOB 7 ON c1 CANCELLED AT 2026-11-30T10:00:00 ***', 'scancel'),
        ('slurmstepd: error: *** JOB 7 ON c1 CANCELLED AT 2026-11-30T10:00:00 DUE TO PREEMPTION ***', 'preempted'),
        ('slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.', 'memory that it was given'),
    ],
)
def test_without_accounting_the_scheduler_s_standard_error_does(line: str, told: str) -> None:
    assert told in how_it_ended(None, f'something else\n{line}\n')


@pytest.mark.parametrize('found', [None, {}, accounting('FAILED'), accounting('TIMEOUT', retval=1)])
def test_where_nothing_is_known_nothing_is_claimed(found: dict[str, object] | None) -> None:
    assert how_it_ended(found, '') == UNKNOWN
