"""``aiida-mlcc status``: which stage a run is in, what is done, what failed and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import find_process
from aiida_mlcc.cli.profiles import load
from aiida_mlcc.cli.root import profile_option

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

    from aiida_mlcc.report.provenance.progress import Step

_SIGNS = {'done': '✓', 'failed': '✗', 'open': '…'}


@click.command()
@click.argument('identifier', metavar='ID')
@click.option('-a', '--all', 'everything', is_flag=True, help='Show finished jobs and functions, too.')
@click.option('-f', '--follow', is_flag=True, help='Show the progress until the run is over; Ctrl-C leaves it running.')
@profile_option
def status(identifier: str, everything: bool, follow: bool, profile: str | None) -> None:
    """Show what is done, what runs, and why something failed.

    ID is a run, or anything it returned.
    """
    load(profile)
    process = find_process(identifier)
    from aiida_mlcc.cli.daemon import require
    from aiida_mlcc.cli.watch import wait_for
    from aiida_mlcc.report.provenance.progress import survey

    if follow and not process.is_terminated:
        require()
        wait_for(process)

    root = survey(process)
    _print(root, 0, everything)
    _print_failures(process)
    _print_services(root)


def _print(step: Step, depth: int, everything: bool) -> None:
    click.echo('  ' * depth + line_of(step))
    shown = [
        child for child in step.children if everything or child.is_workchain or child.is_failed or not child.is_over
    ]
    if step.is_over and not step.is_failed and depth and not everything:
        shown = [child for child in step.children if any(below.is_failed for below in child.walk())]
    for child in shown:
        _print(child, depth + 1, everything)


def line_of(step: Step) -> str:
    """Say in a line what a process is and how it is."""
    from aiida_mlcc.report.provenance.progress import how_far

    name = f'{step.name} {step.process}<{step.pk}>' if step.name != step.process else f'{step.process}<{step.pk}>'
    if not step.is_over:
        return f'{_SIGNS["open"]} {name}: {how_far(step)}'
    name += ' (from the cache)' if step.cached else ''
    if step.is_failed:
        reason = step.exit_message or f'{step.state}; see `verdi process report {step.pk}`'
        status = '' if step.exit_status is None else f' [{step.exit_status}]'
        return f'{_SIGNS["failed"]} {name}{status}: {reason}'
    return f'{_SIGNS["done"]} {name}'


def _print_failures(process: ProcessNode) -> None:
    from aiida_mlcc.report.data.outputs import failures_of
    from aiida_mlcc.report.text import failure_lines

    failed = failures_of(process)
    if failed:
        click.echo('\nWhat is missing, and why:')
    for line in failure_lines(failed):
        click.echo(f'  {line}')


def _print_services(root: Step) -> None:
    """Say what keeps an unfinished run from going on: the daemon, the broker, a full disk."""
    from aiida_mlcc.cli.services import complaints

    if root.is_over:
        return
    waiting = [step.pk for step in root.walk() if not step.is_over and (step.is_job or step.is_workchain)]
    for sentence in complaints(waiting):
        click.echo(f'\n{sentence}')
