"""The daemon: without it nothing goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

_PATIENCE_S = 60
"""How long the daemon may take to answer: on a busy computer longer than AiiDA's own two seconds."""


def is_running() -> bool:
    """Tell whether the daemon of the loaded profile runs; one that is too busy to answer does."""
    from aiida.common.exceptions import ConfigurationError
    from aiida.engine.daemon.client import DaemonException, DaemonTimeoutException, get_daemon_client

    try:
        client = get_daemon_client()
        if not client.is_daemon_running:
            return False
        client.get_status()
    except DaemonTimeoutException:
        return True
    except (DaemonException, ConfigurationError):
        return False
    return True


def trouble() -> str | None:
    """Say in a sentence why nothing goes on, as far as the daemon is concerned; None where it works."""
    from aiida.common.exceptions import ConfigurationError
    from aiida.engine.daemon.client import DaemonException, DaemonTimeoutException, get_daemon_client

    if not is_running():
        return 'The daemon is not running, so no run continues: start it with `verdi daemon start`.'
    try:
        workers = get_daemon_client().get_worker_info(timeout=_PATIENCE_S // 4).get('info', {})
    except DaemonTimeoutException:
        return (
            'The daemon does not respond. It may be too busy; if this persists: `verdi daemon stop --no-wait`, '
            'end its remaining processes, then `verdi daemon start`.'
        )
    except (DaemonException, ConfigurationError):
        return 'The daemon is not running, so no run continues: start it with `verdi daemon start`.'
    return _trouble_of_workers([int(pid) for pid in workers])


def _trouble_of_workers(pids: list[int]) -> str | None:
    if not pids:
        return 'The daemon has no worker, so no run continues: `verdi daemon incr 1`, or see `verdi daemon logshow`.'
    dead = [pid for pid in pids if _is_dead(pid)]
    if len(dead) < len(pids):
        return None
    return (
        f'The workers of the daemon ({", ".join(map(str, dead))}) are stopped or dead, so no run continues: '
        '`verdi daemon restart`.'
    )


def _is_dead(pid: int) -> bool:
    import psutil

    try:
        status = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return True
    return status in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def outdated() -> str | None:
    """Say that packages were changed since the daemon started, as far as AiiDA notes their versions."""
    from aiida.cmdline.utils import daemon
    from aiida.engine.daemon.client import get_daemon_client

    compare = getattr(daemon, 'validate_daemon_env', None)
    difference = None if compare is None else compare(get_daemon_client())
    return ' '.join(str(difference).split()) if difference else None


def require() -> None:
    """Raise where the daemon does not run.

    :raises click.ClickException: with the line that starts it.
    """
    if not is_running():
        raise click.ClickException(
            'The daemon is not running, so the run would not start: run `verdi daemon start` first.'
        )


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
        client.start_daemon(number_workers=1, timeout=_PATIENCE_S)
    except (DaemonException, ConfigurationError) as error:
        raise click.ClickException(f'The daemon could not be started: {" ".join(str(error).split())}') from None
    click.echo('started the daemon')
    try:
        yield
    finally:
        _stop()


def _stop() -> None:
    """Stop the daemon; where that fails, say so and let whatever else happened be heard."""
    from aiida.engine.daemon.client import DaemonException, get_daemon_client

    try:
        get_daemon_client().stop_daemon(wait=True, timeout=_PATIENCE_S)
    except DaemonException as error:
        click.echo(f'the daemon could not be stopped ({" ".join(str(error).split())}); see `verdi daemon status`')
    else:
        click.echo('stopped the daemon')
