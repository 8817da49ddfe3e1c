"""The invariant features that a MACE network gives every atom: what a linear readout of a frozen network reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aiida_mlcc.runtime.mace.graphs import Graph, join, neighbour_graph
from aiida_mlcc.runtime.mace.model import model_of
from aiida_mlcc.science.force_field import ForceFieldError, Term
from aiida_mlcc.science.labels.snapshots import Snapshots

_EDGES_AT_A_TIME = 40_000


def invariant_columns(network: torch.nn.Module) -> torch.Tensor:
    """Return which columns of ``node_feats`` in the output of MACE's ``forward`` are scalars, shape (n_features,).

    ``node_feats`` joins the features after every interaction; each may hold vectors and tensors beside its scalars.
    """
    columns: list[int] = []
    start = 0
    for product in network.products:  # type: ignore[union-attr]
        irreps = product.linear.irreps_out
        for place, (_, irrep) in zip(irreps.slices(), irreps, strict=True):
            if irrep.l == 0 and irrep.p == 1:
                columns.extend(range(start + place.start, start + place.stop))
        start += irreps.dim
    return torch.tensor(columns, dtype=torch.int64)


class FeatureExtractor:
    """Sums of the features of a frozen network over the atoms of each element, in float64.

    :param trunk: a term of kind ``mace``.
    :param symbols: the elements to tell apart, in this order.
    """

    def __init__(self, trunk: Term, symbols: tuple[str, ...], device: str = 'cpu') -> None:
        self._network = model_of(trunk, device)
        self._r_max = float(trunk.settings['r_max'])
        self._device = device
        self._columns = invariant_columns(self._network).to(device)
        known = self._network.atomic_numbers.tolist()  # type: ignore[operator]
        if unknown := [symbol for symbol in symbols if atomic_numbers[symbol] not in known]:
            raise ForceFieldError(f'the network of this base has never seen {unknown[0]}: it is of another crystal')
        self._rows = torch.tensor([known.index(atomic_numbers[symbol]) for symbol in symbols], device=device)

    @property
    def n_features(self) -> int:
        """How many features an atom has."""
        return len(self._columns)

    def features(self, snapshots: Snapshots) -> NDArray[np.float64]:
        """Return Σ_i h_i over the atoms of each element, shape (n_frames, n_elements·n_features)."""
        batches = [self._sums(graph, n_frames).detach() for graph, n_frames in self._batches(snapshots)]
        return torch.cat(batches).flatten(1).cpu().numpy()

    def forces(self, snapshots: Snapshots) -> NDArray[np.float64]:
        """Return −∂features/∂positions, Å⁻¹, shape (n_frames, 3·n_atoms, n_elements·n_features).

        Frames of a batch do not see each other, so one backward pass a feature serves all of them.
        """
        slopes = []
        for graph, n_frames in self._batches(snapshots):
            graph.positions.requires_grad_(True)
            totals = self._sums(graph, n_frames).sum(0).flatten()
            found = [torch.autograd.grad(total, graph.positions, retain_graph=True)[0] for total in totals]
            slopes.append(-torch.stack(found, dim=-1).reshape(n_frames, -1, len(found)))
        return torch.cat(slopes).cpu().numpy()

    def _sums(self, graph: Graph, n_frames: int) -> torch.Tensor:
        data = graph.mace_input(self._network.atomic_numbers)  # type: ignore[arg-type]
        features = self._network(data, training=False, compute_force=False)['node_feats'][:, self._columns]
        of_element = data['node_attrs'][:, self._rows, None] * features[:, None, :]
        sums = torch.zeros((n_frames, *of_element.shape[1:]), dtype=torch.float64, device=self._device)
        return sums.index_add(0, data['batch'], of_element)

    def _batches(self, snapshots: Snapshots) -> Iterator[tuple[Graph, int]]:
        numbers = [atomic_numbers[symbol] for symbol in snapshots.symbols]
        waiting: list[Graph] = []
        for cell, positions in zip(snapshots.cells, snapshots.positions, strict=True):
            graph = neighbour_graph(numbers, cell, positions, self._r_max, device=self._device)
            if waiting and sum(g.n_edges for g in waiting) + graph.n_edges > _EDGES_AT_A_TIME:
                yield join(waiting), len(waiting)
                waiting = []
            waiting.append(graph)
        if waiting:
            yield join(waiting), len(waiting)
