"""``aiida-mlcc model``: networks from elsewhere, and networks that stand for a force field."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import describe, find, find_process, profile_suffix
from aiida_mlcc.cli.profiles import load, load_to_read
from aiida_mlcc.cli.root import OrderedGroup, profile_option, reading_option
from aiida_mlcc.cli.run_options import code_option, label_option, protocol_option, scheduler_option

if TYPE_CHECKING:
    from aiida.orm import ProcessNode


@click.group(cls=OrderedGroup)
def model() -> None:
    """Import networks from other programs, and replace a force field by one network."""


@model.command('import')
@click.argument('file', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option('--unpickle', is_flag=True, help='Allow FILE to run its code while it is read (see below).')
@click.option('--method', required=True, metavar='NAME', help='Method that the network was trained on, such as PBE.')
@click.option('--head', metavar='NAME', help='Head to keep, if the model has several.')
@click.option('--licence', metavar='TEXT', help='Licence of the model; stored with it.')
@click.option('--source', metavar='TEXT', help='Source of the model, such as a DOI or a URL; stored with it.')
@click.option('--label', metavar='TEXT', help='Label of the node; by default the name of the file.')
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
    """Import a .model file of MACE as a force field, as the start of a training (`base.start_from`).

    Such a file is a Python pickle: reading it can run arbitrary code on this machine, with your rights. Import only
    files whose source you trust, and confirm this with --unpickle. The file is read in a separate process; the network
    is stored as JSON and safetensors, which contain no code.
    """
    if not unpickle:
        raise click.UsageError(
            f'{file.name} is a Python pickle: reading it runs the code in it. If you trust its source, repeat the '
            'command with --unpickle.'
        )
    load(profile)
    from aiida_mlcc.data.force_field import ForceFieldData
    from aiida_mlcc.science.force_field import ForceField

    given = {'--method': method, '--head': head, '--licence': licence, '--source': source}
    options = [word for name, value in given.items() if value is not None for word in (name, value)]
    with tempfile.TemporaryDirectory() as folder:
        module = [sys.executable, '-m', 'aiida_mlcc.runtime.mace.import_model']
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


@model.command()
@click.argument('force_field', metavar='FORCE_FIELD')
@click.option('--snapshots', required=True, metavar='ID', help='Frames to train on; their labels are not read.')
@click.option('--structure', metavar='FILE|ID', help='The crystal; the one of the snapshots if not given.')
@protocol_option
@click.option(
    '--set',
    'assignments',
    metavar='PATH.TO.INPUT=VALUE',
    multiple=True,
    help='Override an input of the protocol, for instance train.training.hessian_epochs=3; can be repeated.',
)
@code_option
@scheduler_option
@label_option
@click.option('--wait', is_flag=True, help='Show the progress until the run is over, then the errors of the network.')
@profile_option
def distill(
    force_field: str,
    snapshots: str,
    structure: str | None,
    protocol: str | None,
    assignments: tuple[str, ...],
    code: str | None,
    options: tuple[str, ...],
    label: str,
    wait: bool,
    profile: str | None,
) -> None:
    """Train one network that replaces FORCE_FIELD, such as a base with its Δ.

    The network is trained on energies, forces and force constants of the force field.
    """
    from aiida_mlcc.cli.dataset_nodes import structure_of
    from aiida_mlcc.cli.inputs import read_code, read_settings, read_structure, refuse_options, validated
    from aiida_mlcc.cli.launch import submit_checked

    overrides, scheduler = read_settings(assignments), read_settings(options, '--option')
    load(profile)
    from aiida.plugins import DataFactory, WorkflowFactory

    refuse_options(scheduler, '--option')
    frames = find(snapshots, DataFactory('mlcc.snapshots'))
    crystal = structure_of(frames) if structure is None else read_structure(structure)
    if crystal is None:
        raise click.UsageError(
            'The snapshots do not contain their crystal: give it with --structure, as a file or an ID.'
        )
    builder = validated(
        WorkflowFactory('mlcc.distill'),
        code=read_code(code),
        structure=crystal,
        snapshots=frames,
        force_field=find(force_field, DataFactory('mlcc.force_field')),
        protocol=protocol,
        overrides=overrides,
        options=scheduler,
    )
    builder.metadata.label = label
    node = submit_checked(builder)
    if not wait:
        click.echo(f'Its errors, when it is over: aiida-mlcc model errors{profile_suffix()} {node.pk}')
        return
    from aiida_mlcc.cli.watch import wait_for

    wait_for(node)
    _print_errors(node)


@model.command()
@click.argument('identifier', metavar='ID')
@reading_option
def errors(identifier: str, profile: str | None) -> None:
    """Print the differences between a distilled network and its teacher.

    ID is a run of `model distill`, or its network.
    """
    load_to_read(profile)
    _print_errors(find_process(identifier))


def _print_errors(process: ProcessNode) -> None:
    """Print the errors of the network that a run has trained; raise where there is none."""
    from aiida_mlcc.report.text import distilled_lines

    if process.process_type != 'aiida.workflows:mlcc.distill':
        raise click.UsageError(f'{describe(process)} is not a run of `aiida-mlcc model distill`.')
    if 'summary' not in process.outputs:
        reason = process.exit_message or f'it is {process.process_state.value}'
        raise click.ClickException(f'{describe(process)} has no network: {reason}')
    network = process.outputs.force_field
    click.echo(f'{network.label}: {describe(network)} {network.uuid}')
    for line in distilled_lines(network.method, process.outputs.summary['errors']):
        click.echo(line)
