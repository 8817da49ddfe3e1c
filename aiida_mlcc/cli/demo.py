"""``aiida-mlcc demo``: lithium fluoride from nothing to coupled-cluster phonons, in minutes on two cores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.local_run import conclude, line_again, local_options, run_to_the_end
from aiida_mlcc.cli.setup import CODE, COMPUTER

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import ProcessNode, SinglefileData, StructureData

LABEL = 'aiida-mlcc demo'
LATTICE_CONSTANT = 3.93
"""Å, a little compressed: at 4.03 Å the transverse acoustic modes at X are so soft in the minimal basis (LDA: 51 cm⁻¹,
here 102) that their anharmonicity spoils what a dozen energies say about the others."""

CRUDE = (
    'This is a demonstration, not a prediction: with a minimal basis and one cell of 8 atoms, (T) contributes '
    'almost nothing, and L is not commensurate with the training cell. The Born charges of the LO branch come '
    'from plane waves (Quantum ESPRESSO, LDA), not from the minimal basis.'
)


@click.command()
@local_options('mlcc-demo')
def demo(path: Path, profile: str | None, new: bool) -> None:
    """Compute the phonons of LiF, with live progress.

    With LDA, HF, MP2, CCSD and CCSD(T), on this computer. You can interrupt the command at any time; run it again to
    resume.
    """
    from aiida_mlcc.cli.results import print_results

    node = run_to_the_end(path, profile, new, LABEL, prepare, line_again(['demo'], path, profile))
    print_results(node, points=('GAMMA', 'X', 'L'))
    draw(node, path)
    conclude(node, CRUDE)


def crystal() -> StructureData:
    """Return LiF, in the conventional cell of 8 atoms."""
    from aiida.orm import StructureData
    from ase.build import bulk

    return StructureData(ase=bulk('LiF', 'rocksalt', a=LATTICE_CONSTANT, cubic=True), label='LiF')


def born_charges() -> SinglefileData:
    """Return the Born charges and the dielectric tensor of LiF by density-functional perturbation theory."""
    from importlib import resources

    from aiida.orm import SinglefileData

    content = resources.files('aiida_mlcc.cli').joinpath('BORN_LiF').read_bytes()
    return SinglefileData.from_bytes(content, filename='BORN', label='BORN of LiF')


def prepare() -> ProcessBuilder:
    """Return the builder of the demo."""
    from aiida_mlcc.cli.inputs import build, read_code

    click.echo('\nPhonons of LiF, 8 atoms, in a minimal basis:')
    return build(crystal(), read_code(f'{CODE}@{COMPUTER}'), 'fast', {}, nac=born_charges())


def draw(node: ProcessNode, folder: Path) -> None:
    """Write the figure of the demo."""
    from aiida_mlcc.report.print.figures import NothingToPlot, figure_of, save

    try:
        figure = figure_of(node, 'LiF, minimal basis')
    except NothingToPlot:
        return
    for ending in ('png', 'pdf'):
        save(figure, folder / f'lif_phonons.{ending}')
    click.echo(f'wrote {folder / "lif_phonons.png"} and .pdf')
