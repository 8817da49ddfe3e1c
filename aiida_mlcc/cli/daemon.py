"""The daemon: without it nothing goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click


def is_running() -> bool:
    """Tell whether the daemon of the loaded profile runs."""
    from aiida.common.exceptions import ConfigurationError
    from aiida.engine.daemon.client import DaemonException, get_daemon_client

    try:
        client = get_daemon_client()
        if not client.is_daemon_running:
            return False
        client.get_status()
    except (DaemonException, ConfigurationError):
        return False
    return True


def require() -> None:
    """Raise where the daemon does not run.

    :raises click.ClickException: with the line that starts it.
    """
    if not is_running():
        raise click.ClickException('The daemon is not running, so nothing would go on: `verdi daemon start` first.')


@contextmanager
def running() -> Iterator[None]:
    """Have a daemon for as long as this lasts; one that ran before is left running."""
    from aiida.common.exceptions import ConfigurationError
    from aiida.engine.daemon.client import DaemonException, get_daemon_client

    if is_running():
        yield
        return
    client = get_daemon_client()
    try:
        client.start_daemon(number_workers=1)
    except (DaemonException, ConfigurationError) as error:
        raise click.ClickException(f'The daemon does not start: {" ".join(str(error).split())}') from None
    click.echo('started the daemon')
    try:
        yield
    finally:
        client.stop_daemon(wait=True)
        click.echo('stopped the daemon')
