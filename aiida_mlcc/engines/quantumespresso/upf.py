"""``aiida-mlcc upf``: pseudopotentials of a GTH table as UPF files, and as a family for Quantum ESPRESSO."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import click


@click.command()
@click.argument('table')
@click.argument('elements', nargs=-1, required=True, metavar='ELEMENT...')
@click.option(
    '--folder',
    type=click.Path(file_okay=False, path_type=Path),
    help='Folder to write to, one file for each element; TABLE-upf if not given.',
)
@click.option('--family', help='Also install them as a family of aiida-pseudo with this name.')
@click.pass_obj
def upf(
    load_profile: Callable[[str | None], None],
    table: str,
    elements: tuple[str, ...],
    folder: Path | None,
    family: str | None,
    profile: str | None,
) -> None:
    """Convert Goedecker-Teter-Hutter pseudopotentials to UPF files, without any loss.

    TABLE is one of PySCF's, such as gth-pbe, or a file in the format of CP2K. An ELEMENT with several potentials may
    name its valence electrons, as Li:1.
    """
    from aiida_mlcc.engines.quantumespresso.gth_upf import GthError, read_gth, to_upf

    text = _text_of(table)
    target = folder or Path(f'{Path(table).stem}-upf')
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise click.UsageError(f'{target} is there already: give a new or an empty --folder.')
    if family is not None:
        load_profile(profile)
        _refuse_family(family)
    written: dict[str, str] = {}
    for name in elements:
        element, _, electrons = name.partition(':')
        if electrons and not electrons.isdigit():
            raise click.UsageError(f'{name}: give the valence electrons as a number, such as {element}:1.')
        if element in written:
            raise click.UsageError(f'{element} is named twice: a family has one potential for each element.')
        try:
            potential = read_gth(text, element, int(electrons) if electrons else None)
        except GthError as error:
            raise click.ClickException(f'{error}.') from None
        written[element] = to_upf(potential)
        click.echo(f'{element}: {potential.names[0]}, {potential.valence} valence electrons')
    target.mkdir(parents=True, exist_ok=True)
    for element, content in written.items():
        (target / f'{element}.upf').write_text(content)
    click.echo(f'wrote {len(written)} files to {target}')
    if family is not None:
        _install(target, family)
        click.echo(f'installed the family {family}')


def _text_of(table: str) -> str:
    if Path(table).is_file():
        return Path(table).read_text()
    found = find_spec('pyscf')
    if found is None or found.origin is None:
        raise click.UsageError(f'{table} is not a file, and PySCF, which has tables by name, is not installed.')
    tables = Path(found.origin).parent / 'pbc' / 'gto' / 'pseudo'
    path = tables / f'{table.lower()}.dat'
    if not path.is_file():
        known = ', '.join(sorted(one.stem for one in tables.glob('gth-*.dat')))
        raise click.UsageError(f'{table} is not a file, and PySCF has no table of that name: its tables are {known}.')
    return path.read_text()


def _refuse_family(family: str) -> None:
    """Raise where a family cannot be installed, before anything is written."""
    from aiida.orm import Group, QueryBuilder

    if QueryBuilder().append(Group, filters={'label': family}).count():
        raise click.UsageError(f'There is a group {family} already: give the family another name.')
    if find_spec('aiida_pseudo') is None:
        raise click.ClickException("--family needs aiida-pseudo: pip install 'aiida-mlcc[quantumespresso]'.")


def _install(folder: Path, family: str) -> None:
    """Install the files of a folder as a family of aiida-pseudo."""
    from aiida_pseudo.data.pseudo.upf import UpfData
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    try:
        PseudoPotentialFamily.create_from_folder(folder, family, pseudo_type=UpfData)
    except ValueError as error:
        raise click.ClickException(f'{error}.') from None
