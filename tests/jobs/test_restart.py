"""Resuming, handler by handler, without running a job."""

import json

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ExitCode
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_mlcc.calculations.md import MdCalculation
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.jobs.restart import MdRestartWorkChain
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.workflows.sampling.dft_md import DFTMDWorkChain
from tests.crystals import rocksalt, springs


@pytest.fixture
def restart(python):
    """A restart WorkChain that has been set up, and no more."""
    inputs = DFTMDWorkChain.get_protocol_inputs('fast')
    job = {
        'code': python,
        'start': SnapshotsData(Snapshots.from_atoms([rocksalt()])),
        'force_field': ForceFieldData(springs(rocksalt())),
        'seed': orm.Int(1),
        'parameters': orm.Dict({**inputs['md']['parameters'], 'time_step_fs': 1.0}),
    }
    process = instantiate_process(get_manager().get_runner(), MdRestartWorkChain, job=job)
    process.setup()
    process.ctx.iteration = 1
    return process


@pytest.fixture
def finished_job(python):
    """Make a job that ended with an exit status after a number of steps."""

    def make(status: int, done: int | None, message: str = '') -> orm.CalcJobNode:
        node = orm.CalcJobNode(computer=python.computer, process_type=MdCalculation.build_process_type())
        node.set_process_state('finished')
        node.set_process_label('MdCalculation')
        node.set_exit_status(status)
        node.set_exit_message(message)
        node.store()
        retrieved = orm.FolderData()
        if done is not None:
            line = json.dumps({'done': done, 'total': 36, 'unit': 'step'})
            retrieved.base.repository.put_object_from_bytes(f'{line}\n'.encode(), 'progress.jsonl')
        remote = orm.RemoteData(computer=python.computer, remote_path='/scratch/job')
        for label, output in (('retrieved', retrieved), ('remote_folder', remote)):
            output.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label=label)
            output.store()
        return node

    return make


@pytest.mark.parametrize(
    'name',
    [
        'ERROR_OUT_OF_WALLTIME',
        'ERROR_INTERRUPTED',
        'ERROR_SCHEDULER_OUT_OF_MEMORY',
        'ERROR_OUT_OF_RESOURCES',
        'ERROR_UNREADABLE_RESULT',
    ],
)
def test_transient_end_is_continued_from_its_remote_folder(restart, finished_job, name):
    job = finished_job(MdCalculation.exit_codes[name].status, done=12)
    report = restart.continue_from_checkpoint(job)
    assert report.do_break
    assert report.exit_code == ExitCode(0)
    assert restart.ctx.inputs['parent_folder'].uuid == job.outputs.remote_folder.uuid


def test_second_job_without_progress_stops_the_chain(restart, finished_job):
    status = MdCalculation.exit_codes.ERROR_INTERRUPTED.status
    restart.continue_from_checkpoint(finished_job(status, done=12))
    restart.ctx.iteration = 2
    report = restart.continue_from_checkpoint(finished_job(status, done=12))
    assert report.exit_code.status == MdRestartWorkChain.exit_codes.ERROR_NO_PROGRESS.status
    assert 'step 12 of 36' in report.exit_code.message


def test_second_job_with_progress_goes_on(restart, finished_job):
    status = MdCalculation.exit_codes.ERROR_OUT_OF_WALLTIME.status
    restart.continue_from_checkpoint(finished_job(status, done=12))
    restart.ctx.iteration = 2
    assert restart.continue_from_checkpoint(finished_job(status, done=13)).exit_code == ExitCode(0)


@pytest.mark.parametrize('name', ['ERROR_TASK_FAILED', 'ERROR_COMPUTER'])
def test_failed_task_is_not_repeated_and_its_sentence_is_passed_on(restart, finished_job, name):
    job = finished_job(MdCalculation.exit_codes[name].status, done=3, message='The cell is a metal.')
    assert restart.continue_from_checkpoint(job) is None
    report = restart.give_the_reason(job)
    assert report.exit_code.status == MdRestartWorkChain.exit_codes.ERROR_TASK_FAILED.status
    assert report.exit_code.message == 'The cell is a metal.'


def test_transient_ends_never_come_from_the_cache():
    codes = MdCalculation.exit_codes
    for name in (
        'ERROR_OUT_OF_WALLTIME',
        'ERROR_INTERRUPTED',
        'ERROR_NO_RETRIEVED',
        'ERROR_UNREADABLE_RESULT',
        'ERROR_COMPUTER',
        'ERROR_OUT_OF_RESOURCES',
    ):
        assert codes[name].invalidates_cache, name
