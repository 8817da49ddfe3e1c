"""What one step of 512 atoms costs with each kind of Δ: ``python -m tests.benchmarks.evaluate --data DIR``.

Prints one JSON object: the CPU seconds of a step (energy and forces, one thread, median) for the base, for the base
and a Δ network added by ASE's SumCalculator, and for the fused force field of each kind, and as ratios to the base. All
take every step in turn, in one process, and a ratio is that of the medians over the steps: what else the machine does
hits all alike.
The cost of a network does not depend on its weights: they are random, while the linear Δ are fitted to the data.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.mixing import SumCalculator

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace.model import Architecture, build, term_of
from aiida_mlcc.runtime.mace.readout import ReadoutFitter
from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.fit.readout import Readout
from aiida_mlcc.science.force_field import ForceField, add_delta
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.benchmarks.data import base_method_of, load
from tests.benchmarks.options import network_of, network_options, parser_of

SUPERCELL = [[-4, 4, 4], [4, -4, 4], [4, 4, -4]]
"""256 primitive cells of two atoms: 4×4×4 conventional cubes."""

METHOD = 'HF'
AMPLITUDE = 0.05
STEP = 0.005
"""Å, of thermal motion and of one step."""


def untrained(network: Mapping[str, Any], symbols: tuple[str, ...], seed: int, method: str) -> ForceField:
    """Return a network with random weights as the force field of `method`."""
    numbers = tuple(sorted(set(Atoms(symbols).numbers.tolist())))
    architecture = Architecture(**network, atomic_numbers=numbers, avg_num_neighbors=20.0)
    parameters = dict(build(architecture, seed=seed).named_parameters())
    term = term_of(architecture, parameters, trained_on={'method': method})
    return ForceField((term,), dict.fromkeys(symbols, 0.0), method=method)


def calculators(
    snapshots: Snapshots, primitive: Atoms, network: Mapping[str, Any], seed: int, dtype: str, device: str = 'cpu'
) -> dict[str, Calculator]:
    """Return a calculator of the base and of base and Δ, of each kind."""
    base_method = base_method_of(snapshots)
    base = untrained(network, snapshots.symbols, seed, base_method)
    deltas = {
        'mace': untrained(network, snapshots.symbols, seed + 1, METHOD),
        'readout': ReadoutFitter(snapshots, base.terms[0], base_method).fit(METHOD, Readout(), seed).force_field,
        'force-constants': fit_delta(snapshots, primitive, base_method, METHOD, seed=seed).force_field,
    }
    fused = {kind: ForceFieldCalculator(add_delta(base, delta), device, dtype) for kind, delta in deltas.items()}
    # Calculators remember their last result: the sum has to have its own.
    summed = SumCalculator([ForceFieldCalculator(one, device, dtype) for one in (base, deltas['mace'])])
    return {'base': ForceFieldCalculator(base, device, dtype), 'SumCalculator': summed, **fused}


def seconds_per_step(steps: int, atoms: Atoms, named: Mapping[str, Calculator], seed: int) -> dict[str, list[float]]:
    """Return the CPU seconds of every step with every calculator, the first step left out."""
    random = np.random.default_rng(seed)
    atoms.positions += AMPLITUDE * random.standard_normal(atoms.positions.shape)
    seconds: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(steps + 1):
        atoms.positions += STEP * random.standard_normal(atoms.positions.shape)
        # In another order each time: one may find the caches warmer than the next.
        for name in random.permutation(list(named)):
            moved = atoms.copy()
            moved.calc = named[name]
            started = time.process_time()
            moved.get_forces()
            moved.get_potential_energy()
            seconds[name].append(time.process_time() - started)
    return {name: values[1:] for name, values in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__.splitlines()[0])
    network_options(parser)
    parser.add_argument('--steps', type=int, default=25)
    parser.add_argument('--dtype', choices=('float32', 'float64'), default='float64')
    options = parser.parse_args()
    torch.set_num_threads(1)
    snapshots, primitive = load(options.data, options.crystal)
    network = network_of(options)
    found: dict[str, list[list[float]]] = {}
    for seed in options.seeds:
        named = calculators(snapshots, primitive, network, seed, options.dtype)
        for name, values in seconds_per_step(options.steps, supercell(primitive, SUPERCELL), named, seed).items():
            found.setdefault(name, []).append(values)
    steps = {name: np.array(values) for name, values in found.items()}
    result = {
        'benchmark': 'evaluate',
        'crystal': options.crystal,
        'n_atoms': len(supercell(primitive, SUPERCELL)),
        'network': network,
        'dtype': options.dtype,
        'seeds': options.seeds,
        'steps': options.steps,
        'cpu_seconds': {name: float(np.median(values)) for name, values in steps.items()},
        'ratios': {name: float(np.median(values) / np.median(steps['base'])) for name, values in steps.items()},
    }
    print(json.dumps(result))


if __name__ == '__main__':
    main()
