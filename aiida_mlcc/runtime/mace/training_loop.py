"""The training of one MACE network: batches, loss, averaged weights, early stop, and a state that resumes exactly.

Everything random is drawn from (seed, purpose, epoch), so that no state of a generator has to be kept: a training
that was stopped and resumed is, on the CPU, bit by bit the one that was not.

With columns of force constants (:mod:`aiida_mlcc.runtime.mace.curvature`) the training has a second part, phonon
fine-tuning: it starts from the best weights of the first one, and each of its steps learns one column beside the
frames.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from aiida_mlcc.runtime.mace.curvature import Curvature
from aiida_mlcc.runtime.mace.graphs import Graph, join
from aiida_mlcc.runtime.mace.training_settings import Training, TrainingError

_GRADIENT_NORM = 10.0
_SHUFFLE = 1
_COLUMNS = 2
_MEV = 1000.0


@dataclass(frozen=True)
class Frames:
    """Graphs and what the network is to give for them.

    :param energies: eV per cell, without the constants per element, shape (n_frames,).
    :param forces: eV/Å, shape (n_frames, n_atoms, 3), or None where energies alone are learnt.
    :param weights: how much each frame counts in the loss, shape (n_frames,).
    """

    graphs: Sequence[Graph]
    energies: torch.Tensor
    forces: torch.Tensor | None
    weights: torch.Tensor

    def __len__(self) -> int:
        return len(self.graphs)

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """Return the frames `indices`, in that order."""
        chosen = [int(i) for i in indices]
        forces = None if self.forces is None else self.forces[chosen]
        return Frames([self.graphs[i] for i in chosen], self.energies[chosen], forces, self.weights[chosen])

    def batch(self, indices: Sequence[int]) -> tuple[Graph, torch.Tensor, torch.Tensor | None]:
        """Return the joined graph of some frames, their energies (eV) and, where there are any, forces (eV/Å)."""
        chosen = torch.as_tensor(indices, device=self.energies.device)
        forces = None if self.forces is None else self.forces[chosen].flatten(0, 1)
        return join([self.graphs[i] for i in indices]), self.energies[chosen], forces


class _Errors:
    """Sums of squared errors over batches."""

    def __init__(self) -> None:
        self.energy = self.forces = 0.0
        self.n_frames = self.n_components = 0

    def add(self, energy_errors: torch.Tensor, force_errors: torch.Tensor | None) -> None:
        self.energy += float(energy_errors.detach().square().sum())
        self.n_frames += len(energy_errors)
        if force_errors is not None:
            self.forces += float(force_errors.detach().square().sum())
            self.n_components += force_errors.numel()

    def rmse(self) -> dict[str, float]:
        """Return ``energy_rmse_mev_atom`` and, where forces were compared, ``forces_rmse_mev_angstrom``."""
        values = {'energy_rmse_mev_atom': _MEV * math.sqrt(self.energy / self.n_frames)}
        if self.n_components:
            values['forces_rmse_mev_angstrom'] = _MEV * math.sqrt(self.forces / self.n_components)
        return values


class TrainerNumbers(TypedDict):
    """What a resumed training needs besides tensors."""

    epoch: int
    best_epoch: int
    best_loss: float
    n_steps: int
    tuned_from: int | None
    history: list[dict[str, float]]


class Trainer:
    """Trains `model` on `train`, validates on `valid`, and keeps the weights of the best epoch.

    :param unit: eV per atom; energies are compared in this unit where no forces are learnt.
    :param curvature: force constants to learn in the end, if there are any.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        train: Frames,
        valid: Frames,
        training: Training,
        seed: int,
        unit: float = 1.0,
        curvature: Curvature | None = None,
    ) -> None:
        self.model = model
        self.train_frames = train
        self.valid_frames = valid
        self.training = training
        self.seed = seed
        self.unit = unit
        self.curvature = curvature if training.hessian_epochs else None
        self.tuned_from: int | None = None
        self.epoch = 0
        self.best_epoch = 0
        self.best_loss = math.inf
        self.history: list[dict[str, float]] = []
        self._parameters = dict(model.named_parameters())
        self._optimizer = self._new_optimizer()
        self._average = self._copy()
        self._best = self._copy()
        self._untuned = self._copy()
        self._n_steps = 0

    @property
    def best_parameters(self) -> dict[str, torch.Tensor]:
        """The weights of the best epoch by name; averaged ones, if they are averaged."""
        return self._best

    @property
    def untuned_parameters(self) -> dict[str, torch.Tensor] | None:
        """The weights from which phonon fine-tuning started, None where there was none."""
        return None if self.tuned_from is None else self._untuned

    @property
    def epochs(self) -> int:
        """How many epochs there are at most, those of both parts."""
        return self.training.epochs + (0 if self.curvature is None else self.training.hessian_epochs)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or patience has run out."""
        if self.curvature is None or self.tuned_from is not None:
            return self._part_is_over
        return False

    @property
    def _part_is_over(self) -> bool:
        patience, started = self.training.patience, self.tuned_from or 0
        n_epochs = self.training.epochs if self.tuned_from is None else self.training.hessian_epochs
        return self.epoch - started >= n_epochs or (patience is not None and self.epoch - self.best_epoch >= patience)

    @property
    def _progress(self) -> float:
        """Epochs of this part that are done, as a share of its length."""
        if self.tuned_from is None:
            return self.epoch / self.training.epochs
        return (self.epoch - self.tuned_from) / self.training.hessian_epochs

    def _start_tuning(self) -> None:
        """Begin the second part: the best weights, a new optimiser, and another loss to be the best by."""
        self.tuned_from = self.best_epoch = self.epoch
        self._untuned = {name: tensor.clone() for name, tensor in self._best.items()}
        self._load(self._best)
        self._average = self._copy()
        self._optimizer = self._new_optimizer()
        self._n_steps = 0
        self.best_loss = self._validate()[0]

    def _new_optimizer(self) -> torch.optim.Optimizer:
        training = self.training
        return torch.optim.Adam(_groups(self.model, training.weight_decay), lr=training.learning_rate, amsgrad=True)

    def run_epoch(self) -> dict[str, float]:
        """Go through all frames once, validate, and return the line of the history.

        :raises TrainingError: where the loss is not a number any more.
        """
        started = time.monotonic()
        if self.curvature is not None and self.tuned_from is None and self._part_is_over:
            self._start_tuning()
        loss, errors, rate = self._descend()
        valid_loss, valid_errors = self._validate()
        if not math.isfinite(loss) or not math.isfinite(valid_loss):
            raise TrainingError(
                f'the loss was not finite in epoch {self.epoch + 1}: {self._calmer}, or look for a frame with absurd '
                'energies or forces'
            )
        self.epoch += 1
        if valid_loss < self.best_loss:
            self.best_loss, self.best_epoch = valid_loss, self.epoch
            self._best = {name: tensor.clone() for name, tensor in self._validated().items()}
        line = {'epoch': self.epoch, 'loss': loss, 'valid_loss': valid_loss, 'learning_rate': rate}
        line |= {f'train_{name}': value for name, value in errors.items()}
        line |= {f'valid_{name}': value for name, value in valid_errors.items()}
        line['seconds'] = round(time.monotonic() - started, 3)
        self.history.append(line)
        return line

    @property
    def _calmer(self) -> str:
        """What may keep the loss finite."""
        training = self.training
        if self.tuned_from is None:
            return f'lower `training.learning_rate` ({training.learning_rate:g})'
        return (
            f'lower `training.hessian_learning_rate` ({training.hessian_learning_rate:g}) or '
            f'`training.hessian_weight` ({training.hessian_weight:g})'
        )

    def _descend(self) -> tuple[float, dict[str, float], float]:
        order = np.random.default_rng([self.seed, _SHUFFLE, self.epoch]).permutation(len(self.train_frames))
        batches = list(_batches(order.tolist(), self.training.batch_size))
        errors, total, settings = _Errors(), 0.0, self.training
        tuned = self.curvature if self.tuned_from is not None else None
        columns = np.random.default_rng([self.seed, _COLUMNS, self.epoch])
        n_epochs = settings.epochs if tuned is None else settings.hessian_epochs
        start = rate = settings.learning_rate if tuned is None else settings.hessian_learning_rate
        self.model.train()
        for number, indices in enumerate(batches):
            rate = settings.rate(self._progress + number / len(batches) / n_epochs, start)
            for group in self._optimizer.param_groups:
                group['lr'] = rate
            loss = self._loss(self.train_frames, indices, errors, training=True)
            if tuned is not None:
                loss = loss + settings.hessian_weight * tuned.mean_square(self.model, tuned.draw(columns))
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), _GRADIENT_NORM)
            self._optimizer.step()
            self._n_steps += 1
            self._update_average()
            total += float(loss.detach()) * len(indices)
        return total / len(order), errors.rmse(), rate

    def _validate(self) -> tuple[float, dict[str, float]]:
        live = self._copy()
        errors, total, n_frames = _Errors(), 0.0, len(self.valid_frames)
        self._load(self._validated())
        self.model.eval()
        # Fewer, larger batches than in training: nothing has to be kept for a second derivative.
        for indices in _batches(range(n_frames), 4 * self.training.batch_size):
            total += float(self._loss(self.valid_frames, indices, errors, training=False).detach()) * len(indices)
        loss, found = total / n_frames, errors.rmse()
        if self.curvature is not None and self.tuned_from is not None:
            mean_square = self.curvature.expected_mean_square(self.model)
            found['hessian_rmse_ev_angstrom2'] = math.sqrt(mean_square)
            loss += self.training.hessian_weight * mean_square
        self._load(live)
        return loss, found

    def _loss(self, frames: Frames, indices: Sequence[int], errors: _Errors, training: bool) -> torch.Tensor:
        graph, energies, forces = frames.batch(indices)
        data = graph.mace_input(self.model.atomic_numbers)  # type: ignore[arg-type]
        predicted = self.model(data, training=training, compute_force=forces is not None)
        n_atoms = graph.ptr[1:] - graph.ptr[:-1]
        weights = frames.weights[torch.as_tensor(indices, device=energies.device)]
        energy_errors = (predicted['interaction_energy'] - energies) / n_atoms
        if forces is None:
            errors.add(energy_errors, None)
            return (weights * (energy_errors / self.unit).square()).mean()
        force_errors = predicted['forces'] - forces
        errors.add(energy_errors, force_errors)
        settings = self.training
        return (
            settings.energy_weight * (weights * energy_errors.square()).mean()
            + settings.forces_weight * (weights[graph.batch, None] * force_errors.square()).mean()
        )

    def _update_average(self) -> None:
        if self.training.ema_decay is None:
            return
        # A short memory at first: otherwise the random weights of the start would stay in the average for long.
        decay = min(self.training.ema_decay, (1 + self._n_steps) / (10 + self._n_steps))
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                self._average[name].lerp_(parameter, 1.0 - decay)

    def _validated(self) -> dict[str, torch.Tensor]:
        return self._copy() if self.training.ema_decay is None else self._average

    def _copy(self) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    def _load(self, values: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(values[name])

    def state(self) -> tuple[dict[str, torch.Tensor], TrainerNumbers]:
        """Return all that a resumed training needs: tensors by name, and plain JSON."""
        tensors = {f'{kind}/{name}': tensor for kind, group in self._tensors() for name, tensor in group.items()}
        for index, entry in self._optimizer.state_dict()['state'].items():
            tensors.update({f'optimizer/{index}/{name}': torch.as_tensor(value) for name, value in entry.items()})
        numbers: TrainerNumbers = {
            'epoch': self.epoch,
            'best_epoch': self.best_epoch,
            'best_loss': self.best_loss,
            'n_steps': self._n_steps,
            'tuned_from': self.tuned_from,
            'history': self.history,
        }
        return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, numbers

    def restore(self, tensors: Mapping[str, torch.Tensor], numbers: TrainerNumbers) -> None:
        """Go back to what :meth:`state` gave."""
        self._load({name: tensors[f'weights/{name}'] for name in self._parameters})
        with torch.no_grad():
            self.tuned_from = numbers['tuned_from']
            for kind, group in self._averages():
                for name, tensor in group.items():
                    tensor.copy_(tensors[f'{kind}/{name}'])
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in tensors.items():
            if key.startswith('optimizer/'):
                _, index, name = key.split('/')
                state.setdefault(int(index), {})[name] = tensor.clone()
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), 'state': state})
        self.epoch, self.best_epoch = numbers['epoch'], numbers['best_epoch']
        self.best_loss, self._n_steps = numbers['best_loss'], numbers['n_steps']
        self.history = list(numbers['history'])

    def _tensors(self) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
        yield 'weights', self._copy()
        yield from self._averages()

    def _averages(self) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
        yield 'average', self._average
        yield 'best', self._best
        if self.tuned_from is not None:
            yield 'untuned', self._untuned


def _batches(indices: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), size):
        yield list(indices[start : start + size])


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay where MACE lets them: in the linear maps after the messages and in the products."""

    def decays(name: str) -> bool:
        return name.startswith('products.') or (
            name.startswith('interactions.') and ('linear.weight' in name or 'skip_tp' in name)
        )

    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [
        {'params': [p for n, p in named if decays(n)], 'weight_decay': weight_decay},
        {'params': [p for n, p in named if not decays(n)], 'weight_decay': 0.0},
    ]
