"""The density-fitting factors L_pq of a periodic Hartree–Fock at Γ, between any two sets of orbitals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTES = 8
_COPIES = 6
"""Arrays of a block's size that live at the same time, the complex one that is written counting for two."""


def fitted_factors(
    mean_field: Any, left: NDArray[np.float64], right: NDArray[np.float64], max_bytes: float = np.inf
) -> NDArray[np.float64]:
    """Return L_pq, shape (n_auxiliary, n_left, n_right), such that (pq|rs) = Σ_F L_pq L_rs.

    :param left: orbitals as columns, and `right` likewise.
    :param max_bytes: what the factors of one pass through the atomic orbitals may take.
    """
    from pyscf import lib

    n_orbitals = len(left)
    n_rows = _bounded(max_bytes / (_COPIES * _BYTES * n_orbitals**2), mean_field.with_df.blockdim)
    parts = []
    for block in mean_field.with_df.loop(n_rows):
        half = np.matmul(lib.unpack_tril(block), right)
        parts.append(np.matmul(left.T, half))
    return np.concatenate(parts)


def blocks_of_factors(
    mean_field: Any, orbitals: NDArray[np.float64], max_bytes: float
) -> Iterator[NDArray[np.float64]]:
    """Give L_pq between `orbitals` in blocks along q, each made in a pass of its own through the atomic orbitals."""
    n_orbitals = orbitals.shape[1]
    of_one = _COPIES * _BYTES * mean_field.with_df.get_naoaux() * n_orbitals
    width = _bounded(max_bytes / of_one, n_orbitals)
    for start in range(0, n_orbitals, width):
        yield fitted_factors(mean_field, orbitals, orbitals[:, start : start + width], max_bytes)


def _bounded(wished: float, most: int) -> int:
    return max(1, int(min(wished, most)))
