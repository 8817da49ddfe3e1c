"""The density matrix of the next step of a trajectory, guessed from those of the last ones."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEMORY = 4
"""Steps that are remembered. More follow the noise of the convergence threshold."""

_PURIFICATIONS = 3


class DensityExtrapolation:
    """Polynomial extrapolation of density matrices in the orthonormal basis of each step, then purified.

    Matrices are of shape (n_basis, n_basis), or (n_kpoints, n_basis, n_basis), complex, of a mesh of k-points.

    In the basis S^½ that moves with the atoms the density matrix of an insulator is a smooth projector; the
    extrapolated one is brought back to a projector by McWeeny's P ← 3P² − 2P³ (Rev. Mod. Phys. 32, 335 (1960)). What
    is remembered is part of a checkpoint, so that a resumed run starts its SCF where the uninterrupted one does.
    """

    def __init__(self) -> None:
        self._projectors: list[NDArray[Any]] = []

    def guess(self, overlap: NDArray[Any]) -> NDArray[Any] | None:
        """Return a density matrix for the basis functions whose overlap is `overlap`; None where nothing is known."""
        known = [p for p in self._projectors if p.shape == overlap.shape]
        if not known:
            return None
        order = len(known)
        weights = [(-1) ** k * comb(order, k + 1) for k in range(order)]
        projector = sum(w * p for w, p in zip(weights, known, strict=True))
        for _ in range(_PURIFICATIONS):
            square = projector @ projector
            projector = 3 * square - 2 * square @ projector
        _, inverse_root = _square_roots(overlap)
        return np.asarray(2 * inverse_root @ projector @ inverse_root)

    def remember(self, density_matrix: NDArray[Any], overlap: NDArray[Any]) -> None:
        """Take in the converged, closed-shell density matrix of a step."""
        root, _ = _square_roots(overlap)
        self._projectors = [root @ density_matrix @ root / 2, *self._projectors[: MEMORY - 1]]

    def forget(self) -> None:
        """Start anew: the next structure does not continue the last."""
        self._projectors = []

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what :meth:`restore` takes: ``projectors``, latest first, shape (n_steps, …, n_basis, n_basis)."""
        return {'projectors': np.array(self._projectors)} if self._projectors else {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Remember what another instance knew when it gave `state`."""
        self._projectors = list(state['projectors']) if 'projectors' in state else []


def _square_roots(overlap: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    values, vectors = np.linalg.eigh(overlap)
    root, adjoint = np.sqrt(values)[..., None, :], vectors.conj().swapaxes(-1, -2)
    return (vectors * root) @ adjoint, (vectors / root) @ adjoint
