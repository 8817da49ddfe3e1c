"""Several MACE networks on one structure: one neighbour list, one backward pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.runtime.graphs import neighbour_graph, within
from aiida_mlcc.runtime.mace_model import model_of
from aiida_mlcc.science.force_field import Term


class MaceSum:
    """Σ_t w_t·E_t of the `mace` terms of a force field."""

    def __init__(self, terms: Sequence[Term], device: str = 'cpu', dtype: str = 'float64') -> None:
        self._device = device
        self._dtype = dtype
        self._networks = [(term.weight, float(term.settings['r_max']), model_of(term, device, dtype)) for term in terms]
        self.r_max = max(r_max for _, r_max, _ in self._networks)

    def energy_forces(
        self, numbers: ArrayLike, cell: ArrayLike, positions: ArrayLike
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the energy (eV) and the forces (eV/Å, shape (n_atoms, 3)) of one periodic structure."""
        graph = neighbour_graph(numbers, cell, positions, self.r_max, self._dtype, self._device)
        graphs = {r_max: within(graph, r_max) for _, r_max, _ in self._networks if r_max < self.r_max}
        # Set before the graphs are used, since all of them share these positions.
        graph.positions.requires_grad_(True)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for weight, r_max, network in self._networks:
            data = graphs.get(r_max, graph).mace_input(network.atomic_numbers)  # type: ignore[arg-type]
            energy = network(data, training=False, compute_force=False)['interaction_energy'][0]
            total = total + weight * energy.double()
        (gradient,) = torch.autograd.grad(total, graph.positions)
        return float(total.detach()), -gradient.double().cpu().numpy()
