"""PostgreSQL, RabbitMQ and a Slurm of two partitions, from Debian packages, all of it in one folder.

``apt-get install postgresql rabbitmq-server slurm-wlm munge``; then as root, without systemd and without touching
what the packages set up::

    with services_at(folder) as services:
        services.make_profile('production', folder / 'aiida')

Slurm has the partitions ``cpu`` and ``gpu``, of this computer alone; the GPU is ``/dev/null``.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 90.0
MEMORY_MB = 3000
"""Of the one node."""

_POSTGRES = Path('/usr/lib/postgresql')
_RABBITMQ = Path('/usr/lib/rabbitmq/bin')
_USER = 'aiida'


def missing() -> str | None:
    """Return what this computer lacks for the services, None where it lacks nothing."""
    if os.geteuid() != 0:
        return 'the services are started as root'
    programs = ('munged', 'slurmctld', 'slurmd', 'runuser', 'epmd')
    if lacking := [name for name in programs if shutil.which(name) is None]:
        return f'there is no {lacking[0]}: apt-get install slurm-wlm munge rabbitmq-server'
    if not list(_POSTGRES.glob('*/bin/initdb')) or not (_RABBITMQ / 'rabbitmq-server').exists():
        return 'apt-get install postgresql rabbitmq-server'
    return None


@dataclass(frozen=True)
class Services:
    """What runs, and how to reach it.

    :param environment: variables by which clients of Slurm find it.
    """

    folder: Path
    postgres_port: int
    rabbitmq_port: int
    environment: Mapping[str, str]

    def make_profile(self, name: str, directory: Path) -> None:
        """Make an AiiDA profile on PostgreSQL and RabbitMQ, with its configuration in `directory`."""
        from aiida.manage.configuration import create_profile, get_config, reset_config
        from aiida.manage.configuration.settings import AiiDAConfigDir

        directory.mkdir(parents=True, exist_ok=True)
        os.environ['AIIDA_PATH'] = str(directory)
        AiiDAConfigDir.set(directory / '.aiida')
        reset_config()
        config = get_config(create=True)
        create_profile(
            config,
            name=name,
            email='aiida@localhost',
            storage_backend='core.psql_dos',
            storage_config={
                'database_engine': 'postgresql_psycopg',
                'database_hostname': 'localhost',
                'database_port': self.postgres_port,
                'database_name': _USER,
                'database_username': _USER,
                'database_password': '',
                'repository_uri': f'file://{directory / "repository"}',
            },
            broker_backend='core.rabbitmq',
            broker_config={
                'broker_protocol': 'amqp',
                'broker_username': 'guest',
                'broker_password': 'guest',
                'broker_host': '127.0.0.1',
                'broker_port': self.rabbitmq_port,
                'broker_virtual_host': '',
            },
        )
        config.set_default_profile(name, overwrite=True)
        config.store()


@contextmanager
def services_at(folder: Path) -> Iterator[Services]:
    """Start the services with all their files in `folder`; they are stopped at the end."""
    folder.chmod(0o755)
    with ExitStack() as stack:
        postgres = stack.enter_context(_postgres(folder / 'postgres'))
        rabbitmq = stack.enter_context(_rabbitmq(folder / 'rabbitmq'))
        slurm = stack.enter_context(_slurm(folder / 'slurm'))
        yield Services(folder, postgres, rabbitmq, slurm)


@contextmanager
def _postgres(folder: Path) -> Iterator[int]:
    port = _free_port()
    binaries = sorted(_POSTGRES.glob('*/bin'))[-1]
    folder.mkdir(parents=True)
    shutil.chown(folder, 'postgres')
    data = folder / 'data'

    def run(*words: str) -> None:
        _run('runuser', '-u', 'postgres', '--', *words, cwd=folder)

    run(str(binaries / 'initdb'), '-D', str(data), '-A', 'trust', '-U', 'postgres')
    options = f'-p {port} -k {folder} -c fsync=off'
    run(str(binaries / 'pg_ctl'), '-D', str(data), '-w', '-l', str(folder / 'log'), '-o', options, 'start')
    try:
        for word in ('createuser', 'createdb'):
            run(str(binaries / word), '-h', str(folder), '-p', str(port), '-U', 'postgres', _USER)
        grant = f'ALTER DATABASE {_USER} OWNER TO {_USER}'
        run(str(binaries / 'psql'), '-h', str(folder), '-p', str(port), '-U', 'postgres', '-c', grant)
        yield port
    finally:
        run(str(binaries / 'pg_ctl'), '-D', str(data), '-m', 'immediate', 'stop')


@contextmanager
def _rabbitmq(folder: Path) -> Iterator[int]:
    folder.mkdir(parents=True)
    port, epmd = _free_port(), _free_port()
    (folder / 'advanced.config').write_text('[{rabbit, [{consumer_timeout, undefined}]}].\n')
    (folder / 'enabled_plugins').write_text('[].\n')
    environment = {
        **os.environ,
        'HOME': str(folder),
        'RABBITMQ_HOME': str(_RABBITMQ.parent),
        'RABBITMQ_NODENAME': 'mlcc@localhost',
        'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
        'RABBITMQ_NODE_PORT': str(port),
        'RABBITMQ_DIST_PORT': str(_free_port()),
        'RABBITMQ_MNESIA_BASE': str(folder / 'mnesia'),
        'RABBITMQ_LOG_BASE': str(folder / 'log'),
        'RABBITMQ_PID_FILE': str(folder / 'pid'),
        'RABBITMQ_ADVANCED_CONFIG_FILE': str(folder / 'advanced.config'),
        'RABBITMQ_ENABLED_PLUGINS_FILE': str(folder / 'enabled_plugins'),
        'ERL_EPMD_PORT': str(epmd),
    }
    with (folder / 'out').open('w') as out:
        server = subprocess.Popen(
            [str(_RABBITMQ / 'rabbitmq-server')], env=environment, cwd=folder, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _wait('RabbitMQ', lambda: _answers(port), lambda: server.poll() is not None, folder / 'out')
        yield port
    finally:
        subprocess.run([str(_RABBITMQ / 'rabbitmqctl'), 'stop'], env=environment, capture_output=True, check=False)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
        subprocess.run(['epmd', '-kill'], env=environment, capture_output=True, check=False)


@contextmanager
def _slurm(folder: Path) -> Iterator[dict[str, str]]:
    for part in ('state', 'spool'):
        (folder / part).mkdir(parents=True)
    node, key, configuration = socket.gethostname().split('.')[0], folder / 'munge.key', folder / 'slurm.conf'
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    (folder / 'gres.conf').write_text('Name=gpu File=/dev/null\n')
    lines = {
        'ClusterName': 'mlcc',
        'SlurmctldHost': f'{node}(127.0.0.1)',
        'AuthInfo': f'socket={folder / "munge.socket"}',
        'SlurmUser': 'root',
        'SlurmctldPort': _free_port(),
        'SlurmdPort': _free_port(),
        'StateSaveLocation': folder / 'state',
        'SlurmdSpoolDir': folder / 'spool',
        'SlurmctldPidFile': folder / 'slurmctld.pid',
        'SlurmdPidFile': folder / 'slurmd.pid',
        'SlurmctldLogFile': folder / 'slurmctld.log',
        'SlurmdLogFile': folder / 'slurmd.log',
        'ProctrackType': 'proctrack/linuxproc',
        'TaskPlugin': 'task/none',
        'SelectType': 'select/cons_tres',
        'SelectTypeParameters': 'CR_Core_Memory',
        'DefMemPerCPU': 1000,
        'ReturnToService': 2,
        'MpiDefault': 'none',
        'KillWait': 5,
        'GresTypes': 'gpu',
        'NodeName': f'{node} NodeAddr=127.0.0.1 CPUs=2 RealMemory={MEMORY_MB} Gres=gpu:1 State=UNKNOWN',
    }
    text = ''.join(f'{name}={value}\n' for name, value in lines.items())
    text += ''.join(f'PartitionName={name} Nodes={node} MaxTime=60 State=UP\n' for name in ('cpu', 'gpu'))
    configuration.write_text(text)
    environment = {'SLURM_CONF': str(configuration)}
    files = {'key-file': key, 'pid-file': folder / 'munged.pid', 'log-file': folder / 'munged.log'}
    files |= {'socket': folder / 'munge.socket', 'seed-file': folder / 'munge.seed'}
    _run('munged', '--force', *(f'--{name}={path}' for name, path in files.items()))
    try:
        _run('slurmctld', '-f', str(configuration))
        _run('slurmd', '-f', str(configuration))
        clients = {**os.environ, **environment}
        _wait('Slurm', lambda: 'idle' in _said(['sinfo', '-h', '-o', '%t'], clients), lambda: False, folder)
        yield environment
    finally:
        subprocess.run(['scancel', '--state=RUNNING'], env={**os.environ, **environment}, check=False)
        subprocess.run(['scontrol', 'shutdown'], env={**os.environ, **environment}, check=False)
        time.sleep(2)
        os.kill(int((folder / 'munged.pid').read_text()), 15)


def _run(*words: str, cwd: Path | None = None) -> None:
    done = subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f'{" ".join(words)} failed: {done.stdout}{done.stderr}')


def _said(words: list[str], environment: Mapping[str, str]) -> str:
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False).stdout


def _wait(name: str, is_up: Callable[[], bool], is_dead: Callable[[], bool], log: Path) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not is_up():
        if is_dead() or time.monotonic() > ends:
            raise RuntimeError(f'{name} does not start: see {log}')
        time.sleep(0.5)


def _answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(('127.0.0.1', port)) == 0


def _free_port() -> int:
    with socket.socket() as client:
        client.bind(('127.0.0.1', 0))
        return int(client.getsockname()[1])
