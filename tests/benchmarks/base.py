"""What a low error of the forces hides in a base: ``python -m tests.benchmarks.base --data DIR``.

Prints one JSON object. For each seed it trains a base with all frames weighing the same and one with weights inverse
to their mean square force, each with a correction by force constants, and tells the errors of energies and forces with
and without it, and what is left to each mode of the training cell, in cm⁻¹: to the network alone by all frames, and to
the corrected base on frames that its correction was not fitted to. ``--control`` trains on energies alone besides, as
the article does with its ML(DFT_E).

With ``--kinds`` it compares kinds of base instead, on ``--frames`` frames drawn at random for each seed: ``kinds`` →
kind → seed → CPU seconds of the training, errors of the forces on all other frames and on their hot and cold halves,
frequencies at Γ, X and L, phonons against force constants of all frames, CPU seconds of a step of 512 atoms, and the
drift of their energy at 300 K. Of force constants it tells the same with a Δ of force constants besides, and with
dipoles where the crystal has two elements.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from ase import Atoms

from aiida_mlcc.runtime.__main__ import main as run_task
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.benchmarks.base_kinds import KINDS, compare
from tests.benchmarks.data import base_method_of, load
from tests.benchmarks.delta_networks import TRAINING
from tests.benchmarks.options import network_of, network_options, parser_of

WEIGHTS = ('uniform', 'inverse-force')


def train(folder: Path, snapshots: Snapshots, primitive: Atoms, **content: Any) -> dict[str, Any]:
    """Train a base in `folder`, and return its errors with the CPU seconds it took."""
    folder.mkdir(parents=True, exist_ok=True)
    snapshots.save(folder / 'snapshots.npz')
    cell = {'cell': primitive.cell.tolist(), 'positions': primitive.positions.tolist()}
    job = {
        'task': 'train',
        'max_seconds': None,
        'snapshots': 'snapshots.npz',
        'primitive': {'symbols': primitive.get_chemical_symbols(), **cell},
        'device': 'cpu',
        **content,
    }
    (folder / 'input.json').write_text(json.dumps(job))
    started = time.process_time()
    if run_task(['train'], folder):
        raise SystemExit((folder / 'output.json').read_text())
    seconds = time.process_time() - started
    return {**json.loads((folder / 'output.json').read_text())['errors'], 'train_cpu_s': seconds}


def summary(errors: dict[str, Any], residuals: str, rmse: dict[str, Any]) -> dict[str, Any]:
    """Return errors and residuals of one base, that of the optical mode at Γ on its own."""
    modes = errors[residuals]
    at_gamma = [mode for mode in modes if not any(mode['qpoint'])]
    return {
        **{name: value for name, value in rmse.items() if name.endswith(('mev_atom', 'mev_angstrom'))},
        'gamma': max(at_gamma, key=lambda mode: mode['frequency_cm1']) if at_gamma else None,
        'largest_shift_cm1': max(abs(mode['shift_cm1']) for mode in modes),
        'projected_residuals': modes,
        'train_cpu_s': errors['train_cpu_s'],
    }


def main() -> None:
    """Train, judge and print."""
    parser = parser_of(__doc__.splitlines()[0])
    network_options(parser)
    parser.add_argument('--epochs', type=int, default=50)
    parser.add_argument('--cutoff', type=float, help='of the correction, Å; by default what the cell supports')
    parser.add_argument('--control', action='store_true', help='train on energies alone, too')
    parser.add_argument('--keep', type=Path, help='a folder for the trained bases, WEIGHTS_seed_N/force_field')
    parser.add_argument('--kinds', nargs='+', choices=KINDS, help='compare these kinds of base')
    parser.add_argument('--frames', type=int, default=25, help='with --kinds: frames drawn for a training')
    parser.add_argument('--steps', type=int, default=500, help='with --kinds: of the dynamics, 1 fs each')
    options = parser.parse_args()
    torch.set_num_threads(1)
    snapshots, primitive = load(options.data, options.crystal)
    network, method = network_of(options), base_method_of(snapshots)
    if options.kinds:
        print(json.dumps(_of_kinds(options, snapshots, primitive, method, network)))
        return
    found: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        for seed in options.seeds:
            for weights in WEIGHTS:
                errors = train(
                    folder / f'{weights}_seed_{seed}',
                    snapshots,
                    primitive,
                    network=network,
                    training={**TRAINING, 'epochs': options.epochs, 'frame_weights': weights},
                    target={'method': method, 'minus': None, 'forces': True},
                    correction={'cutoff': options.cutoff},
                    seed=seed,
                )
                alone = summary(errors, 'projected_residuals_uncorrected', errors['uncorrected'])
                corrected = summary(errors, 'projected_residuals', errors)
                found.setdefault(weights, {})[f'seed_{seed}'] = alone
                found.setdefault(f'{weights}, corrected', {})[f'seed_{seed}'] = {
                    **corrected,
                    'correction': errors['correction'],
                }
            if options.control:
                errors = train(
                    folder / f'control_seed_{seed}',
                    snapshots,
                    primitive,
                    network=network,
                    training={**TRAINING, 'epochs': options.epochs, 'frame_weights': 'uniform'},
                    target={'method': method, 'minus': None, 'forces': False},
                    seed=seed,
                )
                found.setdefault('energies alone', {})[f'seed_{seed}'] = summary(errors, 'projected_residuals', errors)
    result = {
        'benchmark': 'base',
        'crystal': options.crystal,
        'method': method,
        'network': network,
        'epochs': options.epochs,
        'seeds': options.seeds,
        'bases': found,
    }
    print(json.dumps(result))


def _of_kinds(
    options: argparse.Namespace, snapshots: Snapshots, primitive: Atoms, method: str, network: dict[str, Any]
) -> dict[str, Any]:
    with TemporaryDirectory() as scratch:
        found = compare(
            snapshots,
            primitive,
            method,
            options.kinds,
            options.seeds,
            options.frames,
            network,
            options.epochs,
            options.steps,
            options.keep or Path(scratch),
        )
    return {
        'benchmark': 'base',
        'crystal': options.crystal,
        'method': method,
        'network': network,
        'epochs': options.epochs,
        'n_frames': options.frames,
        'n_held_out': snapshots.n_frames - options.frames,
        'seeds': options.seeds,
        'kinds': found,
    }


if __name__ == '__main__':
    main()
