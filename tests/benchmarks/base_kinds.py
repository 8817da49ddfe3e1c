"""Kinds of base on the same few frames: what each takes, and how right it is on the frames it has not seen."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units

from aiida_mlcc.runtime.calculators import energy_and_forces
from aiida_mlcc.runtime.force_field_calculator import ForceFieldCalculator
from aiida_mlcc.runtime.md.integrators import kinetic_energy, thermal_velocities, verlet_step
from aiida_mlcc.runtime.tasks.reference_phonons import against_force_field
from aiida_mlcc.science.crystal.cells import from_phonopy, supercell, to_phonopy
from aiida_mlcc.science.fit.base_model import BaseForceConstants, fit_base
from aiida_mlcc.science.fit.delta import with_probe
from aiida_mlcc.science.fit.dipole import dipole_beside
from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.force_field import ForceField, add_delta
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.phonons.dispersion import band_path
from tests.benchmarks.delta_networks import TRAINING
from tests.benchmarks.evaluate import SUPERCELL

KINDS = ('force-constants', 'force-constants+mace', 'mace')
POINTS = ('GAMMA', 'X', 'L')
PHONON_SUPERCELL = [4, 4, 4]
"""Of the primitive cell: it holds Γ, X and L of cubic crystals."""

KELVIN = 300.0
TIME_STEP_FS = 1.0
CHARGE, DIELECTRIC = 1.0, 2.0
"""Of the polar term whose cost is measured; it does not depend on them."""


def split(snapshots: Snapshots, method: str, n_frames: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frames drawn at random, and the hot and the cold half of the others by their energy."""
    order = np.random.default_rng(seed).permutation(snapshots.n_frames)
    held_out = order[n_frames:]
    by_energy = held_out[np.argsort(snapshots.labels[method].energies[held_out])]
    return np.sort(order[:n_frames]), by_energy[len(by_energy) // 2 :], by_energy[: len(by_energy) // 2]


def force_constants(snapshots: Snapshots, primitive: Atoms, method: str, seed: int) -> ForceField:
    """Return a base of force constants, fitted to all snapshots."""
    settings = BaseForceConstants.of({**BaseForceConstants.defaults(), 'resample': False})
    fitted = fit_base(snapshots, primitive, method, None, settings, None, {'method': method, 'seed': seed})
    constants = dict.fromkeys(sorted(set(snapshots.symbols)), fitted.height / snapshots.n_atoms)
    return with_probe(ForceField(fitted.terms, constants, method=method), snapshots)


def trained(
    kind: str,
    snapshots: Snapshots,
    primitive: Atoms,
    method: str,
    seed: int,
    network: Mapping[str, Any],
    epochs: int,
    folder: Path,
) -> tuple[ForceField, float]:
    """Return a base of a kind, and the CPU seconds that it took."""
    started = time.process_time()
    if kind == 'force-constants':
        field = force_constants(snapshots, primitive, method, seed)
        return field, time.process_time() - started
    from tests.benchmarks.base import train

    known = {'force_constants': BaseForceConstants.defaults()} if kind == 'force-constants+mace' else {}
    errors = train(
        folder,
        snapshots,
        primitive,
        network=network,
        training={**TRAINING, 'epochs': epochs},
        target={'method': method, 'minus': None, 'forces': True},
        seed=seed,
        **known,
    )
    return ForceField.load(folder / 'force_field'), errors['train_cpu_s']


def held_out_error(calculator: ForceFieldCalculator, snapshots: Snapshots, method: str, frames: np.ndarray) -> float:
    """Return the root mean square error of forces, meV/Å."""
    forces = snapshots.labels[method].forces
    assert forces is not None
    wrong = [energy_and_forces(calculator, snapshots.atoms(frame))[1] - forces[frame] for frame in frames.tolist()]
    return float(1000 * np.sqrt(np.mean(np.square(wrong))))


def frequencies(calculator: ForceFieldCalculator, primitive: Atoms) -> dict[str, list[float]]:
    """Return the frequencies (cm⁻¹) at Γ, X and L, by phonopy's finite displacements."""
    from phonopy import Phonopy
    from phonopy.physical_units import get_physical_units

    phonon = Phonopy(to_phonopy(primitive), PHONON_SUPERCELL, primitive_matrix=np.eye(3), log_level=0)
    phonon.generate_displacements(distance=0.01, is_plusminus=True)
    phonon.forces = [
        energy_and_forces(calculator, from_phonopy(cell))[1] for cell in phonon.supercells_with_displacements
    ]
    phonon.produce_force_constants()
    special = band_path(primitive, 2).points
    asked = [name for name in POINTS if name in special]
    phonon.run_qpoints([special[name] for name in asked])
    found = phonon.qpoints.frequencies * get_physical_units().THzToCm
    return {name: values.tolist() for name, values in zip(asked, found, strict=True)}


def dynamics(calculator: ForceFieldCalculator, atoms: Atoms, n_steps: int, seed: int) -> dict[str, float]:
    """Return CPU seconds of a step (median) and drift of the energy at constant energy, meV/atom/ps, at 300 K."""
    masses, moving = atoms.get_masses(), atoms.copy()
    calculator.bind(atoms)

    def forces_at(positions: np.ndarray) -> np.ndarray:
        moving.positions = positions
        energies.append(0.0)
        energy, forces = energy_and_forces(calculator, moving)
        energies[-1] = energy
        return forces

    energies: list[float] = []
    positions, forces = atoms.positions.copy(), forces_at(atoms.positions)
    # Half of the energy goes into the displacements.
    velocities = thermal_velocities(2 * KELVIN, masses, np.random.default_rng(seed))
    seconds, totals = [], []
    for _ in range(n_steps):
        started = time.process_time()
        positions, velocities, forces = verlet_step(
            positions, velocities, forces, forces_at, masses, TIME_STEP_FS * units.fs
        )
        seconds.append(time.process_time() - started)
        totals.append(energies[-1] + kinetic_energy(velocities, masses))
    later = np.arange(n_steps) >= n_steps // 5
    slope = np.polyfit(np.arange(n_steps)[later] * TIME_STEP_FS / 1000, np.array(totals)[later], 1)[0]
    return {'step_cpu_s': float(np.median(seconds)), 'drift_mev_atom_ps': float(1000 * slope / len(atoms))}


def with_delta(base: ForceField, snapshots: Snapshots, primitive: Atoms, method: str, seed: int) -> ForceField:
    """Return a base with a Δ of force constants, and with dipoles where the crystal has two elements."""
    wave_function = next(name for name in ('CCSD(T)', 'CCSD', 'MP2', 'HF') if name in snapshots.labels)
    whole = add_delta(base, fit_delta(snapshots, primitive, method, wave_function, seed=seed).force_field)
    if len(set(primitive.numbers.tolist())) < 2:
        return whole
    signs = np.where(primitive.numbers == primitive.numbers[0], 1.0, -1.0)
    charges = CHARGE * signs[:, None, None] * np.eye(3)
    dipole = dipole_beside(primitive, charges, DIELECTRIC * np.eye(3), snapshots.atoms(0))
    assert dipole is not None
    return ForceField((*whole.terms, dipole.term()), whole.constants, method=whole.method)


def compare(
    snapshots: Snapshots,
    primitive: Atoms,
    method: str,
    kinds: Sequence[str],
    seeds: Sequence[int],
    n_frames: int,
    network: Mapping[str, Any],
    epochs: int,
    n_steps: int,
    scratch: Path,
) -> dict[str, Any]:
    """Return kind → seed → CPU seconds, errors, frequencies, phonons, seconds of a step and drift."""
    found: dict[str, Any] = {}
    large = supercell(primitive, SUPERCELL)
    # The best that is known of the harmonic crystal: force constants of all frames.
    expected = ForceFieldCalculator(force_constants(snapshots, primitive, method, 0))
    for kind in kinds:
        for seed in seeds:
            drawn, hot, cold = split(snapshots, method, n_frames, seed)
            folder = scratch / f'{kind}_{seed}'
            field, seconds = trained(kind, snapshots.select(drawn), primitive, method, seed, network, epochs, folder)
            calculator = ForceFieldCalculator(field)
            entry: dict[str, Any] = {
                'train_cpu_s': seconds,
                'held_out_forces_mev_angstrom': {
                    name: held_out_error(calculator, snapshots, method, frames)
                    for name, frames in (('all', np.append(hot, cold)), ('hot', hot), ('cold', cold))
                },
                'frequencies_cm1': frequencies(calculator, primitive),
                'phonons': against_force_field(calculator, expected, primitive, PHONON_SUPERCELL),
                **dynamics(ForceFieldCalculator(field), large, n_steps, seed),
            }
            if kind == 'force-constants':
                whole = ForceFieldCalculator(with_delta(field, snapshots, primitive, method, seed))
                entry['with_delta'] = dynamics(whole, large, n_steps, seed)
            found.setdefault(kind, {})[f'seed_{seed}'] = entry
            sys.stderr.write(f'{kind}, seed {seed}: {json.dumps(entry)}\n')
    return found
