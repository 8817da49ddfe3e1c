"""``aiida-mlcc launch``: a run of the master WorkChain from a structure, checked before anything is submitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import find, lines_to_open
from aiida_mlcc.cli.profiles import load
from aiida_mlcc.cli.root import profile_option
from aiida_mlcc.cli.run_options import code_option, label_option, protocol_option, scheduler_option
from aiida_mlcc.engines.table import CODES

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import Dict, ProcessNode, StructureData

    from aiida_mlcc.data.snapshots import SnapshotsData
    from aiida_mlcc.jobs.inputs import InputValue


def _code_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for the code of each engine that has a program of its own."""
    for place, what in reversed(CODES.items()):
        command = click.option(f'--{place}-code', metavar='LABEL', help=what)(command)
    return command


@click.command()
@click.argument('structure', metavar='[STRUCTURE_FILE|ID]', required=False)
@protocol_option
@click.option('--methods', metavar='HF,MP2,…', help='Wave-function methods, separated by commas.')
@click.option(
    '--overrides',
    'overrides_file',
    metavar='FILE',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Override inputs of the protocol with those in this YAML file.',
)
@click.option(
    '--set',
    'assignments',
    metavar='PATH.TO.INPUT=VALUE',
    multiple=True,
    help='Override an input of the protocol or of the file, for instance cc_energies.selection.n=32; can be repeated.',
)
@click.option('--snapshots', metavar='ID', help='Start from this SnapshotsData instead of making structures.')
@click.option(
    '--displacements',
    metavar='FILE|ID',
    help='Use these reference displacements with DFT forces: a SnapshotsData, or, with --snapshots, a '
    'phonopy_params.yaml or another file of frames with forces.',
)
@click.option(
    '--reuse-labels/--no-reuse-labels',
    default=True,
    help='With --snapshots: reuse energies of the same structures from earlier runs in this profile.',
)
@click.option(
    '--nac',
    metavar='FILE|ID',
    multiple=True,
    help='Born charges and dielectric tensor of a polar crystal: a BORN file of phonopy, an output of ph.x, a '
    'file of q2r.x, or a node. A second value, from another k mesh, is compared with the first.',
)
@click.option(
    '--symprec',
    metavar='Å',
    type=click.FloatRange(min=0, min_open=True),
    help='Symmetry tolerance of all stages; chosen from the number of digits in the structure if not given.',
)
@click.option(
    '--symmetrise',
    metavar='Å',
    type=click.FloatRange(min=0, min_open=True),
    help='First move the atoms to the symmetric positions of the symmetry found within this tolerance.',
)
@code_option
@_code_options
@click.option(
    '--vasp-kpoints-code',
    metavar='LABEL',
    help='VASP for meshes of k-points, if --vasp-code is the Γ-only program.',
)
@scheduler_option
@click.option(
    '--train-option',
    'train_options',
    metavar='KEY=VALUE',
    multiple=True,
    help='A scheduler option of the training of networks only, for instance queue_name=gpu.',
)
@label_option
@click.option('--dry-run', is_flag=True, help='Check everything, print the plan with its number of jobs, and stop.')
@click.option(
    '--forecast/--no-forecast',
    'with_forecast',
    default=True,
    help='With Cc4s and VASP: first run a dry run of Cc4s, a job of seconds, to estimate the cost of the energies.',
)
@click.option('--wait', is_flag=True, help='Show the progress until the run is over, then its results.')
@click.option(
    '--report',
    'report_folder',
    metavar='DIRECTORY',
    type=click.Path(file_okay=False, path_type=Path),
    help='Wait, and write the page of `aiida-mlcc report` to this directory.',
)
@profile_option
def launch(
    structure: str | None,
    protocol: str | None,
    methods: str | None,
    overrides_file: Path | None,
    assignments: tuple[str, ...],
    snapshots: str | None,
    displacements: str | None,
    reuse_labels: bool,
    nac: tuple[str, ...],
    symprec: float | None,
    symmetrise: float | None,
    code: str | None,
    vasp_kpoints_code: str | None,
    options: tuple[str, ...],
    train_options: tuple[str, ...],
    label: str,
    dry_run: bool,
    with_forecast: bool,
    wait: bool,
    report_folder: Path | None,
    profile: str | None,
    **codes: str | None,
) -> None:
    """Compute the phonons of a crystal.

    Give the crystal as a file that ASE reads, or as a StructureData node; a data set given with --snapshots already
    contains it.
    """
    from aiida_mlcc.cli.inputs import (
        build,
        read_code,
        read_methods,
        read_nac,
        read_overrides,
        read_settings,
        refuse_options,
        tidy_methods,
    )
    from aiida_mlcc.cli.inputs import symmetrise as make_symmetric
    from aiida_mlcc.jobs.inputs import merge

    overrides = tidy_methods(merge(read_overrides(overrides_file), read_settings(assignments)))
    protocol = None if protocol is None else protocol.lower()
    scheduler = {
        'options': read_settings(options, '--option') or None,
        'train_options': read_settings(train_options, '--train-option') or None,
    }
    if methods is not None:
        overrides['methods'] = read_methods(methods)
    load(profile)
    for name, given_options in (('--option', scheduler['options']), ('--train-option', scheduler['train_options'])):
        refuse_options(given_options or {}, name)
    given: dict[str, InputValue] = {name: read_code(label) for name, label in codes.items() if label is not None}
    if vasp_kpoints_code is not None:
        overrides = merge(overrides, {'cc_energies': {'vasp': {'code_kpoints': read_code(vasp_kpoints_code)}}})
    frames: SnapshotsData | None = None
    if snapshots is not None:
        from aiida.plugins import DataFactory

        from aiida_mlcc.cli.known_labels import find_known_labels

        given['snapshots'] = frames = find(snapshots, DataFactory('mlcc.snapshots'))
        given['known_labels'] = find_known_labels(frames) if reuse_labels else {}
    if displacements is not None:
        from aiida_mlcc.cli.displacements import read_displacements

        given['displacements'] = read_displacements(displacements, frames)
    if len(nac) > 2:
        raise click.UsageError('--nac is given more than twice: give the charges of one or two k meshes.')
    given |= {name: read_nac(source) for name, source in zip(('nac', 'nac_other'), nac, strict=False)}
    if 'methods' in overrides and 'vacf_methods' not in overrides:
        overrides['vacf_methods'] = _spectra(protocol, read_methods(overrides['methods']))
    crystal = _crystal(structure, frames)
    if symmetrise is not None:
        crystal = make_symmetric(crystal, symmetrise)
    builder = build(crystal, read_code(code), protocol, overrides, symprec=symprec, **given, **scheduler)
    builder.metadata.label = label
    if reuse_labels and frames is not None:
        from aiida_mlcc.cli.known_labels import reuse_finished_jobs

        reuse_finished_jobs(builder, frames)
    forecast = _forecast(builder) if with_forecast else None
    _print_plan(builder, forecast)
    if dry_run:
        but = '' if forecast is None else ' but the forecast'
        click.echo(f'All inputs are valid; nothing{but} was submitted.')
        return
    node = submit_checked(builder)
    if wait or report_folder is not None:
        _follow(node, report_folder)
    else:
        click.echo('\nFollow it with:\n  ' + '\n  '.join(lines_to_open(node)[:3]))


def _crystal(structure: str | None, snapshots: SnapshotsData | None) -> StructureData:
    from aiida_mlcc.cli.dataset_nodes import structure_of
    from aiida_mlcc.cli.inputs import read_structure

    if structure is not None:
        return read_structure(structure)
    found = None if snapshots is None else structure_of(snapshots)
    if found is None:
        raise click.UsageError('Which crystal? Give a structure: a file or an ID.')
    return found


def _spectra(protocol: str | None, methods: list[str]) -> list[str]:
    """Return the protocol's methods with dynamics as far as they are asked for; else the costliest one asked for."""
    from aiida_mlcc.science.labels.methods import DFT, in_order, usual_kind
    from aiida_mlcc.workflows.common.protocol import ProtocolError
    from aiida_mlcc.workflows.mlcc_phonon import MLCCPhononWorkChain

    try:
        wanted = MLCCPhononWorkChain.get_protocol_inputs(protocol)['vacf_methods']
    except ProtocolError as error:
        raise click.UsageError(f'{error}.') from None
    kept = [method for method in wanted if method in methods or usual_kind(method) == DFT]
    return kept if kept or not wanted else in_order(methods)[-1:]


def _forecast(builder: ProcessBuilder) -> Dict | None:
    """Run the job that says what a point of the energies will cost, and hand its answer to the run; None without one.

    :raises click.UsageError: where the budget is below one point.
    """
    from aiida.engine import run_get_node
    from aiida.orm import AbstractCode

    from aiida_mlcc.engines.table import correlation_engine
    from aiida_mlcc.workflows.labelling.forecast import FORECAST, refuse_below_one_point
    from aiida_mlcc.workflows.sampling.expected_frames import expected_frames, first_point

    inputs = builder._inputs(prune=True)
    if not (labelling := inputs.get('cc_energies')) or FORECAST in labelling:
        return None
    engine = correlation_engine(labelling['engine'])
    step = engine.forecast(labelling, first_point(inputs), inputs['methods'].get_list())
    if step is None:
        return None
    process, job = step
    code = job['code']
    assert isinstance(code, AbstractCode)
    computer = code.computer.label
    click.echo(f'Running a dry run of Cc4s on {computer} to estimate the cost of a point; --no-forecast skips it …')
    outputs, node = run_get_node(process, **job)
    if FORECAST not in outputs:
        click.echo(f'No forecast of the cost: {node.exit_message or node.process_state.value}')
        return None
    found: Dict = outputs[FORECAST]
    groups, budget = expected_frames(inputs).groups, labelling.get('max_core_hours')
    if (reason := refuse_below_one_point(found.get_dict(), groups, budget)) is not None:
        raise click.UsageError(f'{reason[0].upper()}{reason[1:]}.')
    builder.cc_energies[FORECAST] = found
    return found


def _print_plan(builder: ProcessBuilder, forecast: Dict | None) -> None:
    from aiida_mlcc.cli.plan import lines
    from aiida_mlcc.workflows.feasibility import remarks

    inputs = builder._inputs(prune=True)
    for line in lines(inputs, None if forecast is None else forecast.get_dict()):
        click.echo(line)
    for remark in remarks(inputs):
        click.echo(f'Remark: {remark}.')


def submit_checked(builder: ProcessBuilder) -> ProcessNode:
    """Submit a builder to the daemon, which must run, and say so."""
    from aiida.engine import submit

    from aiida_mlcc.cli.daemon import require

    require()
    node = submit(builder)
    click.echo(f'submitted {node.process_label}<{node.pk}> {node.uuid}')
    return node


def _follow(node: ProcessNode, report_folder: Path | None) -> None:
    """Show the progress and the results; raise where the run fails."""
    from aiida_mlcc.cli.report import write_what_there_is
    from aiida_mlcc.cli.results import print_results
    from aiida_mlcc.cli.watch import wait_for

    wait_for(node)
    click.echo()
    print_results(node)
    if report_folder is not None:
        write_what_there_is(node, report_folder)
    if not node.is_finished_ok:
        raise click.ClickException(node.exit_message or f'the run ended {node.process_state.value}')
