"""What every parser of a job of the runtime has in common: how a job that failed or left half a file ends."""

import json

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.plugins import CalculationFactory, ParserFactory

from aiida_mlcc.calculations.evaluate import EvaluateCalculation
from tests.crystals import rocksalt, springs


class Verdict:
    """Parses a job with this ``output.json`` and these files in `folder`, and gives its exit code."""

    def __init__(self, computer, folder):
        self.computer, self.folder = computer, folder

    def __call__(self, output, task='evaluate', **files):
        process = CalculationFactory(f'mlcc.{task}')
        node = orm.CalcJobNode(computer=self.computer, process_type=process.build_process_type())
        if task == 'integrals':
            node.base.links.add_incoming(orm.Bool(True).store(), LinkType.INPUT_CALC, 'label_hf')
        node.store()
        retrieved = orm.FolderData()
        retrieved.base.repository.put_object_from_bytes(json.dumps(output).encode(), 'output.json')
        retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='retrieved')
        retrieved.store()
        for name, content in files.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_bytes(content)
        return ParserFactory(f'mlcc.{task}')(node).parse(retrieved_temporary_folder=str(self.folder))


@pytest.fixture
def verdict(python, tmp_path):
    """Return what parses a job."""
    return Verdict(python.computer, tmp_path)


@pytest.mark.parametrize(
    ('reason', 'name'),
    [('error', 'ERROR_TASK_FAILED'), ('computer', 'ERROR_COMPUTER'), ('resources', 'ERROR_OUT_OF_RESOURCES')],
)
def test_the_reason_of_a_failure_decides_the_exit_code(verdict, reason, name):
    code = verdict({'final': False, 'reason': reason, 'message': 'The disk is full.'})
    assert code.status == EvaluateCalculation.exit_codes[name].status
    assert code.message == 'The disk is full.'


ARCHIVE = b'PK\x03\x04' + bytes(60)
"""The start of a zip archive without its end, which raises an error of its own."""


@pytest.mark.parametrize(
    ('task', 'files'),
    [
        ('evaluate', {'evaluated_engine.npz': ARCHIVE}),
        ('correlate', {'labelled.npz': ARCHIVE}),
        ('integrals', {'labelled.npz': ARCHIVE}),
        ('md', {'trajectory.npz': ARCHIVE}),
        ('md', {'vacf.npz': b''}),
        ('train', {}),
        ('train', {'force_field/force_field.json': b'{"format"'}),
        ('train', {'weights.safetensors': bytes(40)}),
        ('fit', {'delta_hf/force_field.json': b''}),
        ('fit', {'samples_hf.npz': ARCHIVE}),
    ],
    ids=lambda value: value if isinstance(value, str) else '+'.join(value) or 'none',
)
def test_a_truncated_result_is_unreadable_and_not_an_exception(verdict, task, files):
    if 'weights.safetensors' in files:
        springs(rocksalt()).save(verdict.folder / 'force_field')
        files = {f'force_field/{name}': content for name, content in files.items()}
    code = verdict({'final': True, 'failures': []}, task, **files)
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
