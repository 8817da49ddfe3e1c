from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from aiida_mlcc.science.force_constants import force_constants_term
from aiida_mlcc.science.force_field import Term


def _springs(primitive: Atoms, cutoff: float, along: float = 8.0, across: float = 1.0) -> Term:
    """Springs that weaken with the distance: symmetric and free of net force by construction, whatever the crystal."""
    i, j, vectors, distances = neighbor_list('ijSD', primitive, cutoff)
    lengths = np.linalg.norm(distances, axis=1)
    unit = distances / lengths[:, None]
    stiffness = along * unit[:, :, None] * unit[:, None] + across * np.eye(3)
    blocks = -stiffness * np.exp(-lengths)[:, None, None]
    n_sites = len(primitive)
    on_site = np.zeros((n_sites, 3, 3))
    np.add.at(on_site, i, -blocks)
    return force_constants_term(
        primitive,
        pairs=np.concatenate([np.column_stack([i, j]), np.column_stack([np.arange(n_sites)] * 2)]),
        lattice_vectors=np.concatenate([vectors, np.zeros((n_sites, 3), dtype=int)]),
        force_constants=np.concatenate([blocks, on_site]),
        cutoff=cutoff,
    )


@pytest.fixture
def springs() -> Callable[..., Term]:
    return _springs


@pytest.fixture
def diamond() -> Atoms:
    return bulk('C', 'diamond', a=3.56)


@pytest.fixture
def rock_salt() -> Atoms:
    return bulk('LiH', 'rocksalt', a=4.017)


@pytest.fixture
def wurtzite() -> Atoms:
    return bulk('ZnS', 'wurtzite', a=3.82, c=6.26, u=0.381)
