"""Waiting for a run with its progress on the screen."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

    from aiida_mlcc.report.provenance.progress import Step

_EVERY_S = 2.0
_EVERY_REMOTE_S = 60.0
_LINE_EVERY_S = 20.0
_INTERRUPTED = 130


def watch(process: ProcessNode, every_s: float = _EVERY_S) -> None:
    """Show stage and running jobs until `process` is over.

    On a terminal the lines are drawn over; elsewhere a line is written when a stage begins or ends, and every now and
    then one on each running job.
    """
    from aiida_mlcc.report.provenance.progress import survey

    screen = Screen(click.get_text_stream('stdout').isatty())
    while True:
        root = survey(process)
        screen.show(root)
        if root.is_over:
            return
        time.sleep(every_s)


def wait_for(process: ProcessNode) -> None:
    """Watch a run that the daemon goes on with, also after Ctrl-C, which is said.

    :raises click.exceptions.Exit: after Ctrl-C, with the exit code that shells give it.
    """
    from aiida_mlcc.cli.nodes import profile_suffix

    try:
        watch(process)
    except KeyboardInterrupt:
        suffix = profile_suffix()
        click.echo(
            f'\nThe run goes on. Follow it with `aiida-mlcc status{suffix} --follow {process.pk}`, end it with '
            f'`aiida-mlcc stop{suffix} {process.pk}`.'
        )
        raise click.exceptions.Exit(_INTERRUPTED) from None


class Screen:
    """What has been shown so far."""

    def __init__(self, redraw: bool) -> None:
        self.redraw = redraw
        self.started = time.monotonic()
        self.states: dict[int, str] = {}
        self.said: dict[int, tuple[float, str]] = {}
        self.fetched: dict[int, tuple[float, str]] = {}
        self.drawn = 0

    def show(self, root: Step) -> None:
        """Write what is new since the last call, or draw the stages again."""
        news = [line for step in root.children if step.is_workchain and (line := self._news(step))]
        jobs = [(step, self._words(step)) for step in _open_jobs(root)]
        if self.redraw:
            self._erase()
        for line in news:
            click.echo(line)
        if self.redraw:
            self._draw([f'    {step.place} {step.process}<{step.pk}>: {words}' for step, words in jobs])
        else:
            for step, words in jobs:
                self._say(step, words)

    def _news(self, step: Step) -> str | None:
        """Return a line where the state of a stage has changed."""
        state = ('failed' if step.is_failed else 'done') if step.is_over else 'running'
        if self.states.get(step.pk) == state:
            return None
        self.states[step.pk] = state
        reason = f': {step.exit_message}' if state == 'failed' and step.exit_message else ''
        return f'{self._clock()}  {step.name} {step.process}<{step.pk}> {state}{reason}'

    def _words(self, step: Step) -> str:
        """Say how far a job is; one that runs elsewhere is asked once a minute."""
        from aiida_mlcc.report.provenance.progress import how_far

        then, text = self.fetched.get(step.pk, (float('-inf'), ''))
        now = time.monotonic()
        if now - then >= (0.0 if step.is_local else _EVERY_REMOTE_S):
            text = how_far(step)
            self.fetched[step.pk] = (now, text)
        return text

    def _say(self, step: Step, words: str) -> None:
        then, before = self.said.get(step.pk, (float('-inf'), ''))
        now = time.monotonic()
        if words != before and now - then >= _LINE_EVERY_S:
            self.said[step.pk] = (now, words)
            click.echo(f'{self._clock()}    {step.place} {step.process}<{step.pk}>: {words}')

    def _draw(self, lines: list[str]) -> None:
        width = shutil.get_terminal_size().columns
        for line in [f'{self._clock()}  {len(lines)} {"job" if len(lines) == 1 else "jobs"} running', *lines]:
            click.echo(line[: width - 1])
        self.drawn = len(lines) + 1

    def _erase(self) -> None:
        click.echo('\033[F\033[K' * self.drawn, nl=False, color=True)
        self.drawn = 0

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        return f'{minutes:3d}:{seconds:02d}'


def _open_jobs(root: Step) -> list[Step]:
    from aiida_mlcc.report.provenance.progress import running_jobs

    return running_jobs(root)
