"""``aiida-mlcc setup``: profile, computer and code, made where they are missing."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_mlcc.cli.nodes import export_line, profile_suffix
from aiida_mlcc.cli.profiles import OWN_PROFILE, own_directory, quieten, refuse_unknown, settle_directory

if TYPE_CHECKING:
    from aiida.manage.configuration.config import Config
    from aiida.orm import Computer, InstalledCode

COMPUTER = 'localhost'
CODE = 'mlcc-python'
CACHED = 'aiida.calculations:mlcc.*'


@click.command()
@click.option(
    '--path',
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory that holds AiiDA's configuration and data. Default: AIIDA_PATH if set, otherwise ~/.aiida-mlcc.",
)
@click.option('-p', '--profile', metavar='NAME', help='Use this profile. Without --path it must exist already.')
@click.option(
    '--caching/--no-caching',
    default=None,
    help='Let AiiDA reuse the results of equal jobs of this package. On in a profile that this command creates; '
    'unchanged in an existing profile.',
)
def setup(path: Path | None, profile: str | None, caching: bool | None) -> None:
    """Create a profile, and set up this computer and this Python as a code.

    You can run the command again at any time: existing entries are left unchanged. Without --profile, it creates a
    profile `mlcc` (SQLite and ZeroMQ: no service needed) in its own directory.
    """
    set_up(path, profile, caching)
    click.echo(f'Work in this profile with:\n\n  {export_line()}\n  verdi{profile_suffix()} daemon start\n')


def set_up(path: Path | None, profile: str | None, caching: bool | None) -> None:
    """Do what `setup` does, say so line by line, and load the profile."""
    if path is None and profile is None and not os.environ.get('AIIDA_PATH'):
        path = own_directory()
    if path is not None:
        path = path.expanduser().resolve()
        path.mkdir(parents=True, exist_ok=True)
        settle_directory(path)

    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from aiida.manage.configuration import get_config, load_profile

        config = get_config(create=True)
    if path is None and profile is not None:
        refuse_unknown(config, profile)
    name = profile or OWN_PROFILE
    made = name not in config.profile_names
    if made:
        _create_profile(config, name)
        click.echo(f'created the profile {name} in {config.dirpath} (SQLite, ZeroMQ)')
    else:
        click.echo(f'the profile {name} already exists, in {config.dirpath}')
    load_profile(name, allow_switch=True)
    quieten()
    _enable_caching(config, name, made if caching is None else caching)
    _code(_computer(Path(config.dirpath) / 'scratch' / name))


def _create_profile(config: Config, name: str) -> None:
    from aiida.manage.configuration import create_profile
    from aiida.plugins import BrokerFactory

    alone = not config.profile_names
    create_profile(
        config,
        name=name,
        email='aiida@localhost',
        storage_backend='core.sqlite_dos',
        storage_config={},
        broker_backend='core.zeromq',
        broker_config=BrokerFactory('core.zeromq').get_default_config(),
    )
    config.set_option('runner.poll.interval', 1, scope=name)
    if alone:
        config.set_default_profile(name, overwrite=True)
    config.store()


def _enable_caching(config: Config, profile: str, wanted: bool) -> None:
    enabled = list(config.get_option('caching.enabled_for', scope=profile) or [])
    if CACHED in enabled:
        click.echo('equal jobs of this package are computed once (caching is on)')
    elif wanted:
        config.set_option('caching.enabled_for', [*enabled, CACHED], scope=profile)
        config.store()
        click.echo('switched caching on for the jobs of this package: equal jobs are computed once')
    else:
        click.echo('left caching unchanged; --caching switches it on for the jobs of this package')


def _computer(workdir: Path) -> Computer:
    from aiida.common.exceptions import NotExistent
    from aiida.orm import Computer

    try:
        computer = Computer.collection.get(label=COMPUTER)
    except NotExistent:
        if shutil.which('ps') is None:
            raise click.ClickException(
                'AiiDA watches jobs on this computer with `ps`, which is not installed: install procps.'
            ) from None
        computer = Computer(
            label=COMPUTER,
            hostname='localhost',
            description='this computer',
            transport_type='core.local',
            scheduler_type='core.direct',
            workdir=str(workdir),
        ).store()
        computer.set_minimum_job_poll_interval(1)
        computer.set_default_mpiprocs_per_machine(1)
        click.echo(f'created the computer {COMPUTER} (no scheduler) with the work directory {workdir}')
    else:
        click.echo(f'the computer {COMPUTER} already exists, with the work directory {computer.get_workdir()}')
    if not computer.is_configured:
        # A login shell takes a tenth of a second, and the state of a job is asked for every second.
        computer.configure(safe_interval=0, use_login_shell=False)
        click.echo(f'configured the computer {COMPUTER}')
    return computer


def _code(computer: Computer) -> InstalledCode:
    from aiida.orm import InstalledCode, QueryBuilder

    query = QueryBuilder().append(InstalledCode, filters={'label': CODE}, project='*')
    for code in query.all(flat=True):
        if code.computer.uuid != computer.uuid:
            continue
        if str(code.filepath_executable) == sys.executable:
            click.echo(f'the code {code.full_label} already exists: {sys.executable}')
            return code
        code.label = f'{CODE}-{code.uuid[:8]}'
        code.is_hidden = True
        click.echo(f'the code of {code.filepath_executable} is now called {code.full_label}, and hidden')
    code = InstalledCode(
        label=CODE,
        computer=computer,
        filepath_executable=sys.executable,
        description='the Python that aiida-mlcc was set up from',
        with_mpi=False,
    ).store()
    click.echo(f'created the code {code.full_label}: {sys.executable}')
    return code
