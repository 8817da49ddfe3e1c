"""The modes on a mesh of wave vectors, each star of equivalent ones once, and the share of each atom in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.units import CM1_PER_THZ


@dataclass(frozen=True)
class MeshModes:
    """Modes at the points of a mesh, of a star of equivalent points at one of them.

    The share of an atom in a mode is |e|². Symmetry maps the atoms of an element onto each other, so that only the
    share of an element, summed over the modes of one frequency, is the same at all points of a star.

    :param qpoints: in units of the reciprocal vectors, shape (n_points, 3).
    :param weights: shape (n_points,), of sum 1.
    :param frequencies_cm1: imaginary ones negative, shape (n_points, n_modes).
    :param shares: shape (n_points, n_atoms, n_modes).
    """

    qpoints: NDArray[np.float64]
    weights: NDArray[np.float64]
    frequencies_cm1: NDArray[np.float64]
    shares: NDArray[np.float64]


def modes_on_mesh(phonon: Any, mesh: ArrayLike) -> MeshModes:
    """Return the modes on a mesh.

    :param phonon: a phonopy instance with force constants.
    :param mesh: three numbers of divisions, Γ among the points.
    :raises ValueError: where these are not such numbers.
    """
    cell = phonon.primitive
    # phonopy's symmetry does not look at masses: isotopes of one element may break it.
    symmetric = len(set(zip(cell.symbols, cell.masses, strict=True))) == len(set(cell.symbols))
    phonon.run_mesh(divisions_of(mesh), with_eigenvectors=True, is_mesh_symmetry=symmetric, is_gamma_center=True)
    found = phonon.mesh
    squares = np.abs(np.asarray(found.eigenvectors)) ** 2
    n_points, n_components, n_modes = squares.shape
    weights = np.asarray(found.weights, dtype=float)
    return MeshModes(
        np.asarray(found.qpoints),
        weights / weights.sum(),
        np.asarray(found.frequencies, dtype=float) * CM1_PER_THZ,
        squares.reshape(n_points, n_components // 3, 3, n_modes).sum(axis=2),
    )


def atoms_of_elements(phonon: Any) -> dict[str, NDArray[np.int64]]:
    """Return symbol → the atoms of the primitive cell of that element, in the order in which they occur."""
    symbols = np.array(phonon.primitive.symbols)
    return {str(symbol): np.flatnonzero(symbols == symbol) for symbol in dict.fromkeys(symbols)}


def divisions_of(mesh: ArrayLike) -> list[int]:
    """Return a mesh as phonopy takes it.

    :raises ValueError: where it is not three whole numbers of divisions.
    """
    divisions = np.asarray(mesh)
    if divisions.shape != (3,) or not np.issubdtype(divisions.dtype, np.integer) or divisions.min() < 1:
        raise ValueError(f'a mesh is three whole numbers of divisions, not {divisions.tolist()}')
    return [int(n) for n in divisions]
