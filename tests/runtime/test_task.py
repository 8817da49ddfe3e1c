"""The job's bookkeeping: how it reads its input, when it stops, and what it says at the end."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiida_mlcc.runtime.__main__ import main
from aiida_mlcc.runtime.task import Job, JobError, replacing
from aiida_mlcc.science.force_field import ForceFieldError


@pytest.fixture
def run_as_md(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run a function in place of the task `md`, and return exit code and output."""

    def run(function: Callable[[Job], None], **content: Any) -> tuple[int, dict[str, Any]]:
        module = types.ModuleType('aiida_mlcc.runtime.tasks.md')
        module.run = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, 'aiida_mlcc.runtime.tasks.md', module)
        (tmp_path / 'input.json').write_text(json.dumps({'task': 'md', 'max_seconds': None, **content}))
        code = main(['md'], tmp_path)
        return code, json.loads((tmp_path / 'output.json').read_text())

    return run


def test_a_finished_task_says_final(run_as_md: Any) -> None:
    code, output = run_as_md(lambda job: job.finish(steps_done=3))
    assert code == 0
    assert output['final'] is True
    assert output['steps_done'] == 3


def test_a_paused_task_exits_cleanly_and_is_not_final(run_as_md: Any) -> None:
    code, output = run_as_md(lambda job: job.pause(steps_done=3))
    assert code == 0
    assert (output['final'], output['reason']) == (False, 'walltime')


def test_an_error_is_one_sentence_and_keeps_what_is_known(run_as_md: Any) -> None:
    def task(job: Job) -> None:
        raise JobError('the moon is full', steps_done=2)

    code, output = run_as_md(task)
    assert code == 1
    assert output['message'] == 'the moon is full'
    assert (output['final'], output['reason'], output['steps_done']) == (False, 'error', 2)


def test_an_error_of_the_science_is_passed_on_as_it_is(run_as_md: Any) -> None:
    def task(job: Job) -> None:
        raise ForceFieldError('this force field knows the elements C, not H')

    assert run_as_md(task)[1]['message'] == 'this force field knows the elements C, not H'


def test_an_error_nobody_foresaw_names_its_type(run_as_md: Any) -> None:
    assert run_as_md(lambda job: 1 / 0)[1]['message'].startswith('ZeroDivisionError')


def test_a_missing_package_is_named(run_as_md: Any) -> None:
    def task(job: Job) -> None:
        import no_such_package  # noqa: F401

    output = run_as_md(task)[1]
    assert 'no_such_package' in output['message']
    assert output['reason'] == 'computer'


class OutOfMemoryError(RuntimeError):
    """As PyTorch names what a GPU without memory raises."""


@pytest.mark.parametrize(
    'error',
    [OSError(errno.ENOSPC, 'No space left on device'), MemoryError(), OutOfMemoryError('CUDA out of memory')],
    ids=['disk', 'memory', 'gpu'],
)
def test_a_full_disk_or_memory_is_no_fault_of_the_input(run_as_md: Any, error: Exception) -> None:
    def task(job: Job) -> None:
        raise error

    def wrapped(job: Job) -> None:
        raise JobError('the tensors cannot be written') from error

    assert run_as_md(task)[1]['reason'] == 'resources'
    assert run_as_md(wrapped)[1]['reason'] == 'resources'


def test_another_error_of_the_file_system_is_an_error(run_as_md: Any) -> None:
    def task(job: Job) -> None:
        raise FileNotFoundError(errno.ENOENT, 'No such file')

    assert run_as_md(task)[1]['reason'] == 'error'


@pytest.mark.parametrize('content', ['', '{"energy": 1', '[1, 2]'], ids=['empty', 'cut', 'other'])
def test_a_damaged_checkpoint_is_set_aside_and_named(run_as_md: Any, tmp_path: Path, content: str) -> None:
    def task(job: Job) -> None:
        path = job.checkpoint / 'state.json'
        path.write_text(content)
        found = job.kept(path, lambda kept: json.loads(kept.read_text())['energy'])
        job.finish(found=found, there=path.exists())

    output = run_as_md(task)[1]
    assert (output['found'], output['there']) == (None, False)
    assert output['remarks'][0].startswith('state.json of the checkpoint is damaged and was set aside')
    assert (tmp_path / 'checkpoint' / 'state.json.damaged').read_text() == content


def test_a_checkpoint_for_which_there_is_no_memory_is_not_damaged(run_as_md: Any, tmp_path: Path) -> None:
    def task(job: Job) -> None:
        def read(path: Path) -> None:
            raise OutOfMemoryError('CUDA out of memory')

        (job.checkpoint / 'state').touch()
        job.kept(job.checkpoint / 'state', read, RuntimeError)

    assert issubclass(OutOfMemoryError, RuntimeError)
    assert run_as_md(task)[1]['reason'] == 'resources'
    assert (tmp_path / 'checkpoint' / 'state').exists()


def test_a_checkpoint_that_is_refused_stops_the_job(run_as_md: Any) -> None:
    def task(job: Job) -> None:
        def refuse(path: Path) -> None:
            raise JobError('of another training')

        (job.checkpoint / 'state').touch()
        job.kept(job.checkpoint / 'state', refuse)

    assert run_as_md(task)[1]['message'] == 'of another training'


def test_a_missing_key_is_named_by_its_path(run_as_md: Any) -> None:
    code, output = run_as_md(lambda job: job.require('parameters', 'n_steps'), parameters={})
    assert code == 1
    assert output['message'] == 'input.json lacks parameters.n_steps'


def test_a_signal_asks_for_a_stop(run_as_md: Any) -> None:
    def task(job: Job) -> None:
        assert not job.must_stop()
        os.kill(os.getpid(), signal.SIGTERM)
        if job.must_stop():
            job.pause()

    before = signal.getsignal(signal.SIGTERM)
    assert run_as_md(task)[1]['reason'] == 'signal'
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_signal_that_announces_the_end_of_the_time_is_no_other_reason(run_as_md: Any) -> None:
    def task(job: Job) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        if job.must_stop():
            job.pause()

    assert run_as_md(task)[1]['reason'] == 'walltime'


def test_the_reserve_counts_towards_the_time_limit(run_as_md: Any) -> None:
    def task(job: Job) -> None:
        job.finish(now=job.must_stop(), soon=job.must_stop(reserve=2000))

    output = run_as_md(task, max_seconds=1000)[1]
    assert (output['now'], output['soon']) == (False, True)


@pytest.mark.parametrize('limit', [0, -1, 'long', True])
def test_a_senseless_time_limit_is_refused(run_as_md: Any, limit: Any) -> None:
    code, output = run_as_md(lambda job: job.finish(), max_seconds=limit)
    assert code == 1
    assert 'max_seconds' in output['message']


def test_the_input_of_another_task_is_refused(run_as_md: Any) -> None:
    code, output = run_as_md(lambda job: job.finish(), task='fit')
    assert code == 1
    assert "'fit'" in output['message']


def test_an_unknown_task_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['dance'], tmp_path) == 2
    assert 'correlate' in capsys.readouterr().err


def test_a_stale_output_does_not_outlive_the_start_of_a_job(tmp_path: Path) -> None:
    (tmp_path / 'input.json').write_text('{"task": "md"}')
    (tmp_path / 'output.json').write_text('{"final": true}')
    Job(tmp_path, 'md')
    assert not (tmp_path / 'output.json').exists()


def test_progress_is_thinned_but_the_last_line_is_kept(tmp_path: Path) -> None:
    (tmp_path / 'input.json').write_text('{"task": "md"}')
    job = Job(tmp_path, 'md')
    for step in range(50):
        job.progress(step + 1, 50, 'step', temperature_K=300.0)
    lines = [json.loads(line) for line in (tmp_path / 'progress.jsonl').read_text().splitlines()]
    assert [line['done'] for line in lines] == [1, 50]
    assert lines[0]['temperature_K'] == 300.0


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / 'force_field'
    target.mkdir()
    (target / 'old').touch()
    with replacing(target) as scratch:
        scratch.mkdir()
        (scratch / 'new').touch()
    assert [path.name for path in target.iterdir()] == ['new']


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / 'weights'
    target.write_text('old')

    def write_badly() -> None:
        with replacing(target) as scratch:
            scratch.write_text('new')
            raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'):
        write_badly()
    assert target.read_text() == 'old'
