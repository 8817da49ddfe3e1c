"""``aiida-mlcc trace``: from a dispersion back to each energy that made it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import describe, find
from aiida_mlcc.cli.profiles import load_to_read
from aiida_mlcc.cli.root import reading_option

if TYPE_CHECKING:
    from aiida_mlcc.report.provenance.trace import Trace


@click.command()
@click.argument('identifier', metavar='ID')
@click.option('--method', help='If ID is a run, only the dispersion of this method.')
@click.option('--json', 'as_json', is_flag=True, help='Print JSON.')
@reading_option
def trace(identifier: str, method: str | None, as_json: bool, profile: str | None) -> None:
    """List every energy that a curve was computed from.

    With its method, its snapshot in the training set, and the job that computed it.

    ID is a dispersion, a density of states, or a run: then all of its dispersions.
    """
    load_to_read(profile)
    node = find(identifier)
    from aiida_mlcc.cli.inputs import method_named
    from aiida_mlcc.report.provenance.trace import curves_of
    from aiida_mlcc.report.provenance.trace import trace as follow

    curves = curves_of(node)
    if not curves:
        raise click.ClickException(f'{describe(node)} has no dispersion to trace.')
    method = None if method is None else method_named(method)
    if method is not None and method not in curves:
        raise click.UsageError(f'{describe(node)} has no dispersion of {method!r}, only of {", ".join(curves)}.')
    chosen = {name: curve for name, curve in curves.items() if method in (None, name)}
    traces = {name: follow(curve) for name, curve in chosen.items()}
    if as_json:
        plain = {name or next(reversed(t.methods), ''): t.plain() for name, t in traces.items()}
        click.echo(json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False))
        return
    for name, found in traces.items():
        _print(name, found)


def _print(name: str, found: Trace) -> None:
    click.echo(f'{f"dispersion of {name}" if name else "curve"} {found.curve}')
    click.echo(f'  made from: {len(found.force_fields)} force fields of {", ".join(found.methods) or "no method"}')
    click.echo(f'  seeds: {", ".join(map(str, found.seeds)) or "none"}')
    click.echo(f'  training snapshots: {", ".join(found.training_sets) or "none"}')
    click.echo(f'  {"method":<8} {"snapshot":>8} {"energy (eV)":>16}  {"calculation":<36}  {"name"}')
    for energy in found.energies:
        where = energy.calculation or f'given in {energy.node}'
        click.echo(
            f'  {energy.method:<8} {energy.snapshot:>8} {energy.energy_eV:>16.6f}  {where:<36}  '
            f'{energy.name}, frame {energy.frame}'
        )
        if energy.hartree_fock is not None:
            click.echo(f'  {"":<34}  {energy.hartree_fock:<36}  its Hartree–Fock part')
    click.echo(f'  {len(found.energies)} energies\n')
