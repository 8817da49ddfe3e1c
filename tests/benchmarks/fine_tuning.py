"""What phonon fine-tuning does to a network: ``python -m tests.benchmarks.fine_tuning --data DIR``.

Prints one JSON object. The reference are the force constants of a base that was fitted to the same frames, so that
``reference`` is what the network is to learn. For each seed it tells of the network trained on energies and forces
(``before``) and after fine-tuning (``after``): frequencies at Γ, X and L, phonons against the reference in a cell of
128 atoms, and the errors of the forces in the hot and the cold half of all frames that no training has seen; and CPU
seconds of a step that learns the forces of the reference cell and of one that learns a column of its force constants
(``steps``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace.curvature import Curvature
from aiida_mlcc.runtime.mace.model import build, term_of
from aiida_mlcc.runtime.mace.predictions import missing_height, predict
from aiida_mlcc.runtime.mace.training_data import Target, constants_of, labelled_frames
from aiida_mlcc.runtime.mace.training_loop import Trainer
from aiida_mlcc.runtime.mace.training_settings import Network, Training
from aiida_mlcc.runtime.tasks.reference_phonons import ReferencePhonons, against_force_field
from aiida_mlcc.runtime.tasks.train import labels_of, prepare
from aiida_mlcc.science.fit.hessian_columns import HessianColumns
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.benchmarks.base_kinds import PHONON_SUPERCELL, force_constants, frequencies, held_out_error, split
from tests.benchmarks.data import base_method_of, load
from tests.benchmarks.delta_networks import TRAINING
from tests.benchmarks.options import network_of, network_options, parser_of

DISTANCE = 0.01
REPEATS = 5


def reference_of(field: ForceField, frames: Snapshots, primitive: Any, method: str) -> Snapshots:
    """Return displacements of the training cell with the forces of a force field."""
    matrix = np.rint(frames.cells[0] @ np.linalg.inv(primitive.cell.array)).T
    displaced = displaced_cells(primitive, matrix, Displacements(DISTANCE))
    calculator = ForceFieldCalculator(field)
    images = [displaced.atoms(number) for number in range(displaced.n_frames)]
    energies = np.array([calculator.get_potential_energy(image) for image in images])
    forces = np.array([calculator.get_forces(image) for image in images])
    return displaced.with_label(method, Label(energies, forces, frames.labels[method].source))


def seconds_of(step: Callable[[], torch.Tensor]) -> float:
    """Return the CPU seconds of a step and of its derivative by the weights, the least of several."""
    found = []
    for _ in range(REPEATS):
        started = time.process_time()
        step().backward()
        found.append(time.process_time() - started)
    return min(found)


def steps(model: torch.nn.Module, curvature: Curvature) -> dict[str, float]:
    """Return the CPU seconds of a step by forces, of one by a column, and their ratio, for the cell of the columns."""
    model.train()

    def by_forces() -> torch.Tensor:
        data = curvature.graph.mace_input(model.atomic_numbers)
        return model(data, training=True, compute_force=True)['forces'].square().mean()

    forces, column = seconds_of(by_forces), seconds_of(lambda: curvature.mean_square(model, 0))
    return {'forces_cpu_s': forces, 'column_cpu_s': column, 'ratio': column / forces}


def main() -> None:
    """Train, fine-tune, judge and print."""
    parser = parser_of(__doc__.splitlines()[0])
    network_options(parser)
    parser.add_argument('--epochs', type=int, default=25)
    parser.add_argument('--frames', type=int, default=160, help='drawn for a training; the others judge it')
    parser.add_argument('--hessian-epochs', type=int, default=3)
    parser.add_argument('--hessian-weight', type=float, default=Training.defaults()['hessian_weight'])
    parser.add_argument('--hessian-learning-rate', type=float, default=Training.defaults()['hessian_learning_rate'])
    options = parser.parse_args()
    torch.set_num_threads(1)
    snapshots, primitive = load(options.data, options.crystal)
    method, network = base_method_of(snapshots), Network.of(network_of(options))
    training = Training.of(
        {
            **TRAINING,
            'epochs': options.epochs,
            'hessian_epochs': options.hessian_epochs,
            'hessian_weight': options.hessian_weight,
            'hessian_learning_rate': options.hessian_learning_rate,
        }
    )
    found = {}
    for seed in options.seeds:
        drawn, hot, cold = split(snapshots, method, options.frames, seed)
        frames = snapshots.select(drawn)
        expected = ForceFieldCalculator(field := force_constants(frames, primitive, method, seed))
        phonons = ReferencePhonons.of(reference_of(field, frames, primitive, method), primitive, method)
        columns = HessianColumns.from_reference(phonons.forces, phonons.term)
        target = Target(method)
        data = labelled_frames(frames, target, training.valid_fraction, seed)
        constants = constants_of(data, target)
        graphs, architecture = prepare(network, data, constants, training.dtype, 'cpu')
        model = build(architecture, training.dtype, seed)
        height = missing_height(predict(model, graphs.graphs, 20, False), labels_of(data, constants), data.train)
        architecture = replace(architecture, shift=height / frames.n_atoms)
        model.scale_shift.shift.fill_(architecture.shift)  # type: ignore[union-attr, operator]
        curvature = Curvature.of(columns, architecture.r_max, training.dtype, 'cpu')
        train, valid = graphs.subset(data.train), graphs.subset(data.valid)
        trainer = Trainer(model, train, valid, training, seed, architecture.scale, curvature)
        started = time.process_time()
        while not trainer.finished:
            trainer.run_epoch()
        entry: dict[str, Any] = {
            'train_cpu_s': time.process_time() - started,
            'columns': len(columns.shares),
            'hessian_steps': (trainer.epoch - (trainer.tuned_from or 0)) * -(-len(data.train) // training.batch_size),
            'reference': frequencies(expected, primitive),
            'steps': steps(model, curvature),
        }
        for name, parameters in (('before', trainer.untuned_parameters), ('after', trainer.best_parameters)):
            assert parameters is not None
            calculator = ForceFieldCalculator(ForceField((term_of(architecture, parameters),), constants))
            entry[name] = {
                'frequencies_cm1': frequencies(calculator, primitive),
                'phonons': against_force_field(calculator, expected, primitive, PHONON_SUPERCELL),
                'held_out_forces_mev_angstrom': {
                    half: held_out_error(calculator, snapshots, method, some)
                    for half, some in (('hot', hot), ('cold', cold))
                },
            }
        found[f'seed_{seed}'] = entry
    result = {
        'benchmark': 'fine_tuning',
        'crystal': options.crystal,
        'method': method,
        'network': network.to_dict(),
        'training': training.to_dict(),
        'n_frames': options.frames,
        'found': found,
    }
    print(json.dumps(result))


if __name__ == '__main__':
    main()
