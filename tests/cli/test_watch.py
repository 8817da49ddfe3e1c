"""What is on the screen while a run goes on."""

import pytest

from aiida_mlcc.cli.status import line_of
from aiida_mlcc.cli.watch import Screen
from aiida_mlcc.report.provenance.progress import Step


def step(pk: int, name: str, node_type: str, state: str = 'waiting', **fields) -> Step:
    return Step(pk=pk, uuid='', name=name, process='Process', node_type=node_type, state=state, place=name, **fields)


@pytest.fixture
def tree(tmp_path) -> Step:
    """Return a run with a stage that is over, one at work, and a job that wrote its progress."""
    (tmp_path / 'progress.jsonl').write_text('{"done": 3, "total": 36, "unit": "step"}\n')
    job = step(4, 'md', 'process.calculation.calcjob.', workdir=str(tmp_path), transport='core.local')
    over = step(2, 'dft_md', 'process.workflow.workchain.', 'finished', exit_status=0)
    at_work = step(3, 'vacf', 'process.workflow.workchain.', children=[job])
    return step(1, 'run', 'process.workflow.workchain.', children=[over, at_work])


def test_stages_and_jobs_are_written_once_where_nothing_can_be_drawn_over(tree, capsys):
    screen = Screen(redraw=False)
    screen.show(tree)
    screen.show(tree)
    lines = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]
    assert lines == ['dft_md Process<2> done', 'vacf Process<3> running', 'md Process<4>: step 3 of 36']


@pytest.mark.parametrize('process', ['Cc4sCalculation', 'VaspCalculation', 'VaspMdCalculation'])
def test_a_running_program_that_writes_no_progress_does_not_wait_to_start(tree, capsys, process):
    (job,) = tree.children[1].children
    job.process, job.workdir, job.scheduler = process, '/nowhere', 'running'
    Screen(redraw=False).show(tree)
    assert capsys.readouterr().out.splitlines()[-1].endswith(f'md {process}<4>: running')
    assert line_of(job).endswith(f'md {process}<4>: running')


def test_a_stage_that_fails_is_told_with_its_reason(tree, capsys):
    screen = Screen(redraw=False)
    screen.show(tree)
    stage = tree.children[1]
    stage.state, stage.exit_status, stage.exit_message = 'finished', 310, 'No member came to its end.'
    screen.show(tree)
    assert capsys.readouterr().out.splitlines()[-1].endswith('vacf Process<3> failed: No member came to its end.')


def test_on_a_terminal_the_lines_of_jobs_are_drawn_over(tree, capsys):
    screen = Screen(redraw=True)
    screen.show(tree)
    assert '\033[F' not in capsys.readouterr().out
    screen.show(tree)
    again = capsys.readouterr().out
    assert again.startswith('\033[F\033[K' * 2)
    assert 'md Process<4>: step 3 of 36' in again
    assert 'dft_md' not in again


def test_a_failure_from_the_cache_says_so():
    job = step(7, 'md', 'process.calculation.calcjob.', 'finished', exit_status=301, exit_message='Why.', cached=True)
    assert line_of(job) == '✗ md Process<7> (from the cache) [301]: Why.'
