"""A stand-in for the Cc4s executable, for tests: it is not Cc4s, but computes what Cc4s computes from the same bytes.

``python cc4s_program.py -i cc4s.in`` reads the steps and the tensors that they name, and solves MP2, CCSD and (T) with
PySCF's equations on integrals made of the vertex, with the one set of orbital energies there is. ``cc4s.out.yaml`` and
the standard output are laid out as those of the runs of Cc4s (master, June 2024) in ``cc4s_runs``.

Like Cc4s it exits with 0 where CCSD does not converge (``convergenceReached: 0``), and where the elements of the
vertex are cut short, which it takes for zeros. Unlike Cc4s it knows real vertices and the steps of :data:`STEPS` alone,
its estimates of memory and operations are rough, and (T) works with fewer virtual than occupied orbitals. Under MPI the
first rank does all the work.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

BANNER = r"""
                __ __
     __________/ // / _____
    / ___/ ___/ // /_/ ___/
   / /__/ /__/__  __(__  )
   \___/\___/  /_/ /____/
  Coupled Cluster for Solids
"""
VERSION = 'stand-in'


class Cc4sError(Exception):
    """What stops a run; the text is that of Cc4s."""


class Address(int):
    """An object as ``cc4s.out.yaml`` shows it: 0x55b24bffd8a0."""


yaml.SafeDumper.add_representer(
    Address, lambda dumper, value: dumper.represent_scalar('tag:yaml.org,2002:int', f'0x{int(value):x}')
)


def out(text: str = '') -> None:
    print(text, flush=True)


class Run:
    """The symbols of one run, and what it does with them."""

    def __init__(self, steps: list[dict[str, Any]], folder: Path, dry: bool) -> None:
        self.steps, self.folder, self.dry = steps, folder, dry
        self.symbols: dict[str, Any] = {}
        self.operations = self.memory = 0

    def go(self, report: Callable[[dict[int, Any]], None]) -> None:
        done: dict[int, Any] = {}
        for number, step in enumerate(self.steps):
            name = step['name']
            if name not in STEPS:
                raise Cc4sError(f'unknown algorithm: {name}')
            if not self.dry:
                out(f'step: {number + 1}, {name}')
            started, before = time.perf_counter(), self.operations
            arguments = {
                key: self.symbols[value] if isinstance(value, str) and value in self.symbols else value
                for key, value in (step.get('in') or {}).items()
            }
            results = STEPS[name](self, arguments)
            for key, symbol in (step.get('out') or {}).items():
                if key in results:
                    self.symbols[symbol] = results[key]
            seconds, operations = time.perf_counter() - started, self.operations - before
            if not self.dry:
                out(f'realtime {seconds:.9f} s')
                out('--')
            statistics = {
                'realtime': round(seconds, 9),
                'floatingPointOperations': operations,
                'flops': operations / max(seconds, 1e-9),
            }
            done[number] = {'name': name, 'in': shown(arguments), 'out': shown(results), 'statistics': statistics}
            report(done)

    def count(self, operations: float = 0, numbers: float = 0) -> None:
        self.operations += int(operations)
        self.memory = max(self.memory, int(8 * numbers))

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        path = self.folder / arguments['fileName']
        try:
            header = yaml.safe_load(path.read_text())
        except OSError:
            raise Cc4sError(f"Failed to open file '{path.name}'") from None
        elements = path.with_suffix('.elements')
        if not elements.exists():
            raise Cc4sError(
                f"Failed to read file '{path.name}'\n"
                f"src/main/TensorIo.cxx(481): ERROR: Caused by: Failed to open file '{elements.name}'"
            )
        shape = [dimension['length'] for dimension in header['dimensions']]
        self.count(numbers=2 * np.prod(shape))
        tensor = SimpleNamespace(shape=shape, header=header, file=elements, values=None)
        if self.dry:
            return {'destination': tensor}
        if header['elements']['type'] == 'TextFile':
            out(f'Reading from text file {elements.name}')
            tensor.values = np.array(elements.read_text().split(), dtype=float)
        else:
            out(f'Reading from binary file {elements.name}')
            dtype = '<c16' if header['scalarType'] == 'Complex64' else '<f8'
            found = np.fromfile(elements, dtype=dtype, count=int(np.prod(shape)))
            whole = np.zeros(int(np.prod(shape)), dtype=dtype)
            whole[: len(found)] = found
            tensor.values = whole.reshape(shape, order='F')
        return {'destination': tensor}

    def define_holes_and_particles(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        energies = arguments['eigenEnergies']
        meta = energies.header['metaData']
        n_states = energies.shape[0]
        n_holes = int((np.array(meta['energies']) < meta['fermiEnergy']).sum())
        if not self.dry:
            out(f'number of holes     No: {n_holes}')
            out(f'number of particles Nv: {n_states - n_holes}')
            out(f'number of states    Np: {n_states}')
        sliced = SimpleNamespace(n_holes=n_holes, n_particles=n_states - n_holes, values=energies.values)
        return {'slicedEigenEnergies': sliced}

    def slice_operator(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        operator = arguments['operator']
        if not self.dry:
            out(f'Slicing {operator.file.name} into holes and particles.')
        return {'slicedOperator': operator}

    def vertex_coulomb_integrals(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        vertex = arguments['slicedCoulombVertex']
        if not vertex.header['metaData'].get('halfGrid'):
            raise Cc4sError('the stand-in knows real vertices only (halfGrid: 1)')
        if not self.dry:
            out('Using real Coulomb integrals')
            out(f'number of field variables NF: {vertex.shape[0]}')
        self.count(np.prod(vertex.shape) * 2)
        return {'coulombIntegrals': vertex}

    def coupled_cluster(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        method = arguments.get('method', 'Ccsd')
        if method != 'Ccsd':
            raise Cc4sError(f"Unknown method: '{method}'")
        sliced, vertex = arguments['slicedEigenEnergies'], arguments['coulombIntegrals']
        limit = int(arguments.get('maxIterations', 16))
        o, v, f = sliced.n_holes, sliced.n_particles, vertex.shape[0]
        of_one = 2 * (o**2 * v**4 / 2 + 4 * o**3 * v**3 + f * v**4 / 2)
        if self.dry:
            self.count(limit * of_one, 4 * o**2 * v**2 + 2 * f * (o + v) ** 2 + o * v**3)
            return {'amplitudes': None, 'energy': None}
        mixer = arguments.get('mixer', {'type': 'DiisMixer'})
        out(f'Using method Ccsd. integralsSliceSize: {arguments.get("integralsSliceSize", -1)}')
        out(f'Using mixer {mixer["type"]}. maxResidua: {mixer.get("maxResidua", 4)}')
        energy_limit = float(arguments.get('energyConvergence', 1e-6))
        amplitudes_limit = float(arguments.get('amplitudesConvergence', 1e-5))
        out(f'Maximum number of iterations: {limit}')
        out(f'Unless reaching energy convergence dE: {energy_limit:g}')
        out(f'and amplitudes convergence dR: {amplitudes_limit:g}')
        out('Iter         Energy         dE           dR         time   GF/s/rank')

        solver, integrals = coupled_cluster_of(vertex.values, sliced.values, o)
        solver.level_shift = float(arguments.get('levelShift', 0))
        latest = deque(maxlen=int(mixer.get('maxResidua', 4)))
        singles, doubles = np.zeros((o, v)), np.zeros((o, o, v, v))
        energy = before = second_order = 0.0
        converged = False
        for iteration in range(limit):
            started = time.perf_counter()
            if iteration:
                new = solver.update_amps(singles, doubles, integrals)
                self.count(of_one)
            else:
                new = solver.init_amps(integrals)[1:]
            amplitudes = np.concatenate([part.ravel() for part in new])
            change = amplitudes - np.concatenate([singles.ravel(), doubles.ravel()])
            latest.append((amplitudes, change))
            mixed, residuum = mix(latest)
            singles, doubles = mixed[: o * v].reshape(o, v), mixed[o * v :].reshape(o, o, v, v)
            before, energy = energy, solver.energy(singles, doubles, integrals)
            second_order = second_order if iteration else energy
            seconds = time.perf_counter() - started
            speed = of_one / 1e9 / seconds
            changes = f'{energy - before:12.4e} {residuum:12.4e}'
            out(f'{iteration + 1:4d} {energy:16.8e} {changes} {seconds:8.1f} {speed:6.1f}')
            if abs(energy - before) < energy_limit and residuum < amplitudes_limit:
                converged = True
                break
        if not converged:
            out('cc4s.in: WARNING: energy or amplitudes convergence not reached.')
        out()
        out(f'Ccsd correlation energy:          {energy:.10f}')
        out(f'2nd-order correlation energy:     {second_order:.10f}')
        pairs = doubles + np.einsum('ia,jb->ijab', singles, singles)
        direct = 2 * np.einsum('ijab,iajb->', pairs, integrals.ovov)
        report = {
            'correlation': float(energy),
            'direct': float(direct),
            'exchange': float(energy - direct),
            'secondOrder': float(second_order),
            'unit': 1,
        }
        found = SimpleNamespace(solver=solver, integrals=integrals, singles=singles, doubles=doubles)
        return {'energy': report, 'amplitudes': found, 'convergenceReached': int(converged)}

    def perturbative_triples(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        sliced = arguments['slicedEigenEnergies']
        o, v = sliced.n_holes, sliced.n_particles
        self.count(2 * o**3 * v**3 * (o + v), o * v**3)
        if self.dry:
            return {}
        if arguments.get('mp2PairEnergies') is not None:
            raise Cc4sError('the stand-in knows no (T*) correction')
        given = arguments['amplitudes']
        energy = float(given.solver.ccsd_t(given.singles, given.doubles, given.integrals))
        out('Progress(%)  time(s)   GF/s/rank')
        out('100          0         0.000')
        out(f'(T) correlation energy: {energy:23.15f}')
        return {'energy': {'correlation': energy, 'unit': 1}}

    def second_order_perturbation_theory(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if self.dry:
            return {}
        sliced, vertex = arguments['slicedEigenEnergies'], arguments['coulombIntegrals']
        solver, integrals = coupled_cluster_of(vertex.values, sliced.values, sliced.n_holes)
        energy, _, doubles = solver.init_amps(integrals)
        direct = float(2 * np.einsum('ijab,iajb->', doubles, integrals.ovov))
        out('Contracting second order energy...')
        parts = {'singles': 0.0, 'direct': direct, 'exchange': float(energy) - direct, 'correlation': float(energy)}
        out(f'correlation energy: {energy:.10f}')
        for name in ('singles', 'direct', 'exchange'):
            out(f'  {name + ":":<10}{parts[name]:.10f}')
        second = {f'secondOrder{name.capitalize()}': parts[name] for name in ('singles', 'direct', 'exchange')}
        return {'energy': {**parts, **second, 'secondOrder': float(energy), 'unit': 1}}


STEPS: dict[str, Callable[[Run, Mapping[str, Any]], dict[str, Any]]] = {
    'Read': Run.read,
    'DefineHolesAndParticles': Run.define_holes_and_particles,
    'SliceOperator': Run.slice_operator,
    'VertexCoulombIntegrals': Run.vertex_coulomb_integrals,
    'CoupledCluster': Run.coupled_cluster,
    'PerturbativeTriples': Run.perturbative_triples,
    'PerturbativeTriplesReference': Run.perturbative_triples,
    'SecondOrderPerturbationTheory': Run.second_order_perturbation_theory,
}


def coupled_cluster_of(vertex: Any, energies: Any, n_occupied: int) -> tuple[Any, Any]:
    """Return PySCF's CCSD, and its integrals made of the vertex: the Fock matrix holds the orbital energies alone."""
    from pyscf import gto, lib, scf
    from pyscf.cc import dfccsd

    n = n_occupied
    molecule = gto.M(verbose=0)
    molecule.nelectron = 2 * n
    mean_field = scf.RHF(molecule)
    mean_field.mo_energy, mean_field.mo_coeff = energies, np.eye(len(energies))
    mean_field.mo_occ = np.where(np.arange(len(energies)) < n, 2.0, 0.0)
    mean_field.with_df = SimpleNamespace()
    solver = dfccsd.RCCSD(mean_field)
    solver.e_hf = 0.0

    factors = np.ascontiguousarray(vertex.real)
    oo, ov, vv = factors[:, :n, :n], factors[:, :n, n:], factors[:, n:, n:]
    packed = lib.pack_tril(np.ascontiguousarray(vv))
    integrals = dfccsd._ChemistsERIs(molecule)
    integrals.mo_coeff, integrals.mo_energy, integrals.fock = mean_field.mo_coeff, energies, np.diag(energies)
    integrals.nocc, integrals.naux = n, len(factors)
    integrals.oooo = np.einsum('Fij,Fkl->ijkl', oo, oo, optimize=True)
    integrals.ovoo = np.einsum('Fia,Fjk->iajk', ov, oo, optimize=True)
    integrals.ovov = np.einsum('Fia,Fjb->iajb', ov, ov, optimize=True)
    integrals.ovvo = np.ascontiguousarray(integrals.ovov.transpose(0, 1, 3, 2))
    integrals.oovv = np.einsum('Fij,Fab->ijab', oo, vv, optimize=True)
    integrals.ovvv = np.einsum('Fia,Fp->iap', ov, packed, optimize=True)
    integrals.vvL = np.ascontiguousarray(packed.T)
    return solver, integrals


def mix(latest: Sequence[tuple[Any, Any]]) -> tuple[Any, float]:
    """Return DIIS's amplitudes from the latest ones and their changes, and the norm of the change that is left."""
    n = len(latest)
    equations = np.ones((n + 1, n + 1))
    equations[n, n] = 0
    equations[:n, :n] = [[np.vdot(a, b) for _, b in latest] for _, a in latest]
    weights = np.linalg.lstsq(equations, np.append(np.zeros(n), 1.0), rcond=1e-16)[0][:n]
    amplitudes, change = (sum(w * pair[k] for w, pair in zip(weights, latest, strict=True)) for k in (0, 1))
    return amplitudes, float(np.linalg.norm(change))


def shown(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments or results as ``cc4s.out.yaml`` shows them: plain values, and addresses of the rest."""
    plain = (int, float, str, dict)
    return {key: value if isinstance(value, plain) else Address(id(value)) for key, value in arguments.items()}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description='A stand-in for Cc4s.')
    parser.add_argument('-i', '--in', dest='source', default='cc4s.in')
    parser.add_argument('-o', '--out', default='cc4s.out.yaml')
    parser.add_argument('-l', '--log', default='cc4s.log')
    parser.add_argument('-d', '--dry-ranks', type=int, default=0)
    options = parser.parse_args(words)
    environment = os.environ
    rank = int(environment.get('OMPI_COMM_WORLD_RANK', environment.get('PMI_RANK', 0)))
    ranks = int(environment.get('OMPI_COMM_WORLD_SIZE', environment.get('PMI_SIZE', 1)))
    if rank:
        return 0
    source = Path(options.source)
    clock = time.ctime()
    out(BANNER)
    out(f'version: {VERSION}, date: none\nbuild date: none\ncompiler: none\nmpi: none')
    out(f'total ranks: {ranks}\nnumber of omp threads: 1\ncalculation started on: {clock}\n')
    if not options.dry_ranks:
        out('DRY RUN ONLY - nothing will be calculated')
    head = {
        'version': VERSION,
        'buildDate': 'none',
        'compiler': 'none',
        'dryRanks': options.dry_ranks,
        'hosts': {0: {'host': 'node', 'ranks': {n: n for n in range(ranks)}}},
        'startTime': f'{clock}\n',
        'totalProcesses': ranks,
    }
    Path(options.log).write_text(f'{VERSION}\n')
    try:
        steps = yaml.safe_load(source.read_text())
        for dry in (True, False):
            started = time.perf_counter()
            run = Run(steps, source.parent, dry)
            target = Path(options.out)
            target = target.with_name(f'dry-{target.name}') if dry else target

            def report(done: dict[int, Any], target: Path = target, **more: Any) -> None:
                target.write_text(yaml.safe_dump({'executionEnvironment': head, 'steps': done, **more}))

            latest: dict[int, Any] = {}
            run.go(lambda done, latest=latest, report=report: (latest.update(done), report(done))[1])
            seconds = time.perf_counter() - started
            statistics = {'floatingPointOperations': run.operations, 'flops': run.operations / seconds}
            report(latest, statistics={**statistics, 'realtime': round(seconds, 9)})
            if dry:
                estimate(run, options.dry_ranks or ranks)
                if options.dry_ranks:
                    return 0
    except (Cc4sError, OSError, yaml.YAMLError) as error:
        out(f'{source.name}: ERROR: {error}\n{source.name}: ERROR: Caused by: Request from here')
        return 1
    return 0


def estimate(run: Run, ranks: int) -> None:
    """Print what the dry run found."""
    gigabytes, gigaflops = run.memory / 1024**3, run.operations / 1e9
    out(f'Dry run finished. Estimates provided for {ranks} ranks.')
    out(f'Memory estimate (per Rank/Total): {gigabytes / ranks:g} / {gigabytes:g} GB')
    out(f'Operations estimate (per Rank/Total): {gigaflops / ranks:g} / {gigaflops:g} GFLOPS')
    seconds = gigaflops / ranks / 10
    out(f'Time estimate with assumed performance of 10 GF/rank/s: {seconds:g} s ({seconds / 3600:g} h)')
    out('--')


if __name__ == '__main__':
    sys.exit(main())
