"""How many steps a second each kind of Δ makes: ``python -m tests.benchmarks.md --data DIR --device cuda``.

Prints one JSON object: steps of velocity Verlet a second (wall clock, median) of 512 atoms with the base, with the base
and a Δ network added by ASE's SumCalculator, and with the fused force field of each kind, and as ratios to that sum.
All take some steps in turn, in one process: what else the machine does hits all alike. The networks have random
weights, on which their cost does not depend, so the steps are as short as the forces are senseless.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import numpy as np
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator

from aiida_mlcc.runtime.calculators import energy_and_forces
from aiida_mlcc.runtime.md.integrators import thermal_velocities, verlet_step
from aiida_mlcc.science.crystal.cells import supercell
from tests.benchmarks.data import load
from tests.benchmarks.evaluate import SUPERCELL, calculators
from tests.benchmarks.options import network_of, network_options, parser_of

KELVIN = 20.0
TIME_STEP_FS = 0.01


class Dynamics:
    """A run at constant energy with one calculator, as the runtime's."""

    def __init__(self, calculator: Calculator, atoms: Atoms, seed: int) -> None:
        self.calculator, self.atoms = calculator, atoms.copy()
        self.masses = atoms.get_masses()
        self.positions = atoms.positions.copy()
        self.velocities = thermal_velocities(KELVIN, self.masses, np.random.default_rng(seed))
        self.forces = self.forces_at(self.positions)

    def forces_at(self, positions: np.ndarray) -> np.ndarray:
        """Return the forces, eV/Å."""
        self.atoms.positions = positions
        forces = energy_and_forces(self.calculator, self.atoms)[1]
        assert forces is not None
        return forces

    def seconds_of(self, n_steps: int) -> float:
        """Go on, and return the seconds it takes."""
        started = time.perf_counter()
        for _ in range(n_steps):
            self.positions, self.velocities, self.forces = verlet_step(
                self.positions, self.velocities, self.forces, self.forces_at, self.masses, TIME_STEP_FS * units.fs
            )
        return time.perf_counter() - started


def seconds_per_step(named: Mapping[str, Calculator], atoms: Atoms, n_steps: int, n_turns: int, seed: int):
    """Return the seconds of a step in every turn with every calculator, the first turn left out."""
    random = np.random.default_rng(seed)
    runs = {name: Dynamics(calculator, atoms, seed) for name, calculator in named.items()}
    seconds: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(n_turns + 1):
        # In another order each time: one may find the caches warmer than the next.
        for name in random.permutation(list(named)):
            seconds[name].append(runs[name].seconds_of(n_steps) / n_steps)
    return {name: values[1:] for name, values in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__.splitlines()[0])
    network_options(parser)
    parser.add_argument('--steps', type=int, default=10, help='of a turn')
    parser.add_argument('--turns', type=int, default=5)
    parser.add_argument('--dtype', choices=('float32', 'float64'), default='float64')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    options = parser.parse_args()
    torch.set_num_threads(1)
    snapshots, primitive = load(options.data, options.crystal)
    network, atoms = network_of(options), supercell(primitive, SUPERCELL)
    found: dict[str, list[float]] = {}
    for seed in options.seeds:
        named = calculators(snapshots, primitive, network, seed, options.dtype, options.device)
        for name, values in seconds_per_step(named, atoms, options.steps, options.turns, seed).items():
            found.setdefault(name, []).extend(values)
    median = {name: float(np.median(values)) for name, values in found.items()}
    result = {
        'benchmark': 'md',
        'crystal': options.crystal,
        'n_atoms': len(atoms),
        'network': network,
        'dtype': options.dtype,
        'device': torch.cuda.get_device_name() if options.device == 'cuda' else 'cpu, one thread',
        'seeds': options.seeds,
        'steps': options.steps,
        'turns': options.turns,
        'steps_per_second': {name: 1 / value for name, value in median.items()},
        'ratios': {name: median['SumCalculator'] / value for name, value in median.items()},
    }
    print(json.dumps(result))


if __name__ == '__main__':
    main()
