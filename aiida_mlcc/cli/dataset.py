"""``aiida-mlcc dataset``: energies and forces that exist already, as files, into the graph and out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.dataset_fetch import fetch
from aiida_mlcc.cli.dataset_text import print_dataset
from aiida_mlcc.cli.nodes import describe, find
from aiida_mlcc.cli.profiles import load
from aiida_mlcc.cli.root import OrderedGroup, profile_option

if TYPE_CHECKING:
    from aiida_mlcc.data.snapshots import SnapshotsData
    from aiida_mlcc.science.dataset.label_units import Units


@click.command('import')
@click.argument('name')
@click.option(
    '--base',
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='File with the energies and forces that the base force field is fitted to.',
)
@click.option(
    '--base-method', required=True, metavar='METHOD', help='Method of these energies and forces, such as PBE or r2SCAN.'
)
@click.option(
    '--label',
    'labels',
    metavar='METHOD=FILE[:ENTRY]',
    multiple=True,
    help='File with energies of a method, such as CCSD(T), RPA or DMC, for structures of the base, and the name '
    'of the entry if its frames have several energies; can be repeated.',
)
@click.option(
    '--units',
    metavar='[METHOD=]ENERGY[,FORCES]',
    multiple=True,
    help='Units of all files, or of the file of one method, such as Ha,Ha/bohr or eV/atom; gradients are -eV/A. '
    'By default eV per cell and eV/Å.',
)
@click.option(
    '--sigma',
    'sigmas',
    metavar='METHOD=EV|ENTRY',
    multiple=True,
    help='Standard error of the energies of a method, in the unit of the energies: one number, or the entry of '
    'each frame that contains it. Fits use it as weight.',
)
@click.option(
    '--structure',
    metavar='STRUCTURE_FILE|ID',
    help='The crystal that the frames are supercells of; determined from their mean structure if not given.',
)
@click.option(
    '--energy-key', metavar='NAME', help='Name of the entry with the energy of a frame; `energy` if not given.'
)
@click.option(
    '--forces-key', metavar='NAME', help='Name of the column with the forces of a frame; `forces` if not given.'
)
@click.option(
    '--tolerance', default=1e-4, show_default=True, help='Largest distance between matching atoms in two files, Å.'
)
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
@profile_option
def import_files(
    name: str,
    base: Path,
    base_method: str,
    labels: tuple[str, ...],
    units: tuple[str, ...],
    sigmas: tuple[str, ...],
    structure: str | None,
    energy_key: str | None,
    forces_key: str | None,
    tolerance: float,
    as_json: bool,
    profile: str | None,
) -> None:
    """Import files with energies of several methods as one data set.

    Frames are paired by their geometry, in any order. The report lists what is left out. NAME is the name of the data
    set in other commands.
    """
    from aiida_mlcc.cli.dataset_nodes import refuse_name, store
    from aiida_mlcc.cli.inputs import method_named, read_structure
    from aiida_mlcc.science.crystal.cells import CrystalError, primitive_cell
    from aiida_mlcc.science.dataset.dataset import read_dataset
    from aiida_mlcc.science.dataset.energy_file import DatasetError, LabelSource

    base_method = method_named(base_method)
    given, errors = _read_units(units), _read_sigmas(sigmas)
    files = {
        method: LabelSource(path, entry or energy_key, forces_key, given(method), errors.get(method))
        for method, (path, entry) in _read_labels(labels).items()
    }
    base_source = LabelSource(base, energy_key, forces_key, given(base_method), errors.get(base_method))
    load(profile)
    refuse_name(name)
    crystal = None if structure is None else read_structure(structure)
    try:
        primitive = None if crystal is None else primitive_cell(crystal.get_ase())
        found = read_dataset(base_source, base_method, files, primitive, tolerance)
    except DatasetError as error:
        raise click.ClickException(f'Nothing was imported: {error}.') from None
    except CrystalError as error:
        raise click.ClickException(f'Nothing was imported; the frames do not fit --structure: {error}.') from None
    print_dataset(store(name, found, crystal), as_json)


@click.command()
@click.argument('identifier', metavar='ID')
@click.option('--json', 'as_json', is_flag=True, help='Print JSON; it does not depend on the profile.')
@profile_option
def show(identifier: str, as_json: bool, profile: str | None) -> None:
    """Show the content of a data set and the report of its import.

    ID is a data set, or any other SnapshotsData.
    """
    print_dataset(_find(identifier, profile), as_json)


@click.command('list')
@profile_option
def list_all(profile: str | None) -> None:
    """List the data sets that were imported."""
    load(profile)
    from aiida.orm import QueryBuilder
    from aiida.plugins import DataFactory

    from aiida_mlcc.cli.dataset_nodes import REPORT, report_of

    query = QueryBuilder().append(DataFactory('mlcc.snapshots'), filters={'extras': {'has_key': REPORT}}, tag='set')
    for node in query.order_by({'set': 'id'}).all(flat=True):
        labels = ', '.join(f'{method} {n}' for method, n in node.base.attributes.get('n_labelled').items())
        click.echo(
            f'{node.pk:>6}  {node.label:<24} {report_of(node)["formula"]:<12} {node.n_frames:>6} frames  {labels}'
        )


@click.command()
@click.argument('identifier', metavar='ID')
@click.option(
    '-o',
    '--output',
    required=True,
    type=click.Path(path_type=Path),
    help='File to write, gzipped if its name ends in .gz; with --file-per-method a folder.',
)
@click.option(
    '--file-per-method',
    is_flag=True,
    help='Write a file for each method, with the plain names `energy` and `forces` that other programs read.',
)
@click.option('--force', is_flag=True, help='Overwrite existing files.')
@profile_option
def export(identifier: str, output: Path, file_per_method: bool, force: bool, profile: str | None) -> None:
    """Write a data set as extended XYZ, with all digits.

    To one file, with entries such as `energy_hf` and `forces_pbe` and their sources; or to one file per method.

    ID is a data set, or any other SnapshotsData.
    """
    from aiida_mlcc.science.labels.extxyz import to_extxyz, to_plain_extxyz, write_text
    from aiida_mlcc.science.labels.methods import slug_of

    node = _find(identifier, profile)
    snapshots = node.get_snapshots()
    folder = output if file_per_method else output.absolute().parent
    targets = {output / f'{slug_of(method)}.xyz': method for method in snapshots.methods} if file_per_method else {}
    for path in targets or [output]:
        if path.exists() and not force:
            raise click.UsageError(f'{path} already exists: --force overwrites it.')
    try:
        if file_per_method:
            folder.mkdir(parents=True, exist_ok=True)
            for path, method in targets.items():
                write_text(path, to_plain_extxyz(snapshots, method))
        else:
            write_text(output, to_extxyz(snapshots))
    except OSError as error:
        raise click.ClickException(f'{output} cannot be written: {error.strerror}.') from None
    names = ', '.join(path.name for path in targets) if file_per_method else ', '.join(snapshots.methods)
    click.echo(f'wrote {describe(node)}, {snapshots.n_frames} frames, to {output}: {names}')


def _read_labels(assignments: tuple[str, ...]) -> dict[str, tuple[Path, str | None]]:
    """Return ``METHOD=FILE[:ENTRY]`` assignments by method; a method may be written as its slug."""
    from aiida_mlcc.cli.inputs import method_named
    from aiida_mlcc.science.labels.methods import refuse_name

    files: dict[str, tuple[Path, str | None]] = {}
    for assignment in assignments:
        name, sign, text = assignment.partition('=')
        method = method_named(name)
        if not sign or not text:
            raise click.UsageError(f'--label {assignment}: write it as METHOD=FILE or METHOD=FILE:ENTRY.')
        if (reason := refuse_name(method)) is not None:
            raise click.UsageError(f'--label {assignment}: {reason}.')
        if method in files:
            raise click.UsageError(f'{method} is given twice, as {files[method][0]} and {text}: join the two files.')
        path, colon, entry = text.rpartition(':')
        if Path(text).is_file() or not colon:
            path, entry = text, ''
        if not Path(path).is_file():
            raise click.UsageError(f'--label {assignment}: there is no file {path}.')
        files[method] = Path(path), entry or None
    return files


def _read_units(assignments: tuple[str, ...]) -> Callable[[str], Units]:
    """Return what gives the units of a method's file, from ``[METHOD=]ENERGY[,FORCES]`` assignments."""
    from aiida_mlcc.cli.inputs import method_named
    from aiida_mlcc.science.dataset.label_units import Units, UnitsError

    found: dict[str, Units] = {}
    for assignment in assignments:
        name, sign, text = assignment.partition('=')
        try:
            found[method_named(name) if sign else ''] = Units.parse(text if sign else assignment)
        except UnitsError as error:
            raise click.UsageError(f'--units {assignment}: {error}.') from None
    return lambda method: found.get(method, found.get('', Units()))


def _read_sigmas(assignments: tuple[str, ...]) -> dict[str, float | str]:
    """Return ``METHOD=EV|ENTRY`` assignments by method."""
    from aiida_mlcc.cli.inputs import method_named

    found: dict[str, float | str] = {}
    for assignment in assignments:
        name, sign, text = (part.strip() for part in assignment.partition('='))
        if not sign or not text:
            raise click.UsageError(f'--sigma {assignment}: write it as METHOD=EV or METHOD=ENTRY.')
        try:
            found[method_named(name)] = float(text)
        except ValueError:
            found[method_named(name)] = text
    return found


def _find(identifier: str, profile: str | None) -> SnapshotsData:
    load(profile)
    from aiida.plugins import DataFactory

    return find(identifier, DataFactory('mlcc.snapshots'))


@click.group(cls=OrderedGroup)
def dataset() -> None:
    """Import, show and export labelled snapshots.

    Files are extended XYZ, or files of ASE (.traj, .db, .json), VASP (vasprun.xml, OUTCAR, ML_AB) or phonopy
    (phonopy_params.yaml), compressed or not. Energies are in eV per cell and forces in eV/Å.
    """


for command in (import_files, fetch, list_all, show, export):
    dataset.add_command(command)
