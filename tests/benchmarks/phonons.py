"""What a displaced cell costs beyond its forces: ``python -m tests.benchmarks.phonons --cells 100``.

Prints one JSON object: the wall and CPU seconds of one evaluation job with that many displaced cells of 128 atoms, from
its submission to its outputs, and what each is per cell. ``engine_seconds`` is the wall time less that of the task
itself, ``engine_cpu_seconds`` the CPU time of AiiDA: what AiiDA costs, whatever gives the forces. It runs on a
temporary profile; the forces are those of springs.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.crystals import rocksalt, springs

TARGET = 0.1
"""Seconds of the engine for each displaced cell, at 100 cells."""


def measure(n_cells: int, size: int, folder: str) -> dict[str, Any]:
    """Run one job with `n_cells` displaced cells in `folder` and return what it took."""
    from aiida import orm
    from aiida.engine import run_get_node

    from aiida_mlcc.calculations.evaluate import EvaluateCalculation
    from aiida_mlcc.data.force_field import ForceFieldData
    from aiida_mlcc.data.snapshots import SnapshotsData

    computer = orm.Computer('localhost', 'localhost', workdir=folder)
    computer.transport_type, computer.scheduler_type = 'core.local', 'core.direct'
    computer.store().set_minimum_job_poll_interval(0)
    computer.set_default_mpiprocs_per_machine(1)
    computer.configure(safe_interval=0)
    code = orm.InstalledCode(
        label='python',
        computer=computer,
        filepath_executable=sys.executable,
        prepend_text='export OMP_NUM_THREADS=1',
    ).store()
    cell = supercell(rocksalt(), size)
    positions = np.repeat(cell.positions[None], n_cells, axis=0)
    for number in range(n_cells):
        positions[number, number % len(cell), number % 3] += 0.01
    frames = Snapshots(tuple(cell.symbols), np.repeat(cell.cell.array[None], n_cells, axis=0), positions)

    started, cpu, cpu_of_jobs = time.perf_counter(), time.process_time(), _cpu_of_children()
    inputs = {
        'code': code,
        'snapshots': SnapshotsData(frames),
        'force_fields': {'seed_1': ForceFieldData(springs(rocksalt()))},
        'parameters': {'forces': True, 'dtype': 'float64'},
    }
    outputs, node = run_get_node(EvaluateCalculation, **inputs)
    wall, own = time.perf_counter() - started, time.process_time() - cpu
    if not node.is_finished_ok:
        raise SystemExit(f'the job failed: {node.exit_message}')
    task = outputs['summary']['wall_seconds']
    return {
        'n_atoms': len(cell),
        'wall_seconds': wall,
        'task_seconds': task,
        'engine_seconds': wall - task,
        'engine_cpu_seconds': own,
        'job_cpu_seconds': _cpu_of_children() - cpu_of_jobs,
        'engine_seconds_per_cell': (wall - task) / n_cells,
        'engine_cpu_seconds_per_cell': own / n_cells,
    }


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--cells', type=int, default=100)
    parser.add_argument('--size', type=int, default=4, help='primitive cells along each direction of the supercell')
    options = parser.parse_args()
    from aiida import load_profile
    from aiida.storage.sqlite_temp import SqliteTempBackend

    load_profile(SqliteTempBackend.create_profile('phonons'), allow_switch=True)
    with TemporaryDirectory() as folder:
        found = measure(options.cells, options.size, folder)
    met = found['engine_seconds_per_cell'] <= TARGET
    result = {'benchmark': 'phonons', 'n_cells': options.cells, **found, 'target_seconds_per_cell': TARGET, 'met': met}
    print(json.dumps(result))


if __name__ == '__main__':
    main()
