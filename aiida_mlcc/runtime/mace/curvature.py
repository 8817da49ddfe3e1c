"""The curvature of a network against columns of force constants, by one Hessian-vector product a column.

H·v is the derivative of F·v, taken back through the forces; where it is trained on, a third derivative leads to the
weights (phonon fine-tuning, arXiv:2601.07742).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase.data import atomic_numbers

from aiida_mlcc.runtime.mace.graphs import DTYPES, Graph, neighbour_graph
from aiida_mlcc.science.fit.hessian_columns import HessianColumns


def hessian_vector_product(model: torch.nn.Module, graph: Graph, direction: torch.Tensor) -> torch.Tensor:
    """Return H·v of a MACE network, eV/Å² times the unit of v, shape (n_atoms, 3); the weights can be derived from it.

    :param direction: v, shape (n_atoms, 3).
    """
    data = graph.mace_input(model.atomic_numbers)  # type: ignore[arg-type]
    output = model(data, training=True, compute_force=True)
    (product,) = torch.autograd.grad(output['forces'], data['positions'], direction, create_graph=True)
    return -product


@dataclass(frozen=True)
class Curvature:
    """Columns of force constants as a network sees them.

    :param graph: of the crystal at rest.
    :param directions: unit displacements, shape (n_columns, n_atoms, 3); `responses`: Φ·v, eV/Å², of the same shape.
    :param shares: how often each is drawn, shape (n_columns,).
    """

    graph: Graph
    directions: torch.Tensor
    responses: torch.Tensor
    shares: tuple[float, ...]

    @classmethod
    def of(cls, columns: HessianColumns, r_max: float, dtype: str, device: str) -> Curvature:
        """Build the graph once."""
        atoms, kind = columns.atoms, DTYPES[dtype]
        numbers = [atomic_numbers[symbol] for symbol in atoms.get_chemical_symbols()]
        graph = neighbour_graph(numbers, atoms.cell.array, atoms.positions, r_max, dtype, device)
        directions, responses = (
            torch.as_tensor(array, dtype=kind, device=device) for array in (columns.directions, columns.responses)
        )
        return cls(graph, directions, responses, tuple(columns.shares.tolist()))

    def draw(self, generator: np.random.Generator) -> int:
        """Return a column, drawn by its share."""
        return int(generator.choice(len(self.shares), p=np.array(self.shares) / sum(self.shares)))

    def mean_square(self, model: torch.nn.Module, column: int) -> torch.Tensor:
        """Return the mean squared error of the elements of one column, (eV/Å²)²."""
        product = hessian_vector_product(model, self.graph, self.directions[column])
        return (product - self.responses[column]).square().mean()

    def expected_mean_square(self, model: torch.nn.Module) -> float:
        """Return the mean squared error of all elements of Φ, (eV/Å²)²."""
        each = [float(self.mean_square(model, column).detach()) for column in range(len(self.shares))]
        return float(np.dot(self.shares, each) / sum(self.shares))
