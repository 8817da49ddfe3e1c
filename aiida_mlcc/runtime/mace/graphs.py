"""Structures as graphs for MACE: atoms, and their neighbours within a cutoff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from matscipy.neighbours import neighbour_list
from numpy.typing import ArrayLike

DTYPES = {'float32': torch.float32, 'float64': torch.float64}


@dataclass(frozen=True)
class Graph:
    """Atoms and their neighbours within a cutoff, periodic images included, as tensors; one structure or several.

    :param edge_index: sender and receiver of each edge, shape (2, n_edges).
    :param shifts: lattice translation of each edge, Å, shape (n_edges, 3).
    :param batch: structure of each atom; `ptr`: first atom of each structure, and the end.
    """

    numbers: torch.Tensor
    positions: torch.Tensor
    edge_index: torch.Tensor
    shifts: torch.Tensor
    cell: torch.Tensor
    batch: torch.Tensor
    ptr: torch.Tensor

    @property
    def n_edges(self) -> int:
        """How many pairs of neighbours there are."""
        return int(self.edge_index.shape[1])

    def mace_input(self, atomic_numbers: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what MACE's ``forward`` reads, for a network that knows the elements `atomic_numbers`."""
        node_attrs = (self.numbers[:, None] == atomic_numbers[None, :]).to(self.positions.dtype)
        return {
            'node_attrs': node_attrs,
            'positions': self.positions,
            'edge_index': self.edge_index,
            'shifts': self.shifts,
            'cell': self.cell,
            'batch': self.batch,
            'ptr': self.ptr,
        }


def neighbour_graph(
    numbers: ArrayLike, cell: ArrayLike, positions: ArrayLike, r_max: float, dtype: str = 'float64', device: str = 'cpu'
) -> Graph:
    """Return the graph of one periodic structure: every pair of atoms or images closer than `r_max` (Å)."""
    lattice = np.array(cell, dtype=float)
    coordinates = np.array(positions, dtype=float)
    # matscipy lists every image within the cutoff, those of an atom itself too, but not the atom as it is.
    sender, receiver, translations = neighbour_list(
        'ijS', pbc=[True, True, True], cell=lattice, positions=coordinates, cutoff=float(r_max)
    )
    edge_index = np.stack((sender, receiver)).astype(np.int64)
    shifts = translations @ lattice
    kind = DTYPES[dtype]
    n_atoms = len(coordinates)
    return Graph(
        numbers=torch.as_tensor(np.array(numbers, dtype=np.int64), device=device),
        positions=torch.as_tensor(coordinates, dtype=kind, device=device),
        edge_index=torch.as_tensor(edge_index, device=device),
        shifts=torch.as_tensor(shifts, dtype=kind, device=device),
        cell=torch.as_tensor(lattice, dtype=kind, device=device),
        batch=torch.zeros(n_atoms, dtype=torch.int64, device=device),
        ptr=torch.tensor([0, n_atoms], dtype=torch.int64, device=device),
    )


def join(graphs: Sequence[Graph]) -> Graph:
    """Join structures into one graph without edges between them. The tensors are new; `graphs` are left alone."""
    starts = np.cumsum([0, *(len(graph.numbers) for graph in graphs)])
    device = graphs[0].positions.device
    return Graph(
        numbers=torch.cat([graph.numbers for graph in graphs]),
        positions=torch.cat([graph.positions for graph in graphs]),
        edge_index=torch.cat([g.edge_index + int(start) for g, start in zip(graphs, starts, strict=False)], dim=1),
        shifts=torch.cat([graph.shifts for graph in graphs]),
        cell=torch.cat([graph.cell for graph in graphs]),
        batch=torch.cat([torch.full_like(graph.batch, number) for number, graph in enumerate(graphs)]),
        ptr=torch.as_tensor(starts, dtype=torch.int64, device=device),
    )


def within(graph: Graph, r_max: float) -> Graph:
    """Return the graph with only the edges shorter than `r_max` (Å): one neighbour list serves several cutoffs."""
    sender, receiver = graph.edge_index
    lengths = (graph.positions[receiver] - graph.positions[sender] + graph.shifts).norm(dim=1)
    near = lengths < r_max
    return replace(graph, edge_index=graph.edge_index[:, near], shifts=graph.shifts[near])
