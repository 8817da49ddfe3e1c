"""A run of the master WorkChain in a directory of its own, from an empty one to the end, on this computer."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_mlcc.cli.nodes import lines_to_open
from aiida_mlcc.cli.setup import set_up

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import ProcessNode


def local_options(path: str) -> Callable[..., Any]:
    """Add ``--path``, ``-p/--profile`` and ``--new`` to a command that runs here, in `path` by default."""
    options = (
        click.option(
            '--path',
            type=click.Path(file_okay=False, path_type=Path),
            default=Path(path),
            show_default=True,
            help='Directory for the profile and what is written.',
        ),
        click.option(
            '-p',
            '--profile',
            metavar='NAME',
            help='Run in this profile of the configuration that AIIDA_PATH points to.',
        ),
        click.option('--new', is_flag=True, help='Start a new run, even if an unfinished one could be resumed.'),
    )

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def line_again(words: list[str], path: Path, profile: str | None) -> str:
    """Return the command line of `words` in the same place."""
    return shlex.join(['aiida-mlcc', *words, *(['-p', profile] if profile else ['--path', str(path)])])


def run_to_the_end(
    path: Path, profile: str | None, new: bool, label: str, prepare: Callable[[], ProcessBuilder], again: str
) -> ProcessNode:
    """Set up what is missing, submit a run, or go on with the one of this label that is not over, and follow it.

    :param path: directory of the profile, unless `profile` names one that ``AIIDA_PATH`` leads to.
    :param prepare: makes the builder, with the profile loaded.
    :param again: the command line that goes on after an interruption.
    """
    from aiida_mlcc.cli import daemon
    from aiida_mlcc.cli.watch import watch

    path.mkdir(parents=True, exist_ok=True)
    set_up(None if profile else path, profile, None)
    with daemon.running():
        node = (None if new else _unfinished(label)) or _submit(label, prepare())
        try:
            watch(node)
        except KeyboardInterrupt:
            click.echo(f'\nNothing is lost: `{again}` resumes the run.')
            raise click.Abort from None
    click.echo()
    return node


def conclude(node: ProcessNode, remark: str = '') -> None:
    """Print the lines that open the run; raise where it has failed.

    :param remark: printed after a run without failures.
    """
    click.echo(f'\n{remark if node.is_finished_ok else ""}\n\nOpen it with:\n')
    for line in lines_to_open(node):
        click.echo(f'  {line}')
    if not node.is_finished_ok:
        raise click.ClickException(node.exit_message or f'the run ended {node.process_state.value}')


def _submit(label: str, builder: ProcessBuilder) -> ProcessNode:
    from aiida.engine import submit

    from aiida_mlcc.cli.plan import lines

    builder.metadata.label = label
    for line in lines(builder._inputs(prune=True)):
        click.echo(line)
    node = submit(builder)
    click.echo(f'\nsubmitted {node.process_label}<{node.pk}> {node.uuid}')
    return node


def _unfinished(label: str) -> ProcessNode | None:
    from aiida.orm import QueryBuilder, WorkChainNode

    query = QueryBuilder().append(
        WorkChainNode,
        filters={
            'label': label,
            'attributes.process_state': {'!in': ['finished', 'excepted', 'killed']},
        },
        tag='run',
    )
    node = query.order_by({'run': {'id': 'desc'}}).limit(1).first(flat=True)
    if node is not None:
        click.echo(f'resuming the unfinished {node.process_label}<{node.pk}> {node.uuid}; --new starts anew')
    return node
