"""One step of molecular dynamics, with all that it depends on passed in: a resumed run takes the very same step.

Units are ASE's: Å, eV, amu, and time in Å·√(amu/eV). The centre of mass stands still: velocities, forces and noise
are projected, so 3N − 3 degrees of freedom carry the temperature.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import units
from numpy.typing import NDArray

Vectors = NDArray[np.float64]
Forces = Callable[[Vectors], Vectors]


def at_rest(vectors: Vectors, masses: Vectors) -> Vectors:
    """Remove the motion of the centre of mass. `vectors` are velocities, accelerations or displacements."""
    weights = masses[:, None]
    return vectors - np.sum(weights * vectors, axis=0) / weights.sum()


def temperature(velocities: Vectors, masses: Vectors) -> float:
    """Return the kinetic temperature in K of `velocities` whose centre of mass is at rest."""
    degrees = max(3 * len(masses) - 3, 1)
    return 2 * kinetic_energy(velocities, masses) / (degrees * units.kB)


def kinetic_energy(velocities: Vectors, masses: Vectors) -> float:
    """Return the kinetic energy in eV."""
    return float(0.5 * np.sum(masses[:, None] * velocities**2))


def thermal_velocities(kelvin: float, masses: Vectors, rng: np.random.Generator) -> Vectors:
    """Draw velocities of temperature `kelvin` from the Maxwell–Boltzmann distribution, centre of mass at rest."""
    noise = rng.standard_normal((len(masses), 3))
    return at_rest(np.sqrt(units.kB * kelvin / masses)[:, None] * noise, masses)


def langevin_step(
    positions: Vectors,
    velocities: Vectors,
    forces: Vectors,
    forces_at: Forces,
    masses: Vectors,
    time_step: float,
    friction: float,
    kelvin: float,
    rng: np.random.Generator,
) -> tuple[Vectors, Vectors, Vectors]:
    """Return positions, velocities and forces one step later, at temperature `kelvin`.

    Vanden-Eijnden and Ciccotti, Chem. Phys. Lett. 429, 310 (2006), Eq. 23, as in ASE's ``Langevin``.

    :param friction: inverse of ASE's unit of time.
    :param forces: at `positions`.
    """
    h, weights = time_step, masses[:, None]
    sigma = np.sqrt(2 * units.kB * kelvin * friction / weights)
    xi = rng.standard_normal(positions.shape)
    eta = rng.standard_normal(positions.shape)
    kick_scale = h**1.5 * sigma / (2 * np.sqrt(3))
    drift = at_rest(kick_scale * eta, masses)
    noise = at_rest(
        (np.sqrt(h) * sigma / 2 - h**1.5 * friction * sigma / 8) * xi - friction / 2 * kick_scale * eta, masses
    )
    push = h / 2 - h * h * friction / 8
    drag = h * friction / 2 - h * h * friction * friction / 8

    half = velocities + push * at_rest(forces / weights, masses) - drag * velocities + noise
    moved = positions + h * half + drift
    new_forces = forces_at(moved)
    new_velocities = half + push * at_rest(new_forces / weights, masses) - drag * half + noise
    return moved, at_rest(new_velocities, masses), new_forces


def verlet_step(
    positions: Vectors, velocities: Vectors, forces: Vectors, forces_at: Forces, masses: Vectors, time_step: float
) -> tuple[Vectors, Vectors, Vectors]:
    """Return positions, velocities and forces one step later, at constant energy (velocity Verlet)."""
    weights = masses[:, None]
    half = velocities + time_step / 2 * at_rest(forces / weights, masses)
    moved = positions + time_step * half
    new_forces = forces_at(moved)
    return moved, at_rest(half + time_step / 2 * at_rest(new_forces / weights, masses), masses), new_forces
