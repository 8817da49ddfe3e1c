"""What a campaign of coupled-cluster energies costs its parents: ``python -m tests.benchmarks.campaign --points 200``.

Prints one JSON object: how many points were labelled, why the others failed, and what AiiDA's own side of it took:
wall and CPU seconds, the memory of the daemon's one worker, processes, nodes and megabytes a point; then the same for a
rerun that knows the labels, in which no point fails any more. The profile is a fresh one (SQLite, ZeroMQ broker).

Nothing is computed: for Cc4s, for VASP and for the Python of PySCF's integrals stand the programs of
:mod:`tests.campaign_programs`, which answer at once, fail as they are told, and write down each start.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.campaign_programs import FAULTS

ENGINES = ('pyscf+cc4s', 'vasp+cc4s')
_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_BETWEEN_LINES = 30.0
_BYTES_OF_A_MEGABYTE = 1e6


@contextmanager
def daemon_at(folder: Path) -> Iterator[Any]:
    """Make a profile in `folder`, load it, and give a function that runs ``verdi``; one worker runs meanwhile."""
    root = str(Path(__file__).parents[2])
    clean = {name: value for name, value in os.environ.items() if not name.startswith('AIIDA')}
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    environment = {**clean, 'AIIDA_PATH': str(folder), 'PYTHONPATH': root, 'PATH': path, 'OMP_NUM_THREADS': '1'}

    def verdi(*words: str) -> None:
        command = [sys.executable, '-m', 'aiida', *words]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f'verdi {" ".join(words)} failed: {done.stdout}{done.stderr}')

    verdi('presto', '--use-zeromq', '--profile-name', 'campaign')
    verdi('config', 'set', 'daemon.timeout', '60')
    os.environ['AIIDA_PATH'] = str(folder)
    from aiida.manage.configuration import load_profile

    verdi('daemon', 'start', '1')
    try:
        load_profile('campaign')
        yield verdi
    finally:
        verdi('daemon', 'stop')


class Worker:
    """The daemon's worker, whoever it is at the time: its CPU seconds and its largest memory."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self.peak_bytes = 0

    def look(self) -> None:
        """Take note of the worker there is."""
        for process in worker_processes():
            try:
                times = process.cpu_times()
                self.seconds[process.pid] = times.user + times.system
                self.peak_bytes = max(self.peak_bytes, process.memory_info().rss)
            except psutil.NoSuchProcess:
                continue


def worker_processes() -> list[psutil.Process]:
    """Return the workers of the daemon, of which there is one but while it is started anew."""
    from aiida.engine.daemon.client import get_daemon_client

    pid = get_daemon_client().get_daemon_pid()
    try:
        children = [] if pid is None else psutil.Process(pid).children(recursive=True)
        return [child for child in children if 'worker' in child.cmdline()]
    except psutil.NoSuchProcess:
        return []


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())


def in_database() -> dict[str, int]:
    """Return how many processes and how many nodes there are, and the bytes of database and repository."""
    from aiida import orm
    from aiida.manage import get_manager

    storage = get_manager().get_profile().storage_config['filepath']
    return {
        'processes': orm.QueryBuilder().append(orm.ProcessNode).count(),
        'nodes': orm.QueryBuilder().append(orm.Node).count(),
        'bytes': size_of(Path(storage)),
    }


def alive() -> int:
    """Return how many processes a worker holds in its slots."""
    from aiida import orm

    states = {'attributes.process_state': {'in': ['created', 'running', 'waiting']}}
    return orm.QueryBuilder().append(orm.ProcessNode, filters=states).count()


def run(campaign: Any, builder: Any, n_points: int, kill_worker_after: int | None, verdi: Any) -> dict[str, Any]:
    """Submit, wait, and return what there was to see."""
    from aiida.engine import submit
    from aiida.manage import get_manager

    before, starts_before = in_database(), campaign.starts()
    worker, first = Worker(), Worker()
    first.look()
    started, last_line, most_alive, killed = time.monotonic(), 0.0, 0, False
    node = submit(builder)
    while not node.is_terminated:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        worker.look()
        most_alive = max(most_alive, alive())
        n_done = sum('done' in events for events in campaign.events('cc4s').values())
        if kill_worker_after is not None and not killed and n_done >= kill_worker_after:
            for process in worker_processes():
                process.kill()
            verdi('daemon', 'restart')
            # The broker is started anew as well, and who submits has to find the new one.
            get_manager().reset_runner()
            get_manager().reset_broker()
            killed = True
        if time.monotonic() - last_line > _SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            spent = f'{last_line - started:.0f} s'
            sys.stderr.write(f'{spent}: Cc4s is done with {n_done} points, {most_alive} processes at most\n')
    seconds, after = time.monotonic() - started, in_database()
    starts = {n: count - starts_before.get(n, 0) for n, count in campaign.starts().items()}
    starts = {n: count for n, count in starts.items() if count}
    cpu = sum(worker.seconds.values()) - sum(first.seconds.get(pid, 0.0) for pid in worker.seconds)
    snapshots = node.outputs.snapshots.get_snapshots() if 'snapshots' in node.outputs else None
    failed = node.outputs.failures['failed'] if 'failures' in node.outputs else []
    labelled = {m: int(label.labelled.sum()) for m, label in snapshots.labels.items()} if snapshots else {}
    return {
        'exit_status': node.exit_status,
        'exit_message': node.exit_message,
        'labelled': labelled,
        'failed': len({entry['snapshot'] for entry in failed}),
        'failed_by_reason': dict(Counter(entry['reason'] for entry in failed)),
        'points_submitted_to_cc4s': len(starts),
        'most_starts_of_a_point': max(starts.values(), default=0),
        'computed_again': sorted(campaign.computed_again('cc4s')),
        'worker_killed': killed,
        'wall_seconds': round(seconds, 1),
        'wall_seconds_per_point': round(seconds / n_points, 2),
        'worker_cpu_seconds': round(cpu, 1),
        'worker_peak_mb': round(worker.peak_bytes / _BYTES_OF_A_MEGABYTE, 1),
        'processes_per_point': round((after['processes'] - before['processes']) / n_points, 2),
        'nodes_per_point': round((after['nodes'] - before['nodes']) / n_points, 2),
        'mb_per_point': round((after['bytes'] - before['bytes']) / n_points / _BYTES_OF_A_MEGABYTE, 3),
        'most_processes_alive': most_alive,
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the campaign and its rerun in `folder`."""
    with daemon_at(folder) as verdi:
        from aiida import orm
        from aiida.manage.configuration import get_config_option

        from aiida_mlcc.cli.known_labels import find_known_labels
        from tests.campaign import Campaign, faults_of, helium

        computer = orm.load_computer('localhost')
        computer.set_minimum_job_poll_interval(0)
        campaign = Campaign(folder / 'state', computer)
        snapshots = helium(options.points)
        campaign.break_points(faults_of(options.points, options.failures))
        sizes = {'batch_size': options.batch_size, 'max_concurrent': options.max_concurrent}
        builder = campaign.builder(snapshots, options.engine, **sizes)
        result = {
            'benchmark': 'campaign',
            'engine': options.engine,
            'points': options.points,
            'failures': options.failures,
            'batch_size': builder.batch_size.value,
            'max_concurrent': builder.max_concurrent.value,
            'worker_slots': get_config_option('daemon.worker_process_slots'),
            'campaign': run(campaign, builder, options.points, options.kill_worker_after, verdi),
        }
        campaign.break_points({})
        again = campaign.builder(snapshots, options.engine, **sizes)
        again.known_labels = find_known_labels(again.snapshots)
        return {**result, 'rerun': run(campaign, again, options.points, None, verdi)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--points', type=int, default=200)
    parser.add_argument('--failures', type=float, default=0.2, help=f'share of points that fail: {", ".join(FAULTS)}')
    parser.add_argument('--engine', choices=ENGINES, default='pyscf+cc4s')
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--max-concurrent', type=int, default=4)
    parser.add_argument('--kill-worker-after', type=int, help='kill the worker when Cc4s is done with so many points')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='campaign-') as folder:
        result = measure(options, Path(folder))
    print(json.dumps(result))


if __name__ == '__main__':
    main()
