"""``aiida-mlcc model``: networks from elsewhere."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from aiida_mlcc.cli.nodes import describe
from aiida_mlcc.cli.profiles import load
from aiida_mlcc.cli.root import OrderedGroup, profile_option


@click.group(cls=OrderedGroup)
def model() -> None:
    """Networks that other programs have trained."""


@model.command('import')
@click.argument('file', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option('--unpickle', is_flag=True, help='Allow FILE to run its code while it is read (see below).')
@click.option('--method', required=True, metavar='NAME', help='Whose energies it learnt, such as PBE.')
@click.option('--head', metavar='NAME', help='Of a model with several heads, the one to keep.')
@click.option('--licence', metavar='TEXT', help='Under which it is published; stored with it.')
@click.option('--source', metavar='TEXT', help='Where it comes from, such as a DOI or a URL; stored with it.')
@click.option('--label', metavar='TEXT', help='Of the node; by default the name of the file.')
@profile_option
def import_model(
    file: Path,
    unpickle: bool,
    method: str,
    head: str | None,
    licence: str | None,
    source: str | None,
    label: str | None,
    profile: str | None,
) -> None:
    """Store a .model of MACE as a force field, to start a training from (`base.start_from`).

    Such a file is a Python pickle: whoever made it can make it run any code on this machine, with your rights. Import
    only files whose origin you trust, and say so with --unpickle. The file is read in a separate process; what is
    stored is JSON and safetensors, which run nothing.
    """
    if not unpickle:
        raise click.UsageError(
            f'{file.name} is a Python pickle: reading it runs the code in it. If you trust its origin, repeat the '
            'command with --unpickle.'
        )
    load(profile)
    from aiida_mlcc.data.force_field import ForceFieldData
    from aiida_mlcc.science.force_field import ForceField

    given = {'--method': method, '--head': head, '--licence': licence, '--source': source}
    options = [word for name, value in given.items() if value is not None for word in (name, value)]
    with tempfile.TemporaryDirectory() as folder:
        module = [sys.executable, '-m', 'aiida_mlcc.runtime.mace_import']
        command = [*module, str(file.resolve()), folder, '--unpickle', *options]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            reason = (ended.stderr.strip().splitlines() or ['the process that read it was killed'])[-1]
            raise click.ClickException(f'{file.name} was not imported: {reason}')
        node = ForceFieldData(ForceField.load(folder), label=label or file.name)
    if licence is not None or source is not None:
        node.source = {'license': licence, 'uri': source, 'description': file.name}
    node.store()
    elements = ', '.join(node.base.attributes.get('constants'))
    click.echo(f'stored {describe(node)}, {node.label}: a network of {method} for {elements}')
    click.echo(f'Start a training from it with: --set delta_train.base.start_from={node.uuid}')
