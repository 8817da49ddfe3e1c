"""``aiida-mlcc cells``: which supercells hold some wave vectors, and the modes that each determines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.profiles import load
from aiida_mlcc.cli.root import profile_option

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_mlcc.science.crystal.training_cells import TrainingCell

_OF_EACH_SIZE = 3


@click.command()
@click.argument('crystal', metavar='STRUCTURE_FILE|ID')
@click.option(
    '--qpoints',
    default='GAMMA',
    metavar='GAMMA,X,…',
    help='Wave vectors: names of special points (seekpath), or three numbers in units of the reciprocal vectors of the '
    'primitive cell, such as "1/2 0 1/4"; separated by commas.',
)
@click.option(
    '--max-atoms',
    default=64,
    type=click.IntRange(min=1),
    help='Maximum number of atoms of a supercell; 64 if not given.',
)
@click.option(
    '--all',
    'show_all',
    is_flag=True,
    help='Show all cells, not only the three most compact ones for each number of atoms.',
)
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    help='Write the cell of --number to this file; ASE chooses the format by the file name.',
)
@click.option(
    '--number', default=1, type=click.IntRange(min=1), help='Number of the cell to write; the first if not given.'
)
@click.option('--symprec', default=1e-5, metavar='Å', type=click.FloatRange(min=0, min_open=True), help='Tolerance.')
@profile_option
def cells(
    crystal: str,
    qpoints: str,
    max_atoms: int,
    show_all: bool,
    output: Path | None,
    number: int,
    symprec: float,
    profile: str | None,
) -> None:
    """List the supercells that are commensurate with given wave vectors, by number of atoms and shape.

    Labels of a training cell determine the modes at the wave vectors that are commensurate with it. The
    list includes cells with a non-diagonal matrix, which need fewer atoms for the same wave vectors.
    """
    from aiida_mlcc.science.crystal.cells import CrystalError, primitive_cell
    from aiida_mlcc.science.crystal.formula import formula_of
    from aiida_mlcc.science.crystal.training_cells import CellRequestError, Points, training_cells

    if output is not None:
        _refuse_output(output)
    structure = _crystal(crystal, profile)
    try:
        primitive = primitive_cell(structure, symprec)
        points = Points(primitive, symprec)
        asked = [points.read(text) for text in qpoints.split(',') if text.strip()]
        if not asked:
            raise click.UsageError('No wave vectors: give some with --qpoints.')
        found = training_cells(primitive, asked, max_atoms, symprec)
    except (CellRequestError, CrystalError) as error:
        raise click.UsageError(f'{error}.') from None
    names = ', '.join(_shown(points.name(qpoint)) for qpoint in asked)
    n_sites = f'{len(primitive)} atom{"s" if len(primitive) > 1 else ""} in the primitive cell'
    click.echo(
        f'Supercells of {formula_of(structure.symbols)} ({n_sites}) commensurate with {names}, '
        f'up to {max_atoms} atoms:\n'
    )
    shown = found if show_all else _most_compact(found)
    click.echo(f'{"":>4} {"atoms":>5} {"cells":>5} {"shape":>6} {"image":>7}  distinct frequencies at each wave vector')
    for place, cell in enumerate(shown, start=1):
        held = ', '.join(f'{_shown(point.name)} {point.n_frequencies}' for point in cell.points)
        click.echo(
            f'{place:>4} {cell.n_atoms:>5} {cell.n_cells:>5} {cell.compactness:>6.2f} {cell.shortest:>5.2f} Å  {held}'
        )
        click.echo(f'{"":>26}{_matrix(cell, structure)}')
    if len(shown) < len(found):
        click.echo(
            f'\n{len(found) - len(shown)} less compact cells with other commensurate wave vectors: --all shows them.'
        )
    click.echo(
        '\nshape: distance to the nearest image over that in a close-packed lattice of the same volume (1 is best)'
    )
    if output is not None:
        if number > len(shown):
            raise click.UsageError(f'There is no cell {number} in the list: it ends with {len(shown)}.')
        shown[number - 1].atoms().write(output)
        click.echo(f'wrote cell {number} to {output}: launch it with dft_md.supercell_matrix=[1,1,1]')


def _refuse_output(path: Path) -> None:
    """Raise where a cell cannot be written to a file, before anything is searched."""
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    if path.exists():
        raise click.UsageError(f'{path} already exists: give the name of a new file.')
    if not path.parent.is_dir():
        raise click.UsageError(f'There is no folder {path.parent}.')
    try:
        known = ioformats[filetype(str(path), read=False)].can_write
    except (UnknownFileTypeError, KeyError):
        known = False
    if not known:
        raise click.UsageError(f'ASE has no format for a file called {path.name}: use a name such as {path.stem}.cif.')


def _crystal(source: str, profile: str | None) -> Atoms:
    """Return the crystal in a file, for which no profile is needed, or of a node."""
    from aiida_mlcc.cli.inputs import read_crystal_file, read_structure

    if (found := read_crystal_file(source)) is not None:
        return found
    load(profile)
    atoms: Atoms = read_structure(source).get_ase()
    return atoms


def _most_compact(found: list[TrainingCell]) -> list[TrainingCell]:
    """Return a few of each number of atoms, in the same order."""
    kept: list[TrainingCell] = []
    for cell in found:
        if sum(other.n_atoms == cell.n_atoms for other in kept) < _OF_EACH_SIZE:
            kept.append(cell)
    return kept


def _matrix(cell: TrainingCell, structure: Atoms) -> str:
    """Return the setting that makes a cell from the structure as it was given."""
    matrix = cell.supercell_matrix(structure)
    if matrix is None:
        return 'not a supercell of the cell as given: write it with -o'
    return f'supercell_matrix {matrix.tolist()}'.replace(' ', '').replace('matrix[', 'matrix: [')


def _shown(name: str) -> str:
    return 'Γ' if name == 'GAMMA' else name
