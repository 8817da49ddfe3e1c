"""What a network gives for the frames that it was trained on and for those held out, against their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from aiida_mlcc.runtime.mace.graphs import Graph, join
from aiida_mlcc.science.fit.fit_errors import NetworkErrors

_MEV = 1000.0


@dataclass(frozen=True)
class Prediction:
    """Energies (eV per cell, shape (n_frames,)) and forces (eV/Å, shape (n_frames, n_atoms, 3)), where asked for."""

    energies: NDArray[np.float64]
    forces: NDArray[np.float64] | None

    def plus(self, energies: NDArray[np.float64], forces: NDArray[np.float64]) -> Prediction:
        """Return the prediction with another part of the force field added."""
        return Prediction(self.energies + energies, None if self.forces is None else self.forces + forces)

    def shifted(self, energy: float) -> Prediction:
        """Return the prediction with `energy` (eV per cell) added everywhere."""
        return replace(self, energies=self.energies + energy)


def predict(network: torch.nn.Module, graphs: Sequence[Graph], batch_size: int, forces: bool) -> Prediction:
    """Return the energies, without constants per element, and forces of frames of equal size."""
    energies, pulls = [], []
    for start in range(0, len(graphs), batch_size):
        batch = graphs[start : start + batch_size]
        data = join(batch).mace_input(network.atomic_numbers)  # type: ignore[arg-type]
        output = network(data, training=False, compute_force=forces)
        energies.append(output['interaction_energy'].detach().double().cpu().numpy())
        if forces:
            pulls.append(output['forces'].detach().double().cpu().numpy().reshape(len(batch), -1, 3))
    return Prediction(np.concatenate(energies), np.concatenate(pulls) if forces else None)


def missing_height(predicted: Prediction, labels: Prediction, train: NDArray[np.int64]) -> float:
    """Return by how much, in eV per cell, the training frames lie above their prediction on average."""
    return float(np.mean(labels.energies[train] - predicted.energies[train]))


def root_mean_square_errors(
    predicted: Prediction, labels: Prediction, parts: Mapping[str, NDArray[np.int64]], n_atoms: int
) -> NetworkErrors:
    """Return ``PART_energy_rmse_mev_atom`` and, where there are forces, ``PART_forces_rmse_mev_angstrom``.

    :param parts: name → frames.
    """
    errors: dict[str, float] = {}
    for part, frames in parts.items():
        wrong = predicted.energies[frames] - labels.energies[frames]
        errors[f'{part}_energy_rmse_mev_atom'] = _MEV * _root_mean_square(wrong) / n_atoms
        if predicted.forces is not None and labels.forces is not None:
            pull = predicted.forces[frames] - labels.forces[frames]
            errors[f'{part}_forces_rmse_mev_angstrom'] = _MEV * _root_mean_square(pull)
    return cast(NetworkErrors, errors)


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
