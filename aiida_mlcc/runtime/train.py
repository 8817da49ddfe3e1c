"""Task ``train``: a MACE network on the energies and forces of a method, or on the energy difference of two.

``snapshots.npz`` → ``force_field/``, ``history.jsonl`` (a line an epoch) and ``errors`` in ``output.json``:
``train_`` and ``valid_energy_rmse_mev_atom`` and ``…_forces_rmse_mev_angstrom``, ``n_train``, ``n_valid``,
``spread_mev_atom`` of the labels, and for a Δ also what rescaling the energy of the other method by one parameter
would err on the same held-out frames, ``rescaling_mev_atom``: a network worth having is ``better_than_rescaling``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.graphs import DTYPES, cast, neighbour_graph
from aiida_mlcc.runtime.mace_model import Architecture, build, model_of, term_of
from aiida_mlcc.runtime.task import Job, JobError, replacing
from aiida_mlcc.runtime.training_loop import Frames, Trainer, errors_of
from aiida_mlcc.runtime.training_settings import Training
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.snapshots import Snapshots

FORCE_FIELD_FOLDER = 'force_field'
HISTORY_FILE = 'history.jsonl'
CHECKPOINT_FILE = 'training.safetensors'

_FEWEST_FRAMES = 5
_SPLIT = 0
_MEV = 1000.0
_SECONDS_BETWEEN_CHECKPOINTS = 15.0


@dataclass(frozen=True)
class Target:
    """What to learn: the energies, and forces where asked, of `method`, or its energies minus those of `minus`."""

    method: str
    minus: str | None = None
    forces: bool = True

    def __post_init__(self) -> None:
        if self.minus is not None and self.forces:
            raise JobError(
                f'the difference {self.method} − {self.minus} is learnt from energies alone: set forces to false'
            )

    @property
    def name(self) -> str:
        return self.method if self.minus is None else f'{self.method} − {self.minus}'

    @property
    def methods(self) -> tuple[str, ...]:
        return (self.method,) if self.minus is None else (self.method, self.minus)


@dataclass(frozen=True)
class Labelled:
    """The frames that carry the labels of a target.

    :param energies: eV per cell, shape (n_frames,): of the method, or the difference.
    :param forces: eV/Å, shape (n_frames, n_atoms, 3), or None.
    :param train: indices of the frames to learn from; `valid`: of those held out.
    """

    snapshots: Snapshots
    energies: NDArray[np.float64]
    forces: NDArray[np.float64] | None
    train: NDArray[np.int64]
    valid: NDArray[np.int64]

    @property
    def spread(self) -> float:
        """Standard deviation of the energies to learn from, eV per atom."""
        return float(np.std(self.energies[self.train]) / self.snapshots.n_atoms)


def run(job: Job) -> None:
    """Train, or go on with a training that was stopped."""
    training = Training.from_settings({k: v for k, v in job.require('training').items() if k != 'dtype'})
    target = Target(**job.require('target'))
    seed, dtype, device = int(job.require('seed')), str(job.require('dtype')), str(job.require('device'))
    if dtype not in DTYPES:
        raise JobError(f'unknown dtype {dtype!r}: choose from {", ".join(DTYPES)}')
    if device != 'cpu' and not torch.cuda.is_available():
        raise JobError(
            f'the device is {device!r}, but PyTorch finds no GPU on this computer: ask for one, or use the cpu'
        )
    snapshots = Snapshots.load(job.path_of('snapshots'))
    data = labelled_frames(snapshots, target, training.valid_fraction, seed)
    constants = minimum_norm_constants(data) if target.minus is None else per_atom_constant(data)
    residual = data.energies - sum(constants[symbol] for symbol in data.snapshots.symbols)
    frames, architecture = prepare(job.require('network'), data, residual, dtype, device)
    model = build(architecture, dtype, seed).to(device)
    train, valid = _subset(frames, data.train), _subset(frames, data.valid)
    trainer = Trainer(model, train, valid, training, seed, unit=architecture.scale)
    if not _train(job, trainer, _identity(job.input, snapshots)):
        return job.pause(epochs_done=trainer.epoch, best_epoch=trainer.best_epoch)

    term = term_of(architecture, trainer.best_parameters, trained_on=_origin(target, snapshots, data, seed))
    force_field = with_probe(ForceField((term,), constants), data.snapshots)
    with replacing(job.folder / FORCE_FIELD_FOLDER) as folder:
        force_field.save(folder)
    network = model_of(term, device)
    errors: dict[str, Any] = {'n_train': len(data.train), 'n_valid': len(data.valid)}
    errors['spread_mev_atom'] = _MEV * data.spread
    for part, chosen in (('train', train), ('valid', valid)):
        values = errors_of(network, _in_float64(chosen), 4 * training.batch_size)
        errors.update({f'{part}_{name}': value for name, value in values.items()})
    if target.minus is not None:
        errors['rescaling_mev_atom'] = rescaling_error(data, snapshots_energy(data.snapshots, target.minus))
        errors['better_than_rescaling'] = bool(errors['valid_energy_rmse_mev_atom'] < errors['rescaling_mev_atom'])
    return job.finish(errors=errors, epochs_done=trainer.epoch, best_epoch=trainer.best_epoch)


def labelled_frames(snapshots: Snapshots, target: Target, valid_fraction: float, seed: int) -> Labelled:
    """Take the frames that carry all labels of `target`, and hold a random share of them out.

    :raises JobError: where too few are left.
    """
    chosen = snapshots.labelled_by(*target.methods)
    forces = None
    if target.forces:
        forces = snapshots.labels[target.method].forces
        if forces is None:
            raise JobError(f'the {target.method} labels have no forces: train on energies alone, or label with forces')
        chosen = chosen[np.isfinite(forces[chosen]).all(axis=(1, 2))]
        forces = forces[chosen]
    n_frames = len(chosen)
    if n_frames < _FEWEST_FRAMES:
        what = 'energies and forces' if target.forces else 'energies'
        raise JobError(
            f'only {n_frames} of {snapshots.n_frames} frames carry {what} of {" and ".join(target.methods)}: '
            f'a network needs at least {_FEWEST_FRAMES}'
        )
    frames = snapshots.select(chosen)
    energies = snapshots_energy(frames, target.method)
    if target.minus is not None:
        energies = energies - snapshots_energy(frames, target.minus)
    order = np.random.default_rng([seed, _SPLIT]).permutation(n_frames)
    n_valid = min(max(1, round(valid_fraction * n_frames)), n_frames - 2)
    return Labelled(frames, energies, forces, np.sort(order[n_valid:]), np.sort(order[:n_valid]))


def snapshots_energy(snapshots: Snapshots, method: str) -> NDArray[np.float64]:
    """Energies of `method`, eV per cell."""
    return snapshots.labels[method].energies


def minimum_norm_constants(data: Labelled) -> dict[str, float]:
    """Energy per atom of each element, eV: least squares over the training frames.

    All frames have one stoichiometry, which fixes a single combination of the constants; of all solutions this is
    the one of smallest norm.
    """
    counts = Counter(data.snapshots.symbols)
    row = np.array([counts[symbol] for symbol in sorted(counts)], dtype=float)
    rows = np.tile(row, (len(data.train), 1))
    solution = np.linalg.lstsq(rows, data.energies[data.train], rcond=None)[0]
    return {symbol: float(value) for symbol, value in zip(sorted(counts), solution, strict=True)}


def per_atom_constant(data: Labelled) -> dict[str, float]:
    """The mean of the training energies per atom, eV, the same for every element."""
    mean = float(np.mean(data.energies[data.train]) / data.snapshots.n_atoms)
    return {symbol: mean for symbol in sorted(set(data.snapshots.symbols))}


def rescaling_error(data: Labelled, other: NDArray[np.float64]) -> float:
    """Held-out error (meV per atom) of Δ = a·`other` + constant, fitted to the training frames."""
    mean, delta_mean = other[data.train].mean(), data.energies[data.train].mean()
    deviations = other[data.train] - mean
    variance = float(deviations @ deviations)
    slope = float(deviations @ (data.energies[data.train] - delta_mean)) / variance if variance else 0.0
    wrong = delta_mean + slope * (other[data.valid] - mean) - data.energies[data.valid]
    return float(_MEV * np.sqrt(np.mean(wrong**2)) / data.snapshots.n_atoms)


def prepare(
    network: Mapping[str, Any], data: Labelled, residual: NDArray[np.float64], dtype: str, device: str
) -> tuple[Frames, Architecture]:
    """Return the graphs of all frames, built once, and the network with what it takes from the data.

    One unit of the network's output is worth the root mean square force times 1 Å or, where energies alone are
    learnt, the spread of the energies per atom.

    :param residual: energies without the constants per element, eV per cell.
    :raises JobError: where there is nothing to learn: equal energies, or no forces.
    """
    numbers = [atomic_numbers[symbol] for symbol in data.snapshots.symbols]
    scale = data.spread if data.forces is None else float(np.sqrt(np.mean(data.forces[data.train] ** 2)))
    if not scale > 0:
        what = 'energies are all equal' if data.forces is None else 'forces are all zero'
        raise JobError(f'the {what} in the {len(data.train)} training frames: there is nothing to learn')
    settings = {**network, 'atomic_numbers': sorted(set(numbers)), 'avg_num_neighbors': 1.0, 'scale': scale}
    architecture = Architecture.from_settings(settings)
    snapshots = data.snapshots
    graphs = [
        neighbour_graph(numbers, cell, positions, architecture.r_max, dtype, device)
        for cell, positions in zip(snapshots.cells, snapshots.positions, strict=True)
    ]
    n_edges = sum(graphs[i].n_edges for i in data.train)
    if not n_edges:
        raise JobError(f'no atom has a neighbour within r_max = {architecture.r_max:g} Å: give a larger one')
    kind = DTYPES[dtype]
    forces = None if data.forces is None else torch.as_tensor(data.forces, dtype=kind, device=device)
    frames = Frames(graphs, torch.as_tensor(residual, dtype=kind, device=device), forces)
    return frames, replace(architecture, avg_num_neighbors=n_edges / (len(data.train) * snapshots.n_atoms))


def with_probe(force_field: ForceField, snapshots: Snapshots) -> ForceField:
    """Return the force field with the energy it gives for the first frame, to be checked whenever it is loaded."""
    energy = ForceFieldCalculator(force_field).get_potential_energy(snapshots.atoms(0))
    probe = {
        'symbols': list(snapshots.symbols),
        'cell': snapshots.cells[0].tolist(),
        'positions': snapshots.positions[0].tolist(),
        'energy': float(energy),
    }
    return replace(force_field, probe=probe)


def _train(job: Job, trainer: Trainer, identity: str) -> bool:
    """Run the epochs that are left. Returns whether they are done; if not, the checkpoint is written."""
    checkpoint = job.checkpoint / CHECKPOINT_FILE
    _resume(trainer, checkpoint, identity)
    history = job.folder / HISTORY_FILE
    history.write_text(''.join(f'{json.dumps(line)}\n' for line in trainer.history))
    saved_at = job.seconds
    longest = 0.0
    while not trainer.finished:
        if job.must_stop(reserve=1.5 * longest):
            _save(trainer, checkpoint, identity)
            return False
        line = trainer.run_epoch()
        longest = max(longest, line['seconds'])
        with open(history, 'a') as stream:
            stream.write(f'{json.dumps(line)}\n')
        extras = {name: value for name, value in line.items() if name not in ('epoch', 'seconds')}
        job.progress(trainer.epoch, trainer.training.epochs, 'epoch', **extras)
        if job.seconds - saved_at > _SECONDS_BETWEEN_CHECKPOINTS:
            _save(trainer, checkpoint, identity)
            saved_at = job.seconds
    return True


def _save(trainer: Trainer, checkpoint: Path, identity: str) -> None:
    from safetensors.torch import save_file

    tensors, numbers = trainer.state()
    with replacing(checkpoint) as path:
        save_file(tensors, path, metadata={'identity': identity, 'numbers': json.dumps(numbers)})


def _resume(trainer: Trainer, checkpoint: Path, identity: str) -> None:
    from safetensors import safe_open

    if not checkpoint.exists():
        return
    with safe_open(checkpoint, 'pt') as content:
        metadata = content.metadata()
        if metadata['identity'] != identity:
            raise JobError(f'{checkpoint.name} belongs to a training with other settings or snapshots: remove it')
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    trainer.restore(tensors, json.loads(metadata['numbers']))


def _identity(settings: Mapping[str, Any], snapshots: Snapshots) -> str:
    """Hash of all that a training depends on. The time limit is none of it."""
    content = {name: value for name, value in settings.items() if name != 'max_seconds'}
    return hashlib.sha256(json.dumps([content, snapshots.content_hash()], sort_keys=True).encode()).hexdigest()


def _origin(target: Target, snapshots: Snapshots, data: Labelled, seed: int) -> dict[str, Any]:
    """What a term tells about where it comes from."""
    return {
        'method': target.method,
        'minus': target.minus,
        'labels': ['energies', 'forces'] if target.forces else ['energies'],
        'sources': {method: dict(snapshots.labels[method].source) for method in target.methods},
        'snapshots': snapshots.content_hash(),
        'n_train': len(data.train),
        'seed': seed,
    }


def _subset(frames: Frames, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
    chosen = [int(i) for i in indices]
    forces = None if frames.forces is None else frames.forces[chosen]
    return Frames([frames.graphs[i] for i in chosen], frames.energies[chosen], forces)


def _in_float64(frames: Frames) -> Frames:
    forces = None if frames.forces is None else frames.forces.double()
    return Frames([cast(graph, 'float64') for graph in frames.graphs], frames.energies.double(), forces)
