"""Why VASP stopped, by what it, the kernel and the schedulers write."""

import pytest

from aiida_mlcc.parsers.parse_raw.vasp_failure import MEMORY, SYMMETRY, TIME, why_stopped


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***', TIME),
        ('=>> PBS: job killed: walltime 3605 exceeded limit 3600', TIME),
        ('slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.0.', MEMORY),
        ('forrtl: severe (41): insufficient virtual memory', MEMORY),
        (' VERY BAD NEWS! internal error in subroutine IBZKPT:', SYMMETRY),
        (' VERY BAD NEWS! internal error in subroutineSGRCON:', SYMMETRY),
        (' POSMAP internal error: symmetry equivalent atom not found,', SYMMETRY),
        (' RHOSYG internal error: stars are not distinct, try to increase SYMPREC', SYMMETRY),
        (' inverse of rotation matrix was not found (increase SYMPREC)', SYMMETRY),
        (' internal error in subroutine RSPHER', None),
        (' LATTYP: Found a simple cubic cell.', None),
        ('', None),
    ],
)
def test_each_reason_is_told_by_its_message(text, reason):
    assert why_stopped(text) == reason
