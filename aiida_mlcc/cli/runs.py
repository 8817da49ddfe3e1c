"""``aiida-mlcc list`` and ``aiida-mlcc stop``: the runs of a profile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from aiida_mlcc.cli.nodes import describe, find_process
from aiida_mlcc.cli.profiles import load
from aiida_mlcc.cli.root import profile_option

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

_PATIENCE_S = 60.0
MASTER = 'aiida.workflows:mlcc.mlcc_phonon'


@click.command('list')
@click.option(
    '-n', '--number', type=click.IntRange(min=1), default=20, show_default=True, help='Maximum number of runs.'
)
@profile_option
def list_runs(number: int, profile: str | None) -> None:
    """List the runs, the newest first.

    With their crystal, methods and state.
    """
    load(profile)
    found = runs(number)
    if not found:
        click.echo('There is no run in this profile: `aiida-mlcc launch` starts one.')
    for node in found:
        click.echo(line_of_run(node))


def runs(number: int) -> list[ProcessNode]:
    """Return runs of the master WorkChain, the newest first."""
    from aiida.orm import QueryBuilder, WorkChainNode

    from aiida_mlcc.data.process_types import process_types

    query = QueryBuilder()
    query.append(WorkChainNode, filters={'process_type': {'in': process_types(MASTER)}}, tag='run')
    return query.order_by({'run': {'ctime': 'desc'}}).limit(number).all(flat=True)


def line_of_run(node: ProcessNode) -> str:
    """Say in a line what a run is and how it is."""
    from aiida_mlcc.report.page.provenance import formula_of

    inputs: Any = node.inputs
    methods = ', '.join(inputs.methods.get_list()) if 'methods' in inputs else ''
    how = node.process_state.value if node.process_state is not None else 'created'
    if node.exit_status:
        how += f' [{node.exit_status}]'
    label = f'  {node.label}' if node.label else ''
    return f'{node.pk:>7}  {node.ctime:%Y-%m-%d %H:%M}  {formula_of(node):<10} {how:<16} {methods}{label}'


@click.command()
@click.argument('identifier', metavar='ID')
@profile_option
def stop(identifier: str, profile: str | None) -> None:
    """Stop a run and all its jobs.

    Finished results are kept. ID is a run, or anything it returned.
    """
    load(profile)
    process = find_process(identifier)
    if process.is_terminated:
        click.echo(f'{describe(process)} has already ended: {process.process_state.value}.')
        return
    from aiida.engine.processes.control import ProcessTimeoutException, kill_processes

    from aiida_mlcc.cli.daemon import require

    require()
    log = logging.getLogger('aiida.process_control')
    # A busy daemon answers late, which AiiDA logs as a failure; the state of the process tells what became of it.
    log.addFilter(_is_not_a_late_answer)
    try:
        kill_processes([process], timeout=_PATIENCE_S)
    except ProcessTimeoutException as error:
        raise click.ClickException(f'{describe(process)} does not answer: {error}') from None
    finally:
        log.removeFilter(_is_not_a_late_answer)
    if not process.is_terminated:
        click.echo(f'{describe(process)} is stopping: `aiida-mlcc status {process.pk}` shows its progress.')
        return
    click.echo(f'stopped {describe(process)}; finished results are kept')


def _is_not_a_late_answer(record: logging.LogRecord) -> bool:
    return 'timed out' not in record.getMessage()
