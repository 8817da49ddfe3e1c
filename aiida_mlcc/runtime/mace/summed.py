"""Several MACE networks and linear readouts of them on one structure: one pass a network, one backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from aiida_mlcc.runtime.mace.graphs import Graph, neighbour_graph, within
from aiida_mlcc.runtime.mace.model import model_of
from aiida_mlcc.runtime.mace.node_features import invariant_columns
from aiida_mlcc.science.force_field import ForceFieldError, Term
from aiida_mlcc.science.force_field.kinds import KINDS
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
            if trunk := KINDS[term.kind].needs:
                readouts.setdefault(term.settings[trunk], []).append(term)
            elif (key := term.content_hash) in networks:
                networks[key] = replace(term, weight=term.weight + networks[key].weight)
            else:
                networks[key] = term
        self._trunks = [_Trunk(term, readouts.get(key, []), device, dtype) for key, term in networks.items()]
        self.r_max = max(trunk.r_max for trunk in self._trunks)

    def bind(self, atoms: Atoms) -> BoundMaceSum:
        """Prepare for the elements and the lattice of `atoms`; networks know no sites.

        :raises ForceFieldError: for an element that a network does not know.
        """
        for trunk in self._trunks:
            if unknown := sorted(set(atoms.numbers.tolist()) - set(trunk.atomic_numbers)):
                names = [', '.join(chemical_symbols[n] for n in some) for some in (trunk.atomic_numbers, unknown)]
                raise ForceFieldError(f'a network of this force field knows the elements {names[0]}, not {names[1]}')
        return BoundMaceSum(self, atoms.numbers.copy(), atoms.cell.array.copy())

    def energy_forces(
        self, numbers: NDArray[np.int64], cell: NDArray[np.float64], positions: NDArray[np.float64]
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


@dataclass(frozen=True)
class BoundMaceSum:
    """Networks on one supercell.

    :param numbers: atomic numbers, shape (n_atoms,).
    :param cell: Å, shape (3, 3).
    """

    networks: MaceSum
    numbers: NDArray[np.int64]
    cell: NDArray[np.float64]

    def energy_forces(self, positions: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the energy (eV) and the forces (eV/Å, shape (n_atoms, 3)) at `positions` (Å), wrapped or not."""
        return self.networks.energy_forces(self.numbers, self.cell, positions)


class _Trunk:
    """A network, and all readouts of its features as one: w·E(x) + Σ_i W_{Z_i}·h_i(x)."""

    def __init__(self, term: Term, readouts: Sequence[Term], device: str, dtype: str) -> None:
        self.weight = term.weight
        self.r_max = float(term.settings['r_max'])
        self.atomic_numbers = tuple(term.settings['atomic_numbers'])
        self.network = model_of(term, device, dtype)
        self._weights: torch.Tensor | None = None
        if readouts:
            self._columns = invariant_columns(self.network).to(device)
            combined = combined_weights(readouts, self.atomic_numbers, len(self._columns))
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
