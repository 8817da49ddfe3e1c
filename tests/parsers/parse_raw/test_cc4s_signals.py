"""How a crash of Cc4s is told: each MPI, scheduler and shell has words of its own."""

import pytest

from aiida_mlcc.parsers.parse_raw.cc4s import parse_stdout


@pytest.mark.parametrize(
    ('text', 'signal'),
    [
        ('mpirun noticed that process rank 0 with PID 0 on node n exited on signal 8 (Floating point exception).', 8),
        ('[node:1] Signal: Floating point exception (8)', 8),
        ('YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Floating point exception (signal 8)', 8),
        ('YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)', 9),
        ('=   KILLED BY SIGNAL: 11 (Segmentation fault)', 11),
        ('srun: error: n01: tasks 0-3,5: Floating point exception (core dumped)', 8),
        ('srun: error: n01: task 0: Killed', 9),
        ('_aiidasubmit.sh: line 17:  4711 Floating point exception(core dumped) /opt/Cc4s -i cc4s.in', 8),
        ('/bin/bash: line 1: 4711 Segmentation fault', 11),
    ],
)
def test_signal_is_read(text, signal):
    assert parse_stdout(f'step: 7, PerturbativeTriples\n{text}\n')['signal'] == signal


def test_no_signal_is_none():
    assert 'signal' not in parse_stdout('step: 7, PerturbativeTriples\nKilled time with signal processing\n')
