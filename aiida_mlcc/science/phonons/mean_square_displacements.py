"""Mean square displacements of harmonic phonons, and the share of imaginary modes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from aiida_mlcc.science.phonons.dispersion import at_gamma, three_acoustic
from aiida_mlcc.science.phonons.mesh_modes import atoms_of_elements, modes_on_mesh


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

    :param mesh: as in :func:`~aiida_mlcc.science.phonons.thermal_properties.thermal_properties`.
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

    :param mesh: as in :func:`~aiida_mlcc.science.phonons.thermal_properties.thermal_properties`; a coarse one leaves
        out the longest waves.
    """
    modes = modes_on_mesh(phonon, mesh)
    counts = modes.frequencies_cm1 > 0
    for index in np.flatnonzero(at_gamma(modes.qpoints)):
        counts[index, three_acoustic(modes.frequencies_cm1[index])] = False
    omega = 200 * np.pi * constants.c * modes.frequencies_cm1[counts]
    by_mode = constants.hbar / 2 * np.broadcast_to(modes.weights[:, None], counts.shape)[counts] / omega
    occupied = [by_mode * (1 + 2 * _quanta(omega, T)) for T in np.asarray(temperatures_K, dtype=float)]
    masses = constants.atomic_mass * np.asarray(phonon.primitive.masses, dtype=float)
    by_mass = (modes.shares / masses[:, None]).transpose(1, 0, 2)[:, counts]
    squares = np.array(occupied) @ by_mass.T / constants.angstrom**2
    return {symbol: squares[:, numbers].mean(axis=1) for symbol, numbers in atoms_of_elements(phonon).items()}


def _quanta(omega: NDArray[np.float64], temperature_K: float) -> NDArray[np.float64]:
    """Return the mean number of quanta of oscillators of these angular frequencies (1/s)."""
    if temperature_K == 0:
        return np.zeros_like(omega)
    return np.asarray(1 / np.expm1(constants.hbar * omega / (constants.k * temperature_K)))
