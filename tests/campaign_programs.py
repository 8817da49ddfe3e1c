"""Programs that stand in for Cc4s, for VASP and for PySCF's integrals in a campaign: they answer at once and count.

``python -m tests.campaign_programs STATE cc4s|vasp|integrals …`` computes nothing. ``integrals`` and ``vasp`` write
tiny tensors that pass the check before Cc4s, ``cc4s`` replays one of the runs of :mod:`tests.cc4s_records`. The crystal
is two helium atoms, whose distance says which point it is (:func:`distance_of`); the point's number is handed on in its
highest orbital energy. ``STATE/faults.json`` says which points go wrong, and how (:data:`FAULTS`, :data:`PASSING`).

Each start appends ``start`` to ``STATE/starts/cc4s_0007``, and an end that is as good as asked for ``done``. It needs
the standard library alone, so that a start costs milliseconds.
"""

from __future__ import annotations

import ast
import json
import shutil
import struct
import sys
import zipfile
from pathlib import Path

from tests import cc4s_records as records

FAULTS = ('not-converged', 'killed', 'triples-crash', 'truncated-vertex', 'no-integrals')
"""What no remedy helps against."""

PASSING = ('killed-once', 'out-of-time-once', 'triples-crash-once')
"""What the next job does better."""

OUT_OF_TIME = 'slurmstepd: error: *** JOB 1 CANCELLED DUE TO TIME LIMIT ***\n'
NO_INTEGRALS = 'HF did not converge within 50 cycles'
_NEAREST, _STEP, _CELL = 2.4, 0.002, 5.2
_FIRST_LEVEL = 1.0


def distance_of(number: int) -> float:
    """Return how far the atoms of a point are apart, Å."""
    return _NEAREST + _STEP * number


def _number_of(distance: float) -> int:
    return round((distance - _NEAREST) / _STEP)


def hf_energy_of(number: int) -> float:
    """Return the Hartree–Fock energy that the integrals of a point are said to have, eV."""
    return -150.0 - 0.01 * number


def ccsd_of(number: int) -> float:
    """Return the CCSD correlation energy of a point, Hartree."""
    return round(-0.35 - 1e-4 * number, 6)


def run_integrals(state: Path) -> int:
    """Write the tensors of every frame that ``input.json`` names, as the runtime's task does."""
    task = json.loads(Path('input.json').read_text())
    tensors, failures = {}, []
    faults = _faults(state)
    for frame, number in enumerate(_numbers_in(Path(task['snapshots']))):
        _note(state, 'integrals', number, 'start')
        if faults.get(number) == 'no-integrals':
            failures.append({'snapshot': frame, 'methods': [], 'reason': NO_INTEGRALS})
            continue
        folder = Path('frames', f'{frame:04d}')
        records.write_tensors(folder, highest=_FIRST_LEVEL + number)
        if faults.get(number) == 'truncated-vertex':
            (folder / 'CoulombVertex.elements').write_bytes(b'\0' * 16)
        hf = hf_energy_of(number)
        tensors[str(frame)] = {'folder': str(folder), 'hf': hf, 'mp2_full': -1.0, 'mp2_truncated': -0.9, 'bytes': 1}
        _note(state, 'integrals', number, 'done')
    output = {'final': True, 'tensors': tensors, 'failures': failures, 'wall_seconds': 1.0}
    Path('output.json').write_text(json.dumps(output))
    return 0


def run_vasp(state: Path) -> int:
    """Leave what the step of ``INCAR`` leaves, with the outputs in ``STATE/vasp_outputs`` whatever the structure is."""
    tags = dict(line.split('=', 1) for line in Path('INCAR').read_text().splitlines() if '=' in line)
    algorithm = {name.strip().upper(): value.strip() for name, value in tags.items()}.get('ALGO', '').upper()
    number = _number_of(float(Path('POSCAR').read_text().splitlines()[9].split()[2]) * _CELL)
    _note(state, 'vasp', number, 'start')
    shutil.copytree(state / 'vasp_outputs', '.', dirs_exist_ok=True)
    Path('WAVECAR').write_text('orbitals')
    if algorithm == 'MP2NO':
        Path('WAVECAR.FNO').write_text('natural orbitals')
    if algorithm in ('MP2', 'ACFDTRK'):
        for ending in ('yaml', 'elements'):
            Path(f'Mp2PairEnergies.{ending}').write_text('replaced by the last step')
    if algorithm == 'CC4S':
        records.write_tensors(Path(), corrections=True, highest=_FIRST_LEVEL + number)
        if _faults(state).get(number) == 'truncated-vertex':
            Path('CoulombVertex.elements').write_bytes(b'\0' * 16)
        _note(state, 'vasp', number, 'done')
    return 0


def run_cc4s(state: Path) -> int:
    """Replay the run of the point whose tensors lie here, or a dry run."""
    if '-d' in sys.argv:
        sys.stdout.write(records.DRY_STDOUT)
        Path('dry-cc4s.out.yaml').write_text(records.dry_yaml())
        return 0
    number = round(float(Path('EigenEnergies.elements').read_text().split()[-1]) - _FIRST_LEVEL)
    is_first = _note(state, 'cc4s', number, 'start') == 1
    fault = _faults(state).get(number)
    if fault in PASSING:
        fault = fault.removesuffix('-once') if is_first else None
    triples = 'PerturbativeTriples' in Path('cc4s.in').read_text()
    begun = records.BANNER + records.ITERATIONS
    ended = records.TRIPLES if triples else ''
    if fault == 'not-converged':
        _leave(number, begun + records.NOT_CONVERGED + ended, converged=False, triples=triples)
        return 0
    if fault in ('killed', 'out-of-time'):
        _leave(number, begun, n_steps=5)
        sys.stderr.write(OUT_OF_TIME if fault == 'out-of-time' else '')
        return 137
    if fault == 'triples-crash':
        _leave(number, begun + records.CONVERGED + records.TRIPLES_BEGUN, n_steps=6)
        sys.stderr.write(records.CRASH)
        return 136
    _leave(number, begun + records.CONVERGED + ended, triples=triples)
    _note(state, 'cc4s', number, 'done')
    return 0


def _leave(number: int, printed: str, **run: bool | int) -> None:
    energy = str(ccsd_of(number))
    sys.stdout.write(printed.replace('-0.35', energy))
    Path('cc4s.out.yaml').write_text(records.out_yaml(**run).replace('-0.35', energy))


def _numbers_in(path: Path) -> list[int]:
    """Return the points in a file of snapshots: ``positions.npy`` is of shape (n_frames, 2, 3)."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read('positions.npy')
    start = 10 + struct.unpack('<H', content[8:10])[0]
    n_frames = ast.literal_eval(content[10:start].decode())['shape'][0]
    positions = struct.unpack(f'<{6 * n_frames}d', content[start:])
    return [_number_of(positions[6 * frame + 5] - positions[6 * frame + 2]) for frame in range(n_frames)]


def _faults(state: Path) -> dict[int, str]:
    return {int(number): kind for number, kind in json.loads((state / 'faults.json').read_text()).items()}


def _note(state: Path, program: str, number: int, event: str) -> int:
    """Write down that a program started or was done, and return how often it has been."""
    path = state / 'starts' / f'{program}_{number:04d}'
    with open(path, 'a') as stream:
        stream.write(f'{event}\n')
    return path.read_text().split().count(event)


PROGRAMS = {'integrals': run_integrals, 'vasp': run_vasp, 'cc4s': run_cc4s}

if __name__ == '__main__':
    sys.exit(PROGRAMS[sys.argv[2]](Path(sys.argv[1])))
