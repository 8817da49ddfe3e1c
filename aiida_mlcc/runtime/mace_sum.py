"""Several MACE networks and linear readouts of them on one structure: one pass a network, one backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.runtime.graphs import Graph, neighbour_graph, within
from aiida_mlcc.runtime.mace_model import model_of
from aiida_mlcc.runtime.node_features import invariant_columns
from aiida_mlcc.science.force_field import Term
from aiida_mlcc.science.force_field.readout import KIND as READOUT
from aiida_mlcc.science.force_field.readout import combined_weights


class MaceSum:
    """Σ_t w_t·E_t of the `mace` terms of a force field and of the `readout` terms on them.

    :raises ForceFieldError: for a readout that does not fit its network.
    """

    def __init__(self, terms: Sequence[Term], device: str = 'cpu', dtype: str = 'float64') -> None:
        self._device = device
        self._dtype = dtype
        networks: dict[str, Term] = {}
        readouts: dict[str, list[Term]] = {}
        for term in terms:
            if term.kind == READOUT:
                readouts.setdefault(term.settings['trunk'], []).append(term)
            elif (key := term.content_hash) in networks:
                networks[key] = replace(term, weight=term.weight + networks[key].weight)
            else:
                networks[key] = term
        self._trunks = [_Trunk(term, readouts.get(key, []), device, dtype) for key, term in networks.items()]
        self.r_max = max(trunk.r_max for trunk in self._trunks)

    def energy_forces(
        self, numbers: ArrayLike, cell: ArrayLike, positions: ArrayLike
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the energy (eV) and the forces (eV/Å, shape (n_atoms, 3)) of one periodic structure."""
        graph = neighbour_graph(numbers, cell, positions, self.r_max, self._dtype, self._device)
        graphs = {t.r_max: within(graph, t.r_max) for t in self._trunks if t.r_max < self.r_max}
        # Set before the graphs are used, since all of them share these positions.
        graph.positions.requires_grad_(True)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for trunk in self._trunks:
            total = total + trunk.energy(graphs.get(trunk.r_max, graph))
        (gradient,) = torch.autograd.grad(total, graph.positions)
        return float(total.detach()), -gradient.double().cpu().numpy()


class _Trunk:
    """A network, and all readouts of its features as one: w·E(x) + Σ_i W_{Z_i}·h_i(x)."""

    def __init__(self, term: Term, readouts: Sequence[Term], device: str, dtype: str) -> None:
        self.weight = term.weight
        self.r_max = float(term.settings['r_max'])
        self.network = model_of(term, device, dtype)
        self._weights: torch.Tensor | None = None
        if readouts:
            self._columns = invariant_columns(self.network).to(device)
            combined = combined_weights(readouts, term.settings['atomic_numbers'], len(self._columns))
            self._weights = torch.as_tensor(combined, device=device)

    def energy(self, graph: Graph) -> torch.Tensor:
        """Return the energy of one structure, eV, in float64: readouts are differences of large numbers."""
        data = graph.mace_input(self.network.atomic_numbers)  # type: ignore[arg-type]
        output = self.network(data, training=False, compute_force=False)
        energy = self.weight * output['interaction_energy'][0].double()
        if self._weights is None:
            return energy
        features = output['node_feats'][:, self._columns].double()
        return energy + (features * (data['node_attrs'].double() @ self._weights)).sum()
