"""What large data cost: ``python -m tests.benchmarks.scale``.

Prints one JSON object: for each case its size, CPU seconds and peak memory (MB) of a process of its own, the CPU
seconds at half the size, and the ratio of the two times (2 where the cost is linear, 4 where it is quadratic).
``--cases`` chooses among them, ``--share`` makes all of them smaller.

- ``import``: a data set of 20,000 frames of 64 atoms with forces, from an extended XYZ file.
- ``fit``: force constants of a base, fitted to the forces of 2000 frames of 64 atoms.
- ``curves``: the harmonic curves of 5 members in a supercell of 512 atoms, with their force constants; half of it is
  the supercell of 250.
- ``page``: the page of a run with 5 methods of 5 members; its size counts the energies that it names, and ``page_mb``
  is that of the file.
- ``status``: a run with 200 points that wait for their jobs.
- ``export``: an archive of 5000 nodes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase.build import bulk
from numpy.typing import NDArray

from aiida_mlcc.science.labels.snapshots import Label, Snapshots

TARGETS = {'import': (20.0, 500.0), 'fit': (20.0, 500.0)}
"""CPU seconds and MB of a case."""

PAGE_MB = 8.0
_SPRING = 2.0


def frames(n_frames: int) -> Snapshots:
    """Return a trajectory of rock salt, 64 atoms on springs that are not quite harmonic."""
    cell = bulk('NaCl', 'rocksalt', a=5.64, cubic=True) * (2, 2, 2)
    generator = np.random.default_rng(0)
    moved = np.zeros((n_frames, len(cell), 3))
    for number in range(1, n_frames):
        moved[number] = 0.9 * moved[number - 1] + 0.04 * generator.normal(size=moved[0].shape)
    moved -= moved.mean(axis=1, keepdims=True)
    forces = -_SPRING * moved - 1.5 * moved**3
    forces -= forces.mean(axis=1, keepdims=True)
    energies = np.sum(0.5 * _SPRING * moved**2 + 1.5 / 4 * moved**4, axis=(1, 2))
    cells = np.tile(cell.cell.array, (n_frames, 1, 1))
    label = Label(energies, forces, {'engine': 'springs'})
    return Snapshots(tuple(cell.symbols), cells, cell.positions + moved, {'LDA': label})


def write(snapshots: Snapshots, path: Path) -> None:
    """Write frames as extended XYZ, as any program does."""
    label = snapshots.labels['LDA']
    assert label.forces is not None
    lattice = ' '.join(f'{number:.8f}' for number in snapshots.cells[0].ravel())
    with path.open('w') as stream:
        for positions, forces, energy in zip(snapshots.positions, label.forces, label.energies, strict=True):
            properties = 'Properties=species:S:1:pos:R:3:forces:R:3'
            stream.write(f'{len(positions)}\nLattice="{lattice}" {properties} energy={energy:.8f} pbc="T T T"\n')
            rows: NDArray[np.float64] = np.hstack([positions, forces])
            for symbol, row in zip(snapshots.symbols, rows.tolist(), strict=True):
                stream.write(symbol + ''.join(f' {number:.8f}' for number in row) + '\n')


def import_case(n_frames: int, folder: Path) -> Callable[[], dict[str, Any]]:
    """Read a data set."""
    from aiida_mlcc.science.dataset.dataset import read_dataset

    write(frames(n_frames), folder / 'frames.xyz')
    return lambda: {'n_frames': read_dataset(folder / 'frames.xyz', 'LDA', {}).snapshots.n_frames}


def fit_case(n_frames: int, folder: Path) -> Callable[[], dict[str, Any]]:
    """Fit force constants."""
    from aiida_mlcc.science.fit.base_model import fit_base

    snapshots, primitive = frames(n_frames), bulk('NaCl', 'rocksalt', a=5.64)
    return lambda: {'n_parameters': fit_base(snapshots, primitive, 'LDA').errors['n_parameters']}


def curves_case(n_atoms: int, folder: Path) -> Callable[[], dict[str, Any]]:
    """Calculate the curves of 5 members, from forces on the displaced atoms of a polar crystal."""
    from aiida import orm
    from aiida_phonopy.data.preprocess import PreProcessData

    from aiida_mlcc.calculations.functions.phonon_from_forces import phonon_from_forces
    from aiida_mlcc.calculations.runtime_source import science_hash
    from aiida_mlcc.data.snapshots import SnapshotsData
    from aiida_mlcc.science.crystal.cells import from_phonopy
    from aiida_mlcc.science.force_field.evaluate import energies_and_forces
    from aiida_mlcc.science.phonons.settings import PhononSettings
    from tests.crystals import rocksalt, springs
    from tests.curve_sources import drawn, phonons

    _load_profile()
    primitive = orm.StructureData(ase=rocksalt()).store()
    matrix = min(_cubic_supercells(), key=lambda found: abs(2 * round(abs(np.linalg.det(found))) - n_atoms))
    preprocess = PreProcessData(structure=primitive, supercell_matrix=matrix.tolist())
    preprocess.set_displacements(distance=0.01)
    phonon = preprocess.get_phonopy_instance()
    cells = Snapshots.from_atoms(
        [from_phonopy(cell) for cell in (phonon.supercell, *phonon.supercells_with_displacements)]
    )
    charges = orm.ArrayData({'born_charges': np.array([np.eye(3), -np.eye(3)]), 'dielectric': 2.0 * np.eye(3)})
    members = {}
    for number in range(5):
        terms = springs(rocksalt(), stiffness=3.0 + 0.05 * number).terms
        evaluated = SnapshotsData(cells.with_label('LDA', Label(*energies_and_forces(terms, cells))))
        members[f'seed_{number}'] = phonon_from_forces(
            preprocess, evaluated, orm.Int(0), science_hash(phonon_from_forces), nac=charges
        )
    inputs = {'parameters': orm.Dict(PhononSettings.defaults()), 'force_fields': {}}
    source = phonons(inputs=inputs, primitive=primitive, volumes={'at_rest': members})

    def measure() -> dict[str, Any]:
        made, told = drawn('harmonic_phonon', source)
        missing = [line for line in told if line.startswith('no ')]
        if missing:
            raise SystemExit('; '.join(missing))
        return {'n_atoms': len(cells.symbols), 'n_curves': sum(map(len, made.values()))}

    return measure


def _cubic_supercells() -> list[NDArray[np.int64]]:
    """Return matrices from the primitive cell of a face-centred lattice to its own multiples and to cubes."""
    primitive, cube = np.eye(3, dtype=int), np.ones((3, 3), dtype=int) - 2 * np.eye(3, dtype=int)
    return [n * matrix for n in range(1, 9) for matrix in (primitive, cube)]


def page_case(n_energies: int, folder: Path) -> Callable[[], dict[str, Any]]:
    """Write the page of a run."""
    from aiida_mlcc.report.page.page import write_report
    from tests import graphs

    _load_profile()
    larger: dict[str, Any] = {
        'SEEDS': (5192, 5391, 5735, 7271, 861),
        'METHODS': ('LDA', 'HF', 'MP2', 'CCSD', 'CCSD(T)'),
        'N_FRAMES': n_energies,
        'LABELLED': tuple(range(n_energies)),
    }
    vars(graphs).update(larger)
    run = graphs.build_run(_computer())

    def measure() -> dict[str, Any]:
        page = write_report(run.master, folder / 'page').files[0]
        return {'page_mb': page.stat().st_size / 1e6}

    return measure


def status_case(n_points: int, folder: Path) -> Callable[[], dict[str, Any]]:
    """Print the status of a run."""
    from aiida import orm
    from aiida.common.links import LinkType
    from click.testing import CliRunner
    from plumpy import ProcessState

    from aiida_mlcc.cli import cli, services

    _load_profile()
    computer = _computer()
    services.complaints = lambda processes: []

    def process(node: Any, caller: Any, label: str) -> Any:
        node.set_process_label('SomeProcess')
        node.set_process_state(ProcessState.WAITING)
        if caller is not None:
            link = LinkType.CALL_CALC if isinstance(node, orm.CalcJobNode) else LinkType.CALL_WORK
            node.base.links.add_incoming(caller, link, label)
        return node.store()

    master = process(orm.WorkChainNode(), None, '')
    stage = process(orm.WorkChainNode(), master, 'cc_energies')
    for number in range(n_points):
        point = process(orm.WorkChainNode(), stage, f'point_{number:03d}')
        base = process(orm.WorkChainNode(), point, 'cc4s')
        job = orm.CalcJobNode(computer=computer)
        job.set_option('resources', {'num_machines': 1})
        process(job, base, 'iteration_01').set_remote_workdir(str(folder))

    def measure() -> dict[str, Any]:
        shown = CliRunner().invoke(cli, ['status', str(master.pk)])
        return {'lines': len(shown.output.splitlines())}

    return measure


def export_case(n_nodes: int, folder: Path) -> Callable[[], dict[str, Any]]:
    """Write an archive."""
    from aiida import orm
    from aiida.common.links import LinkType
    from click.testing import CliRunner
    from plumpy import ProcessState

    from aiida_mlcc.cli import cli

    _load_profile()
    master = orm.WorkChainNode()
    master.set_process_state(ProcessState.FINISHED)
    master.store()
    stage = master
    for number in range(n_nodes // 2):
        if number % 50 == 0:
            stage = orm.WorkChainNode()
            stage.set_process_state(ProcessState.FINISHED)
            stage.base.links.add_incoming(master, LinkType.CALL_WORK, f'stage_{number}')
            stage.store()
        function = orm.CalcFunctionNode()
        function.set_process_state(ProcessState.FINISHED)
        function.base.links.add_incoming(stage, LinkType.CALL_CALC, f'function_{number}')
        function.store()
        result = orm.Dict({'number': number})
        result.base.links.add_incoming(function, LinkType.CREATE, 'result')
        result.store()
        function.seal()
    for stage in master.called:
        stage.seal()
    master.seal()

    def measure() -> dict[str, Any]:
        done = CliRunner().invoke(cli, ['export', str(master.pk), '-o', str(folder / 'run.aiida')])
        if done.exit_code:
            raise SystemExit(done.output)
        return {'archive_mb': (folder / 'run.aiida').stat().st_size / 1e6}

    return measure


CASES: dict[str, tuple[Callable[[int, Path], Callable[[], dict[str, Any]]], int]] = {
    'import': (import_case, 20_000),
    'fit': (fit_case, 2000),
    'curves': (curves_case, 512),
    'page': (page_case, 200),
    'status': (status_case, 200),
    'export': (export_case, 5000),
}
"""Name → what prepares it and returns what is measured, and its size."""


def _load_profile() -> None:
    from aiida import load_profile
    from aiida.storage.sqlite_temp import SqliteTempBackend

    load_profile(SqliteTempBackend.create_profile('scale'), allow_switch=True)


def _computer() -> Any:
    from aiida import orm

    return orm.Computer('scale', 'localhost', transport_type='core.local', scheduler_type='core.direct').store()


def measure_here(case: str, size: int) -> dict[str, Any]:
    """Measure one case in this process, its preparation left out but for the memory."""
    import resource

    with TemporaryDirectory(prefix='scale-') as folder:
        prepared = CASES[case][0](size, Path(folder))
        started = time.process_time()
        found = prepared()
        seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {'size': size, 'cpu_seconds': seconds, 'peak_mb': peak, **found}


def measure(case: str, size: int) -> dict[str, Any]:
    """Measure one case at its size and at half of it, each in a process of its own."""
    found = []
    for part in (size, size // 2):
        command = [sys.executable, '-m', 'tests.benchmarks.scale', '--here', case, '--size', str(part)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f'{case} failed: {done.stderr}')
        found.append(json.loads(done.stdout.splitlines()[-1]))
    whole, half = found
    growth = whole['cpu_seconds'] / max(half['cpu_seconds'], 1e-3)
    return {**whole, 'cpu_seconds_at_half': half['cpu_seconds'], 'growth': growth, 'met': _is_met(case, whole)}


def _is_met(case: str, found: dict[str, Any]) -> bool:
    seconds, megabytes = TARGETS.get(case, (np.inf, np.inf))
    return bool(
        found['cpu_seconds'] <= seconds and found['peak_mb'] <= megabytes and found.get('page_mb', 0.0) <= PAGE_MB
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--cases', nargs='+', choices=list(CASES), default=list(CASES))
    parser.add_argument('--share', type=float, default=1.0, help='of the size of each case')
    parser.add_argument('--here', choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument('--size', type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here is not None:
        print(json.dumps(measure_here(options.here, options.size)))
        return
    cases = {case: measure(case, max(4, round(options.share * CASES[case][1]))) for case in options.cases}
    print(json.dumps({'benchmark': 'scale', 'share': options.share, 'cases': cases}))


if __name__ == '__main__':
    main()
