"""``aiida-mlcc demo``: lithium fluoride from nothing to coupled-cluster phonons, in minutes on two cores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import lines_to_open
from aiida_mlcc.cli.setup import CODE, COMPUTER, set_up

if TYPE_CHECKING:
    from aiida.orm import ProcessNode, StructureData

LABEL = 'aiida-mlcc demo'
LATTICE_CONSTANT = 3.93
"""Å, a little compressed: at 4.03 Å the transverse acoustic modes at X are so soft in the minimal basis (LDA: 51 cm⁻¹,
here 102) that their anharmonicity spoils what sixteen energies say about the others."""

CRUDE = (
    'This is a demonstration and no prediction: with a minimal basis and one cell of 8 atoms (T) adds almost nothing, '
    'L is no wave vector of the training cell, and without the non-analytic term all optical modes at Γ are TO.'
)


@click.command()
@click.option(
    '--path',
    type=click.Path(file_okay=False, path_type=Path),
    default=Path('mlcc-demo'),
    show_default=True,
    help='Directory for the profile and the figures.',
)
@click.option('-p', '--profile', metavar='NAME', help='Run in this profile, which AIIDA_PATH leads to, instead.')
@click.option('--new', is_flag=True, help='Start anew, even where an unfinished demo could be continued.')
def demo(path: Path, profile: str | None, new: bool) -> None:
    """Compute the phonons of LiF, with live progress.

    By LDA, HF, MP2, CCSD and CCSD(T), on this computer. Interrupt it at any time: run again, it goes on where it was.
    """
    from aiida_mlcc.cli import daemon
    from aiida_mlcc.cli.results import print_results
    from aiida_mlcc.cli.watch import watch

    path.mkdir(parents=True, exist_ok=True)
    set_up(None if profile else path, profile, None)
    with daemon.running():
        node = (None if new else unfinished()) or submit()
        try:
            watch(node)
        except KeyboardInterrupt:
            click.echo(f'\nNothing is lost: `aiida-mlcc demo --path {path}` goes on where this was.')
            raise click.Abort from None
    click.echo()
    print_results(node, points=('GAMMA', 'X', 'L'))
    draw(node, path)
    click.echo(f'\n{CRUDE if node.is_finished_ok else ""}\n\nOpen it with:\n')
    for line in lines_to_open(node):
        click.echo(f'  {line}')
    if not node.is_finished_ok:
        raise click.ClickException(node.exit_message or f'the run ended {node.process_state.value}')


def crystal() -> StructureData:
    """Return LiF, in the conventional cell of 8 atoms."""
    from aiida.orm import StructureData
    from ase.build import bulk

    return StructureData(ase=bulk('LiF', 'rocksalt', a=LATTICE_CONSTANT, cubic=True), label='LiF')


def submit() -> ProcessNode:
    """Submit the demo and return its node."""
    from aiida.engine import submit as submit_to_daemon

    from aiida_mlcc.cli.inputs import build, read_code
    from aiida_mlcc.cli.plan import lines

    builder = build(crystal(), read_code(f'{CODE}@{COMPUTER}'), 'fast', {})
    builder.metadata.label = LABEL
    click.echo('\nPhonons of LiF, 8 atoms, in a minimal basis:')
    for line in lines(builder._inputs(prune=True)):
        click.echo(line)
    node = submit_to_daemon(builder)
    click.echo(f'\nsubmitted {node.process_label}<{node.pk}> {node.uuid}')
    return node


def unfinished() -> ProcessNode | None:
    """Return the latest demo that is not over, or None."""
    from aiida.orm import QueryBuilder, WorkChainNode

    query = QueryBuilder().append(
        WorkChainNode,
        filters={
            'label': LABEL,
            'attributes.process_state': {'!in': ['finished', 'excepted', 'killed']},
        },
        tag='demo',
    )
    node = query.order_by({'demo': {'id': 'desc'}}).limit(1).first(flat=True)
    if node is not None:
        click.echo(f'going on with the unfinished {node.process_label}<{node.pk}> {node.uuid}; --new starts anew')
    return node


def draw(node: ProcessNode, folder: Path) -> None:
    """Write the figure of the demo."""
    from aiida_mlcc.report.figures import NothingToPlot, figure_of, save

    try:
        figure = figure_of(node, 'LiF, minimal basis')
    except NothingToPlot:
        return
    for ending in ('png', 'pdf'):
        save(figure, folder / f'lif_phonons.{ending}')
    click.echo(f'wrote {folder / "lif_phonons.png"} and .pdf')
