"""``aiida-mlcc article``: the curves of the article from its published energies, at a size for two cores."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.local_run import conclude, line_again, local_options, run_to_the_end
from aiida_mlcc.cli.setup import CODE, COMPUTER

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder

    from aiida_mlcc.jobs.inputs import InputValue
    from aiida_mlcc.science.json_values import JsonValue

COLLECTION = 'mlphonons'

REMARK = (
    'Networks and dynamics are smaller than in the article, and Δ is a fit of force constants: `aiida-mlcc '
    'launch --protocol paper` uses the settings of the article.'
)


@click.command()
@click.argument('crystal', type=click.Choice(['diamond', 'lih']))
@click.option(
    '--from',
    'folder',
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help='Read the published files, gzipped or not, from this copy of their repository instead of downloading them.',
)
@local_options('mlcc-article')
def article(crystal: str, folder: Path | None, path: Path, profile: str | None, new: bool) -> None:
    """Compute the curves of the article from the energies published with it.

    Phonons of diamond or LiH with DFT, HF, MP2, CCSD and CCSD(T), with five members and dynamics (arXiv:2507.06929), on
    this computer. You can interrupt the command at any time; run it again to resume.
    """
    from aiida_mlcc.cli.report import write_what_there_is
    from aiida_mlcc.cli.results import print_results

    words = ['article', crystal, *([] if folder is None else ['--from', str(folder)])]
    again = line_again(words, path, profile)
    node = run_to_the_end(path, profile, new, f'{crystal} of the article', lambda: prepare(crystal, folder), again)
    print_results(node, points=('GAMMA', 'X', 'L'))
    write_what_there_is(node, path / crystal)
    conclude(node, REMARK)


def prepare(crystal: str, folder: Path | None) -> ProcessBuilder:
    """Return the builder of the run of a crystal, its published energies imported.

    :param folder: a copy of the repository that the energies are published in; else they are downloaded.
    """
    from aiida_mlcc.cli.dataset_fetch import import_published
    from aiida_mlcc.cli.dataset_nodes import structure_of
    from aiida_mlcc.cli.inputs import build, read_code, read_nac

    (snapshots,) = import_published(COLLECTION, [crystal], folder)
    settings = settings_of(crystal)
    protocol, born = str(settings.pop('protocol')), settings.pop('born')
    given: dict[str, InputValue] = {'snapshots': snapshots}
    if isinstance(born, str):
        with resources.as_file(resources.files('aiida_mlcc.cli').joinpath(born)) as path:
            given['nac'] = read_nac(str(path))
    click.echo(f'\nPhonons of {crystal}, from {snapshots.n_frames} frames of the article:')
    if (structure := structure_of(snapshots)) is None:
        raise click.ClickException(f'The crystal of {snapshots.label} is no longer in this profile.')
    return build(structure, read_code(f'{CODE}@{COMPUTER}'), protocol, settings, **given)


def settings_of(crystal: str) -> dict[str, JsonValue]:
    """Return the protocol, the overrides of its inputs, and the name of the file with Born charges, if any."""
    import yaml

    content = yaml.safe_load(resources.files('aiida_mlcc.cli').joinpath('article.yaml').read_text('utf-8'))
    return content[crystal]
