"""Tensors and outputs of Cc4s: recorded ones, and made-up ones in the formats that it reads and writes."""

from __future__ import annotations

import struct
from pathlib import Path

RECORDED_RUNS = Path(__file__).with_name('cc4s_runs')
"""Inputs and outputs of real runs, a folder each."""

N_OCCUPIED, N_VIRTUAL, N_FIELDS, N_GRID = 2, 3, 4, 5
N_STATES = N_OCCUPIED + N_VIRTUAL

HEADER = """version: 100
type: Tensor
scalarType: {scalar}
dimensions:
{dimensions}
elements:
  type: {storage}
unit: 1.0
{meta}"""


def header(scalar: str, lengths: list[int], storage: str, meta: str = '') -> str:
    """Return a header as PySCF's and VASP's interfaces write it."""
    dimensions = '\n'.join(f'- length:   {length}\n  type: State' for length in lengths)
    return HEADER.format(scalar=scalar, dimensions=dimensions, storage=storage, meta=meta)


def write_tensors(folder: Path, corrections: bool = False, highest: float = 0.9) -> Path:
    """Write tensors that belong together: two occupied and three virtual states, up to an energy of `highest`."""
    folder.mkdir(parents=True, exist_ok=True)
    energies = [-0.6, -0.5, 0.3, 0.4, highest]
    listed = ''.join(f'  - {energy:.10e}\n' for energy in energies)
    meta = f'metaData:\n  fermiEnergy: -0.1\n  energies:\n{listed}'
    _write(folder, 'EigenEnergies', header('Real64', [N_STATES], 'TextFile', meta))
    (folder / 'EigenEnergies.elements').write_text('\n'.join(map(str, energies)) + '\n')
    _write_binary(folder, 'CoulombVertex', 'Complex64', [N_FIELDS, N_STATES, N_STATES])
    if corrections:
        for name in ('Mp2PairEnergies', 'DeltaIntegralsHH'):
            _write_text(folder, name, [N_OCCUPIED, N_OCCUPIED])
        _write_binary(folder, 'DeltaIntegralsPPHH', 'Real64', [N_VIRTUAL, N_VIRTUAL, N_OCCUPIED, N_OCCUPIED])
        _write_text(folder, 'CoulombPotential', [N_GRID])
        _write_text(folder, 'GridVectors', [3, N_GRID])
        _write_binary(folder, 'CoulombVertexSingularVectors', 'Complex64', [N_GRID, N_FIELDS])
    return folder


def _write(folder: Path, name: str, text: str) -> None:
    (folder / f'{name}.yaml').write_text(text)


def _write_text(folder: Path, name: str, lengths: list[int]) -> None:
    _write(folder, name, header('Real64', lengths, 'TextFile'))
    (folder / f'{name}.elements').write_text(' 0.25\n' * _product(lengths))


def _write_binary(folder: Path, name: str, scalar: str, lengths: list[int]) -> None:
    _write(folder, name, header(scalar, lengths, 'IeeeBinaryFile', 'metaData:\n  halfGrid: 1\n'))
    n_reals = _product(lengths) * (2 if scalar == 'Complex64' else 1)
    (folder / f'{name}.elements').write_bytes(struct.pack(f'<{n_reals}d', *[0.5] * n_reals))


def _product(lengths: list[int]) -> int:
    product = 1
    for length in lengths:
        product *= length
    return product


BANNER = """
  Coupled Cluster for Solids

version: heads/made-up, date: Mon Jan 1 00:00:00 2024 +0100
total ranks: 4
number of omp threads: 2

DRY RUN ONLY - nothing will be calculated
Dry run finished. Estimates provided for 4 ranks.
Memory estimate (per Rank/Total): 0.5 / 2 GB
Operations estimate (per Rank/Total): 3 / 12 GFLOPS
Time estimate with assumed performance of 10 GF/rank/s: 0.3 s (8.3e-05 h)
--
step: 1, Read
realtime 0.5 s
--
step: 2, Read
realtime 0.5 s
--
step: 3, DefineHolesAndParticles
number of holes     No: 2
number of particles Nv: 3
number of states    Np: 5
realtime 0.0 s
--
step: 4, SliceOperator
realtime 0.0 s
--
step: 5, VertexCoulombIntegrals
number of field variables NF: 4
realtime 0.0 s
--
"""

ITERATIONS = """step: 6, CoupledCluster
Using method Ccsd. integralsSliceSize: 100
Using mixer DiisMixer. maxResidua: 4
Maximum number of iterations: 3
Iter         Energy         dE           dR         time   GF/s/rank
   1  -4.00000000e-01  -4.0000e-01   3.0000e-01      2.0    1.0
   2  -3.60000000e-01   4.0000e-02   1.0000e-02      3.0    1.0
"""
CONVERGED = """   3  -3.50000000e-01   1.0000e-02   1.0000e-09      3.0    1.0

Ccsd correlation energy:          -0.3500000000
2nd-order correlation energy:     -0.4000000000
realtime 9.0 s
--
"""
NOT_CONVERGED = """cc4s.in(33): WARNING: energy or amplitudes convergence not reached.
   3  -3.50000000e-01   1.0000e-02   2.0000e-03      3.0    1.0

Ccsd correlation energy:          -0.3500000000
2nd-order correlation energy:     -0.4000000000
realtime 9.0 s
--
"""
TRIPLES_BEGUN = """step: 7, PerturbativeTriples
Progress(%)  time(s)   GF/s/rank
1            0         1.0
10           4         1.0
40           9         1.0
"""
TRIPLES = (
    TRIPLES_BEGUN
    + """100          9         1.0
(T) correlation energy:      -0.020000000000000
realtime 20.0 s
--
"""
)
CRASH = """[node:1] *** Process received signal ***
[node:1] Signal: Floating point exception (8)
mpirun noticed that process rank 0 with PID 0 on node node exited on signal 8 (Floating point exception).
"""
STDOUT = BANNER + ITERATIONS + CONVERGED + TRIPLES

CHECKED = {'passed': True, 'problems': [], 'energy_unit': 1.0, 'n_occupied': 2, 'n_virtual': 3}

STEPS = (
    ('Read', 'destination: 0x1'),
    ('Read', 'destination: 0x2'),
    ('DefineHolesAndParticles', 'slicedEigenEnergies: 0x3'),
    ('SliceOperator', 'slicedOperator: 0x4'),
    ('VertexCoulombIntegrals', 'coulombIntegrals: 0x5'),
)


def out_yaml(
    layout: str = 'new', unit: float = 1.0, converged: bool = True, triples: bool = True, n_steps: int | None = None
) -> str:
    """Return ``cc4s.out.yaml`` of the run above, whose energies are in `unit` Hartree, in the old or the new layout."""
    energies = 'correlation: -0.35\n        secondOrder: -0.4'
    ccsd = f'amplitudes: 0xa\n      convergenceReached: {int(converged)}\n      energy:\n        {energies}'
    steps = [(name, 'in:\n      x: 1', out, 1.0, 100) for name, out in STEPS]
    steps.append(('CoupledCluster', 'in:\n      method: Ccsd', f'{ccsd}\n        unit: {unit!r}', 9.0, 5000))
    if triples:
        out = f'energy:\n        correlation: -0.02\n        unit: {unit!r}'
        steps.append(('PerturbativeTriples', 'in:\n      amplitudes: 0xa', out, 20.0, 7000))
    steps = steps[:n_steps]
    ranks = '      host: node\n      ranks:\n        0: 0\n        1: 1\n        2: 2\n        3: 3\n'
    if layout == 'new':
        lines = ['executionEnvironment:\n  hosts:\n    0:\n', ranks.replace('      ', '        ')]
        lines += ['  totalProcesses: 4\n  version: heads/made-up\n']
        if n_steps is None:
            lines += ['statistics:\n  floatingPointOperations: 13000\n  realtime: 36.0\n']
    else:
        lines = ['version: heads/made-up\nhosts:\n  0:\n', ranks]
    lines += ['steps:\n']
    for i, (name, given, out, seconds, operations) in sorted(enumerate(steps), key=lambda pair: str(pair[0])):
        cost = f'floatingPointOperations: {operations}\n{{0}}realtime: {seconds}\n'
        cost = f'    statistics:\n      {cost.format("      ")}' if layout == 'new' else f'    {cost.format("    ")}'
        lines += [f'  {i}:\n    name: {name}\n    {given}\n    out:\n      {out}\n', cost]
    return ''.join(lines)


DRY_STDOUT = (
    BANNER.split('DRY RUN ONLY')[0]
    + """Dry run finished. Estimates provided for 4 ranks.
Memory estimate (per Rank/Total): 0.5 / 2 GB
Operations estimate (per Rank/Total): 27000 / 108000 GFLOPS
Time estimate with assumed performance of 10 GF/rank/s: 2700 s (0.75 h)
--
"""
)
DRY_OPERATIONS = {'CoupledCluster': 36 * 10**12, 'PerturbativeTriples': 72 * 10**12}
"""One core hour of CCSD, and two of (T)."""


def dry_yaml() -> str:
    """Return ``dry-cc4s.out.yaml``."""
    lines = ['executionEnvironment:\n  dryRanks: 4\n', 'steps:\n']
    for number, (name, operations) in enumerate(DRY_OPERATIONS.items()):
        lines.append(f'  {number}:\n    name: {name}\n    out:\n      {{}}\n')
        lines.append(f'    statistics:\n      floatingPointOperations: {operations}\n')
    return ''.join(lines)
