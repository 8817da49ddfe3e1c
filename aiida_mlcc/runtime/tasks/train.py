"""Task ``train``: a MACE network on the energies and forces of a method, or on the energy difference of two.

``snapshots.npz`` → ``force_field/``, ``history.jsonl`` (a line an epoch) and ``errors`` in ``output.json``:
``train_`` and ``valid_energy_rmse_mev_atom`` and ``…_forces_rmse_mev_angstrom``, with forces also those of the hotter
half of the frames held out (``valid_hot_…``), ``n_train``, ``n_valid``, ``spread_mev_atom`` of the labels, and for a Δ
also what rescaling the energy of the other method by one parameter would err on the same held-out frames,
``rescaling_mev_atom``: a network worth having is ``better_than_rescaling``.
Where the input names the primitive cell of the crystal, the errors tell too what the base leaves to each mode, and a
``correction`` may be asked for: see :mod:`aiida_mlcc.runtime.tasks.base_judge`. The errors are then those of the
corrected base, and those of the network alone stand under ``uncorrected``. With Born charges (``polarity``) the
dipole–dipole energy is a term of its own, and with ``force_constants`` so are force constants fitted to the training
frames; the network learns what they leave of the labels. With ``reference`` displacements and no ``force_constants``,
the network learns the force constants of the reference in the end (``hessian_epochs``); what it was before is told
under ``before_fine_tuning``. The phonons of a base with a reference are compared with it (``phonons``, see
:func:`~aiida_mlcc.science.phonons.benchmark.phonon_errors`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols
from safetensors import SafetensorError

from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.mace.curvature import Curvature
from aiida_mlcc.runtime.mace.graphs import DTYPES, Graph, neighbour_graph
from aiida_mlcc.runtime.mace.model import KIND, Architecture, build, model_of, shifted, term_of
from aiida_mlcc.runtime.mace.predictions import Prediction, missing_height, predict, root_mean_square_errors
from aiida_mlcc.runtime.mace.training_data import (
    Known,
    Labelled,
    Target,
    constants_of,
    frame_weights,
    labelled_frames,
    rescaling_error,
)
from aiida_mlcc.runtime.mace.training_loop import Frames, Trainer
from aiida_mlcc.runtime.mace.training_settings import PARTS, Network, Training
from aiida_mlcc.runtime.task import ComputerError, Job, JobError, replacing
from aiida_mlcc.runtime.task_records import TrainTask
from aiida_mlcc.runtime.tasks.base_judge import BaseJudge
from aiida_mlcc.runtime.tasks.fit import dipole_of, primitive_cell, reference_of
from aiida_mlcc.runtime.tasks.reference_phonons import ReferencePhonons
from aiida_mlcc.science.crystal.cells import CrystalError
from aiida_mlcc.science.fit.base_model import BaseForceConstants, fit_base
from aiida_mlcc.science.fit.delta import FitError
from aiida_mlcc.science.fit.fit_errors import FitErrors, NetworkErrors
from aiida_mlcc.science.fit.hessian_columns import HessianColumns
from aiida_mlcc.science.fit.ridge import RidgeError
from aiida_mlcc.science.force_field import ForceField, Term, TrainedOn
from aiida_mlcc.science.force_field.sum import Probe
from aiida_mlcc.science.labels.snapshots import Snapshots, SnapshotsError
from aiida_mlcc.science.phonons.modes import hotter_half

FORCE_FIELD_FOLDER = 'force_field'
HISTORY_FILE = 'history.jsonl'
CHECKPOINT_FILE = 'training.safetensors'

_JUDGED = (
    'valid_energy_rmse_mev_atom',
    'valid_forces_rmse_mev_angstrom',
    'valid_hot_forces_rmse_mev_angstrom',
    'projected_residuals',
)
"""Errors that are told of a network before phonon fine-tuning, too."""
_MEV = 1000.0
_SECONDS_BETWEEN_CHECKPOINTS = 15.0


def run(job: Job) -> None:
    """Train, or go on with a training that was stopped."""
    training, network = Training.of(job.require('training')), Network.of(job.require('network'))
    target = Target(*(job.require('target', key) for key in ('method', 'minus', 'forces')))
    seed, dtype, device = int(job.require('seed')), training.dtype, str(job.require('device'))
    if device != 'cpu' and not torch.cuda.is_available():
        raise ComputerError(
            f'the device is {device!r}, but PyTorch finds no GPU on this computer: ask for one, or use cpu'
        )
    snapshots = Snapshots.load(job.path_of('snapshots'))
    data = labelled_frames(snapshots, target, training.valid_fraction, seed)
    task = cast(TrainTask, job.input)
    reference = reference_of(job)
    known = known_before(task, data, target, reference)
    judge = BaseJudge.of(task, data, target, known)
    phonons = phonons_of(task, target, reference, known)
    columns = columns_of(task, phonons)
    data = known.left_of(data)
    start = None if job.input.get('start_from') is None else start_of(ForceField.load(job.path_of('start_from')), data)
    constants = constants_of(data, target) if start is None else dict(start.constants)
    frames, architecture = prepare(network, data, constants, dtype, device, training.frame_weights, start)
    train, valid = frames.subset(data.train), frames.subset(data.valid)
    first = None if start is None else start.terms[0]
    model = build(architecture, dtype, seed) if first is None else model_of(first, dtype=dtype)
    model = train_all_but(model, training.frozen).to(device)
    labels = labels_of(data, constants)
    # A random network is some hundred meV per atom off; the first epochs would go into learning one number.
    height = missing_height(predict(model, frames.graphs, 4 * training.batch_size, False), labels, data.train)
    architecture = replace(architecture, shift=architecture.shift + height / data.snapshots.n_atoms)
    model.scale_shift.shift.fill_(architecture.shift)  # type: ignore[union-attr, operator]
    curvature = None if columns is None else Curvature.of(columns, architecture.r_max, dtype, device)
    trainer = Trainer(model, train, valid, training, seed, unit=architecture.scale, curvature=curvature)
    if not _train(job, trainer, _identity(task, snapshots, reference, first)):
        return job.pause(epochs_done=trainer.epoch, best_epoch=trainer.best_epoch)

    trained_on = _origin(target, snapshots, data, seed)
    if columns is not None and reference is not None:
        trained_on['reference'] = reference.content_hash()
    if first is not None:
        trained_on['start_from'] = {'content_hash': first.content_hash, 'trained_on': first.trained_on.copy()}

    def finished(parameters: Mapping[str, torch.Tensor]) -> tuple[ForceField, FitErrors]:
        # What was not trained keeps its digits, also where the training was in float32.
        kept = {} if first is None else parameters_of(model_of(first), training.frozen)
        term = term_of(architecture, {**parameters, **kept}, trained_on=trained_on, start=first)
        field, errors = finish(term, data, labels, constants, judge, 4 * training.batch_size, device)
        field = replace(field, terms=(*field.terms, *known.terms))
        if phonons is not None:
            errors['phonons'] = phonons.errors_of(field, device)
        return field, errors

    force_field, errors = finished(trainer.best_parameters)
    if trainer.untuned_parameters is not None:
        before = finished(trainer.untuned_parameters)[1]
        judged = {name: value for name, value in before.items() if name in (*_JUDGED, 'phonons')}
        errors['before_fine_tuning'] = cast(NetworkErrors, judged)
    with replacing(job.folder / FORCE_FIELD_FOLDER) as folder:
        with_probe(force_field, data.snapshots).save(folder)
    if target.minus is not None:
        errors['rescaling_mev_atom'] = rescaling_error(data, data.snapshots.labels[target.minus].energies)
        errors['better_than_rescaling'] = bool(errors['valid_energy_rmse_mev_atom'] < errors['rescaling_mev_atom'])
    return job.finish(errors=errors, epochs_done=trainer.epoch, best_epoch=trainer.best_epoch)


def known_before(content: TrainTask, data: Labelled, target: Target, reference: Snapshots | None = None) -> Known:
    """Return what a base has before its network is trained: the dipoles of ``polarity``, and ``force_constants``.

    Force constants are fitted to the training frames and to reference displacements alone.

    :raises JobError: where they cannot be fitted.
    """
    dipole, settings = dipole_of(content, data.snapshots), content.get('force_constants')
    if settings is None:
        if dipole is None:
            return Known.nothing(data.snapshots)
        return Known.of((dipole.term(),), data.snapshots, dipole.primitive)
    cell = content.get('primitive')
    if cell is None:
        raise JobError('force constants need the primitive cell of the crystal')
    try:
        primitive, chosen = primitive_cell(cell), BaseForceConstants.of(settings)
        frames = data.snapshots.select(data.train)
        fitted = fit_base(frames, primitive, target.method, dipole, chosen, reference=reference)
    except (SnapshotsError, CrystalError, FitError, RidgeError) as error:
        raise JobError(str(error)) from None
    return Known.of(fitted.terms, data.snapshots, primitive)


def phonons_of(
    content: TrainTask, target: Target, reference: Snapshots | None, known: Known
) -> ReferencePhonons | None:
    """Return the force constants of reference displacements, if there are any.

    :raises JobError: for a reference of another crystal, or without forces of the method.
    """
    if reference is None:
        return None
    cell = content.get('primitive')
    if cell is None:
        raise JobError('force constants of a reference need the primitive cell of the crystal')
    if target.minus is not None or not target.forces:
        raise JobError('reference displacements are for a base that learns forces: leave them out')
    try:
        return ReferencePhonons.of(reference, primitive_cell(cell), target.method, known.dipoles)
    except (SnapshotsError, CrystalError, RidgeError) as error:
        raise JobError(str(error)) from None


def columns_of(content: TrainTask, phonons: ReferencePhonons | None) -> HessianColumns | None:
    """Return the force constants that a network is to learn: those of the reference, less those of the dipoles.

    None where there is no reference, or force constants of its own hold what it shows.

    :raises JobError: where the forces of the reference have a sum.
    """
    if phonons is None or content.get('force_constants') is not None:
        return None
    try:
        return HessianColumns.from_reference(phonons.forces, phonons.term)
    except (SnapshotsError, CrystalError) as error:
        raise JobError(str(error)) from None


def prepare(
    network: Network,
    data: Labelled,
    constants: Mapping[str, float],
    dtype: str,
    device: str,
    weighting: str = 'uniform',
    start: ForceField | None = None,
) -> tuple[Frames, Architecture]:
    """Return the graphs of all frames, built once, and the network with what it takes from the data.

    One unit of the network's output is worth the root mean square force times 1 Å or, where energies alone are
    learnt, the spread of the energies per atom.

    :param constants: per element, eV; the network learns what they leave of the energies.
    :param weighting: how much each frame counts, see :func:`~aiida_mlcc.runtime.mace.training_data.frame_weights`.
    :param start: the network to go on from, whose units and elements stay.
    :raises JobError: where there is nothing to learn: equal energies, or no forces.
    """
    numbers = [atomic_numbers[symbol] for symbol in data.snapshots.symbols]
    scale = data.spread if data.forces is None else float(np.sqrt(np.mean(data.forces[data.train] ** 2)))
    if not scale > 0:
        what = 'energies are all equal' if data.forces is None else 'forces are all zero'
        raise JobError(f'the {what} in the {len(data.train)} training frames: there is nothing to learn')
    if start is None:
        architecture = Architecture(
            **asdict(network), atomic_numbers=sorted(set(numbers)), avg_num_neighbors=1.0, scale=scale
        )
    else:
        architecture = Architecture.from_settings(start.terms[0].settings)
    graphs = graphs_of(data.snapshots, architecture.r_max, dtype, device)
    n_edges = sum(graphs[i].n_edges for i in data.train)
    if not n_edges:
        raise JobError(f'no atom has a neighbour within r_max = {architecture.r_max:g} Å: give a larger one')
    kind = DTYPES[dtype]
    energies = torch.as_tensor(labels_of(data, constants).energies, dtype=kind, device=device)
    forces = None if data.forces is None else torch.as_tensor(data.forces, dtype=kind, device=device)
    weights = torch.as_tensor(frame_weights(data, weighting), dtype=kind, device=device)
    if start is None:
        n_neighbours = n_edges / (len(data.train) * data.snapshots.n_atoms)
        architecture = replace(architecture, avg_num_neighbors=n_neighbours)
    return Frames(graphs, energies, forces, weights), architecture


def start_of(force_field: ForceField, data: Labelled) -> ForceField:
    """Return a force field that a training can go on from: one network, which knows the elements of the frames.

    :raises JobError: where it is something else.
    """
    if len(force_field.terms) != 1 or force_field.terms[0].kind != KIND or force_field.terms[0].weight != 1:
        kinds = ', '.join(term.kind for term in force_field.terms)
        raise JobError(f'a training starts from a single network of weight 1, and this force field has: {kinds}')
    known = force_field.terms[0].settings['atomic_numbers']
    if unknown := sorted({symbol for symbol in data.snapshots.symbols if atomic_numbers[symbol] not in known}):
        there = ', '.join(chemical_symbols[number] for number in known)
        raise JobError(f'the network to start from knows the elements {there}, not {", ".join(unknown)}')
    return force_field


def train_all_but(model: torch.nn.Module, frozen: Sequence[str]) -> torch.nn.Module:
    """Let all weights of a network be trained but those of its `frozen` parts.

    :param frozen: of :data:`~aiida_mlcc.runtime.mace.training_settings.PARTS`.
    """
    fixed = parameters_of(model, frozen)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in fixed)
    return model


def parameters_of(model: torch.nn.Module, parts: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return the weights of some parts of a network, by name.

    :param parts: of :data:`~aiida_mlcc.runtime.mace.training_settings.PARTS`.
    """
    starts = tuple(PARTS[part] for part in parts)
    return {name: parameter for name, parameter in model.named_parameters() if name.startswith(starts)}


def graphs_of(snapshots: Snapshots, r_max: float, dtype: str, device: str) -> list[Graph]:
    """Return the graph of every frame."""
    numbers = [atomic_numbers[symbol] for symbol in snapshots.symbols]
    return [
        neighbour_graph(numbers, cell, positions, r_max, dtype, device)
        for cell, positions in zip(snapshots.cells, snapshots.positions, strict=True)
    ]


def labels_of(data: Labelled, constants: Mapping[str, float]) -> Prediction:
    """Return what the network is to give: the labels, less the constants per element."""
    constant = sum(constants[symbol] for symbol in data.snapshots.symbols)
    return Prediction(data.energies - constant, data.forces)


def finish(
    term: Term,
    data: Labelled,
    labels: Prediction,
    constants: Mapping[str, float],
    judge: BaseJudge | None,
    batch_size: int,
    device: str,
) -> tuple[ForceField, FitErrors]:
    """Return the force field of a trained network, corrected where that is asked for, and its errors.

    Forces fix the shape of a surface; its height is set to where the training frames have it.
    """
    n_atoms, parts = data.snapshots.n_atoms, {'train': data.train, 'valid': data.valid}
    labels = labels if judge is None else replace(labels, forces=judge.forces)
    if data.forces is not None:
        parts['valid_hot'] = hotter_half(data.forces, data.valid)
    graphs = graphs_of(data.snapshots, float(term.settings['r_max']), 'float64', device)
    predicted = predict(model_of(term, device), graphs, batch_size, labels.forces is not None)
    errors: FitErrors = {
        'n_train': len(data.train),
        'n_valid': len(data.valid),
        'spread_mev_atom': _MEV * data.spread,
    }
    correction = None
    if judge is not None and predicted.forces is not None:
        correction, judgement = judge.judge(predicted.forces, data.train, term.trained_on)
        errors.update(judgement)
    if judge is not None and correction is not None:
        centred = predicted.shifted(missing_height(predicted, labels, data.train))
        errors['uncorrected'] = root_mean_square_errors(centred, labels, parts, n_atoms)
        predicted = predicted.plus(*judge.vibrations.energies_and_forces(correction))
    height = missing_height(predicted, labels, data.train)
    errors = {**errors, **root_mean_square_errors(predicted.shifted(height), labels, parts, n_atoms)}
    network = shifted(term, float(term.settings['shift']) + height / n_atoms)
    terms = (network,) if correction is None else (network, correction)
    return ForceField(terms, dict(constants), method=str(term.trained_on['method'])), errors


def with_probe(force_field: ForceField, snapshots: Snapshots) -> ForceField:
    """Return the force field with the energy it gives for the first frame, to be checked whenever it is loaded."""
    energy = ForceFieldCalculator(force_field).get_potential_energy(snapshots.atoms(0))
    probe: Probe = {
        'symbols': list(snapshots.symbols),
        'cell': snapshots.cells[0].tolist(),
        'positions': snapshots.positions[0].tolist(),
        'energy': float(energy),
    }
    return replace(force_field, probe=probe)


def _train(job: Job, trainer: Trainer, identity: str) -> bool:
    """Run the epochs that are left. Returns whether they are done; if not, the checkpoint is written."""
    checkpoint = job.checkpoint / CHECKPOINT_FILE
    job.kept(checkpoint, lambda path: _resume(trainer, path, identity), SafetensorError, RuntimeError)
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
        job.progress(trainer.epoch, trainer.epochs, 'epoch', **extras)
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

    with safe_open(checkpoint, 'pt') as content:
        metadata = content.metadata()
        if metadata['identity'] != identity:
            raise JobError(f'{checkpoint.name} belongs to a training with other settings or snapshots: remove it')
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    trainer.restore(tensors, json.loads(metadata['numbers']))


def _identity(
    settings: TrainTask,
    snapshots: Snapshots,
    reference: Snapshots | None = None,
    first: Term | None = None,
) -> str:
    """Hash of all that a training depends on. The time limit is not part of it.

    :param first: the network that the training starts from.
    """
    content = {name: value for name, value in settings.items() if name != 'max_seconds'}
    hashes = [each.content_hash() for each in (snapshots, reference) if each is not None]
    hashes += [] if first is None else [first.content_hash]
    return hashlib.sha256(json.dumps([content, *hashes], sort_keys=True).encode()).hexdigest()


def _origin(target: Target, snapshots: Snapshots, data: Labelled, seed: int) -> TrainedOn:
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
