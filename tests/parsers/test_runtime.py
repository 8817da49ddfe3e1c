"""What every parser of a job of the runtime has in common: how a job that failed or left half a file ends."""

import json

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_mlcc.calculations.evaluate import EvaluateCalculation
from aiida_mlcc.parsers.evaluate import EvaluateParser


@pytest.fixture
def verdict(python, tmp_path):
    """Return what parses a job with this ``output.json`` and these files, and gives its exit code."""

    def parse(output, **files):
        node = orm.CalcJobNode(computer=python.computer, process_type=EvaluateCalculation.build_process_type()).store()
        retrieved = orm.FolderData()
        retrieved.base.repository.put_object_from_bytes(json.dumps(output).encode(), 'output.json')
        retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='retrieved')
        retrieved.store()
        for name, content in files.items():
            (tmp_path / f'{name}.npz').write_bytes(content)
        return EvaluateParser(node).parse(retrieved_temporary_folder=str(tmp_path))

    return parse


@pytest.mark.parametrize(
    ('reason', 'name'),
    [('error', 'ERROR_TASK_FAILED'), ('computer', 'ERROR_COMPUTER'), ('resources', 'ERROR_OUT_OF_RESOURCES')],
)
def test_the_reason_of_a_failure_decides_the_exit_code(verdict, reason, name):
    code = verdict({'final': False, 'reason': reason, 'message': 'The disk is full.'})
    assert code.status == EvaluateCalculation.exit_codes[name].status
    assert code.message == 'The disk is full.'


def test_a_truncated_result_is_unreadable_and_not_an_exception(verdict):
    """The start of a zip archive without its end raises an error of its own."""
    code = verdict({'final': True, 'failures': []}, evaluated_engine=b'PK\x03\x04' + bytes(60))
    assert code.status == EvaluateCalculation.exit_codes.ERROR_UNREADABLE_RESULT.status


CANCELLED = 'slurmstepd: error: *** JOB 7 ON c1 CANCELLED AT 2026-11-30T10:00:00 ***'
OUT_OF_TIME = 'slurmstepd: error: *** JOB 7 ON c1 CANCELLED AT 2026-11-30T10:00:00 DUE TO TIME LIMIT ***'
STOPPED = {'final': False, 'reason': 'signal'}
"""Of a job that SIGTERM asked to stop: by ``scancel``, or at the end of its time."""


@pytest.mark.parametrize(
    ('output', 'lines', 'name', 'told'),
    [
        (None, CANCELLED, 'ERROR_INTERRUPTED', 'cancelled by hand, as scancel does'),
        (STOPPED, CANCELLED, 'ERROR_INTERRUPTED', 'cancelled by hand, as scancel does'),
        (STOPPED, '', 'ERROR_INTERRUPTED', 'stopped by SIGTERM'),
        (None, OUT_OF_TIME, 'ERROR_OUT_OF_WALLTIME', 'Out of time after nothing'),
        (STOPPED, OUT_OF_TIME, 'ERROR_OUT_OF_WALLTIME', 'Out of time after nothing'),
    ],
    ids=['killed', 'stopped', 'unknown', 'killed late', 'stopped late'],
)
def test_a_job_cut_short_is_told_with_the_scheduler_s_reason(verdict, monkeypatch, output, lines, name, told):
    """Slurm without accounting tells a cancelled job from one out of time on its standard error alone."""
    monkeypatch.setattr(orm.CalcJobNode, 'get_scheduler_stderr', lambda self: lines)
    code = verdict(output)
    assert code.status == EvaluateCalculation.exit_codes[name].status
    assert told in code.message
