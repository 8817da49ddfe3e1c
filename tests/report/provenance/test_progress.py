"""How far a run is."""

import json
from datetime import UTC, datetime

import pytest
from aiida import orm
from aiida.common.datastructures import CalcJobState
from aiida.common.links import LinkType
from aiida.schedulers import JobState
from plumpy import ProcessState

from aiida_mlcc.cli.status import line_of
from aiida_mlcc.report.provenance.progress import how_far, job_progress, last_line, running_jobs, stage, survey, words


@pytest.fixture
def unfinished(run, tmp_path):
    """Return a run in its second stage, with one job at work in `tmp_path`."""
    master, first, second = _workchain('waiting').store(), _workchain('finished'), _workchain('waiting')
    for name, child in (('dft_md', first), ('cc_energies', second)):
        child.base.links.add_incoming(master, LinkType.CALL_WORK, name)
        child.store()
    job = orm.CalcJobNode(computer=orm.load_computer('reports'))
    job.set_process_label('CorrelateCalculation')
    job.set_process_state(ProcessState.WAITING)
    job.set_option('resources', {'num_machines': 1})
    job.base.links.add_incoming(second, LinkType.CALL_CALC, 'batch_000')
    job.store()
    job.set_remote_workdir(str(tmp_path))
    return master


def _workchain(state):
    node = orm.WorkChainNode()
    node.set_process_label('SomeWorkChain')
    node.set_process_state(ProcessState(state))
    if state == 'finished':
        node.set_exit_status(0)
    return node


def test_the_stage_is_the_one_at_work(unfinished):
    root = survey(unfinished)
    assert [child.name for child in root.children] == ['dft_md', 'cc_energies']
    assert stage(root).name == 'cc_energies'


def test_a_running_job_is_asked_how_far_it_is(unfinished, tmp_path):
    line = {'done': 3, 'total': 16, 'unit': 'snapshot', 'seconds': 2.0, 'energy_eV': -1.25}
    (tmp_path / 'progress.jsonl').write_text(json.dumps({'done': 2}) + '\n' + json.dumps(line) + '\n{"done": 4, "tot')
    (job,) = running_jobs(survey(unfinished))
    assert job.is_local
    assert words(job_progress(job)) == 'snapshot 3 of 16, energy_eV -1.25'


def test_a_job_without_a_progress_file_waits(unfinished):
    (job,) = running_jobs(survey(unfinished))
    assert words(job_progress(job)) == 'waiting to start'


def test_a_job_that_writes_no_progress_is_as_far_as_its_scheduler_says(unfinished):
    (step,) = running_jobs(survey(unfinished))
    job = orm.load_node(step.pk)
    job.set_process_label('Cc4sCalculation')
    assert how_far(running_jobs(survey(unfinished))[0]) == 'waiting', 'nothing is known but the state'
    job.set_scheduler_state(JobState.QUEUED)
    assert how_far(running_jobs(survey(unfinished))[0]) == 'queued'


REFUSED = """Traceback (most recent call last):
  File "execmanager.py", line 1, in submit_calculation
aiida.schedulers.scheduler.SchedulerError: Error during submission, retval=1
stdout=
stderr=sbatch: error: Memory specification can not be satisfied
"""


@pytest.fixture(params=[CalcJobState.SUBMITTING, CalcJobState.UNSTASHING])
def refused(request, unfinished):
    """Return the job of the run as AiiDA leaves it when the scheduler has refused it."""
    (step,) = running_jobs(survey(unfinished))
    job = orm.load_node(step.pk)
    job.set_state(request.param)
    for number, message in enumerate(('Traceback\nOSError: an older error', REFUSED)):
        time = datetime(2026, 1, 1, 0, number, tzinfo=UTC)
        orm.Log(time, 'aiida', 'ERROR', job.pk, message).store()
    return job


def test_a_job_that_the_scheduler_refuses_is_not_waiting_to_start(unfinished, refused):
    (step,) = running_jobs(survey(unfinished))
    assert how_far(step) == (
        'being submitted; the last try failed: Error during submission, retval=1 stdout= stderr=sbatch: error: Memory '
        'specification can not be satisfied'
    )


def test_a_job_that_was_refused_every_time_is_paused_with_its_reason_and_what_to_do(unfinished, refused):
    refused.pause()
    line = line_of(running_jobs(survey(unfinished))[0])
    assert 'PAUSED. The submission failed every time: Error during submission' in line
    assert line.endswith(f'Fix this, then run `verdi process play {refused.pk}`. The job waits until then.')
    assert line.count('PAUSED') == 1


def test_an_error_without_words_is_no_reason(unfinished):
    (step,) = running_jobs(survey(unfinished))
    job = orm.load_node(step.pk)
    job.set_state(CalcJobState.UPLOADING)
    orm.Log(datetime(2026, 1, 1, tzinfo=UTC), 'aiida', 'ERROR', job.pk, ' \n').store()
    assert how_far(running_jobs(survey(unfinished))[0]) == 'being uploaded'


def test_what_is_paused_elsewhere_is_said_to_be_so_with_what_to_do(unfinished):
    for step in (running_jobs(survey(unfinished))[0], stage(survey(unfinished))):
        orm.load_node(step.pk).pause()
    root = survey(unfinished)
    for step in (running_jobs(root)[0], stage(root)):
        how = how_far(step)
        assert how.startswith('waiting'), 'its state comes first'
        assert how.endswith(f', PAUSED: see `verdi process report {step.pk}`, then `verdi process play {step.pk}`')


def test_a_queued_job_is_queued_and_one_that_runs_is_not_waiting(unfinished):
    job = orm.load_node(running_jobs(survey(unfinished))[0].pk)
    for state in (JobState.QUEUED, JobState.RUNNING):
        job.set_scheduler_state(state)
        assert how_far(running_jobs(survey(unfinished))[0]) == f'{state.value}, no progress yet'


def test_a_failed_process_is_told_from_one_that_is_not_over(run):
    root = survey(run.master)
    assert root.is_over
    assert not any(step.is_failed for step in root.walk())
    assert sum(step.is_job for step in root.walk()) == 5


@pytest.mark.parametrize('text', ['', 'not json', '[1, 2]', '{"done":'])
def test_a_file_without_a_whole_line_tells_nothing(text):
    assert last_line(text) is None
