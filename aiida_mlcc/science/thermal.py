"""Mean square displacements of harmonic phonons, and the share of imaginary modes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.dispersion import at_gamma, three_acoustic


def temperature_grid(start: float, stop: float, step: float) -> NDArray[np.float64]:
    """Return temperatures (K) from `start` to `stop`, both included where `step` leads there.

    :raises ValueError: where that is not a grid.
    """
    if not (step > 0 and 0 <= start <= stop):
        raise ValueError(f'no temperatures from {start:g} to {stop:g} K in steps of {step:g} K')
    return np.asarray(start + step * np.arange(int((stop - start) / step + 1e-9) + 1), dtype=float)


def imaginary_share(phonon: Any, mesh: ArrayLike) -> float:
    """Return which share of the modes on a mesh is imaginary, 0 … 1: thermal properties leave these out.

    The three acoustic modes at Γ do not count.

    :param mesh: as in :func:`~aiida_mlcc.science.thermal_properties.thermal_properties`.
    """
    phonon.run_mesh([int(n) for n in np.asarray(mesh)], is_gamma_center=True)
    imaginary = np.asarray(phonon.mesh.frequencies) <= 0
    for index in np.flatnonzero(at_gamma(phonon.mesh.qpoints)):
        imaginary[index, three_acoustic(phonon.mesh.frequencies[index])] = False
    weights = np.asarray(phonon.mesh.weights, dtype=float)
    return float(weights @ imaginary.mean(axis=1) / weights.sum())


def mean_square_displacements(
    phonon: Any, mesh: ArrayLike, temperatures_K: ArrayLike
) -> dict[str, NDArray[np.float64]]:
    """Return ⟨u²⟩ of each element over temperature, Å², the mean over its atoms and the three directions summed.

    The acoustic modes at Γ, which shift the crystal as a whole, and imaginary modes do not count.

    :param mesh: as in :func:`~aiida_mlcc.science.thermal_properties.thermal_properties`; a coarse one leaves out the
        longest waves.
    """
    phonon.run_mesh(
        [int(n) for n in np.asarray(mesh)], with_eigenvectors=True, is_mesh_symmetry=False, is_gamma_center=True
    )
    phonon.run_thermal_displacements(
        temperatures=np.asarray(temperatures_K, dtype=float), freq_min=0.0, exclude_gamma_acoustic=True
    )
    by_component = np.asarray(phonon.thermal_displacements.thermal_displacements)
    by_atom = by_component.reshape(len(by_component), -1, 3).sum(axis=2)
    symbols = list(phonon.primitive.symbols)
    return {
        symbol: by_atom[:, [number for number, other in enumerate(symbols) if other == symbol]].mean(axis=1)
        for symbol in dict.fromkeys(symbols)
    }
