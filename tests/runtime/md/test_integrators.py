"""One step of dynamics, held to ASE's integrators and to statistical mechanics."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from aiida_mlcc.runtime.md.integrators import (
    at_rest,
    kinetic_energy,
    langevin_step,
    temperature,
    thermal_velocities,
    verlet_step,
)

FRICTION = 0.02 / units.fs
STEP = 2 * units.fs


def alloy() -> tuple[Atoms, NDArray[np.float64]]:
    atoms = bulk('Cu', cubic=True)
    atoms.symbols[0] = 'Au'
    atoms.calc = EMT()
    velocities = thermal_velocities(600.0, atoms.get_masses(), np.random.default_rng(3))
    atoms.set_velocities(velocities)
    return atoms, velocities


def forces_of(atoms: Atoms, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    atoms.positions = positions
    return atoms.get_forces(apply_constraint=False)


def test_langevin_is_that_of_ase() -> None:
    theirs, velocities = alloy()
    ours, masses = theirs.copy(), theirs.get_masses()
    ours.calc = EMT()
    theirs.set_constraint(FixCom())
    dynamics = Langevin(theirs, STEP, temperature_K=300.0, friction=FRICTION, fixcm=False, rng=np.random.default_rng(7))
    dynamics.run(20)
    rng = np.random.default_rng(7)
    positions = ours.positions.copy()
    forces = forces_of(ours, positions)
    for _ in range(20):
        positions, velocities, forces = langevin_step(
            positions, velocities, forces, lambda x: forces_of(ours, x), masses, STEP, FRICTION, 300.0, rng
        )
    assert np.allclose(positions, theirs.positions, rtol=0, atol=1e-9)
    assert np.allclose(velocities, theirs.get_velocities(), rtol=0, atol=1e-9)


def test_verlet_is_that_of_ase() -> None:
    theirs, velocities = alloy()
    ours, masses = theirs.copy(), theirs.get_masses()
    ours.calc = EMT()
    VelocityVerlet(theirs, STEP).run(20)
    positions = ours.positions.copy()
    forces = forces_of(ours, positions)
    for _ in range(20):
        positions, velocities, forces = verlet_step(
            positions, velocities, forces, lambda x: forces_of(ours, x), masses, STEP
        )
    assert np.allclose(positions, theirs.positions, rtol=0, atol=1e-9)


def test_langevin_brings_a_harmonic_crystal_to_the_temperature_asked_for() -> None:
    masses = np.array([1.0, 7.0, 19.0, 12.0])
    stiffness = 3.0
    rng = np.random.default_rng(0)
    positions, velocities, forces = np.zeros((4, 3)), np.zeros((4, 3)), np.zeros((4, 3))
    kinetic, potential = [], []
    for _ in range(20000):
        positions, velocities, forces = langevin_step(
            positions, velocities, forces, lambda x: -stiffness * x, masses, units.fs, 0.05 / units.fs, 300.0, rng
        )
        kinetic.append(temperature(velocities, masses))
        potential.append(stiffness * np.sum(positions**2) / (9 * units.kB))
    assert np.mean(kinetic[2000:]) == pytest.approx(300.0, rel=0.05)
    assert np.mean(potential[2000:]) == pytest.approx(300.0, rel=0.05)


def test_the_centre_of_mass_stays_where_it_is() -> None:
    masses = np.array([1.0, 16.0])
    rng = np.random.default_rng(1)
    positions, velocities = np.zeros((2, 3)), thermal_velocities(500.0, masses, rng)
    forces = np.zeros((2, 3))
    for _ in range(50):
        positions, velocities, forces = langevin_step(
            positions, velocities, forces, lambda x: np.ones((2, 3)), masses, units.fs, FRICTION, 500.0, rng
        )
    assert np.abs(masses @ positions).max() < 1e-12
    assert np.abs(masses @ velocities).max() < 1e-12


def test_first_velocities_are_thermal() -> None:
    masses = np.tile([1.0, 35.0], 4000)
    velocities = thermal_velocities(250.0, masses, np.random.default_rng(2))
    assert temperature(velocities, masses) == pytest.approx(250.0, rel=0.03)
    light = kinetic_energy(velocities[::2], masses[::2]) / 4000
    assert light == pytest.approx(1.5 * units.kB * 250.0, rel=0.05)


def test_at_rest_changes_no_relative_motion() -> None:
    vectors = np.random.default_rng(0).standard_normal((3, 3))
    still = at_rest(vectors, np.array([1.0, 2.0, 3.0]))
    assert np.allclose(np.diff(still, axis=0), np.diff(vectors, axis=0))
