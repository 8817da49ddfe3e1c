"""Labelled frames of an ordered alloy from ASE's effective-medium theory: real many-body forces in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential
from numpy.typing import NDArray

from aiida_mlcc.runtime.mace.graphs import neighbour_graph
from aiida_mlcc.runtime.mace.model import Architecture, build, term_of
from aiida_mlcc.science.force_field import ForceField, Term
from aiida_mlcc.science.labels.snapshots import Label, Snapshots

NETWORK: dict[str, Any] = {
    'r_max': 3.6,
    'num_channels': 4,
    'max_L': 0,
    'num_interactions': 2,
    'correlation': 2,
    'num_radial_basis': 6,
    'num_cutoff_basis': 5,
    'max_ell': 2,
    'MLP_irreps': '4x0e',
}

TRAINING: dict[str, Any] = {
    'epochs': 12,
    'batch_size': 4,
    'learning_rate': 0.02,
    'weight_decay': 0.0,
    'energy_weight': 1.0,
    'forces_weight': 10.0,
    'frame_weights': 'uniform',
    'ema_decay': 0.9,
    'schedule': 'cosine',
    'patience': None,
    'valid_fraction': 0.2,
    'dtype': 'float32',
}


def cell() -> Atoms:
    """Cu3Au, four atoms, near the lattice constant of effective-medium theory."""
    atoms = bulk('Cu', 'fcc', a=3.72, cubic=True)
    atoms.symbols[0] = 'Au'
    return atoms


def small_cell() -> Atoms:
    """CuAu, two atoms, as caesium chloride: force constants are fitted to it in 2 s, and to Cu3Au in 15 s."""
    return bulk('CuAu', 'cesiumchloride', a=3.0)


def rattled(n_frames: int, amplitude: float = 0.12, seed: int = 0, crystal: Callable[[], Atoms] = cell) -> list[Atoms]:
    """Frames with independent Gaussian displacements of `amplitude` Å."""
    generator = np.random.default_rng(seed)
    frames = []
    for _ in range(n_frames):
        atoms = crystal()
        atoms.positions += generator.normal(scale=amplitude, size=(len(atoms), 3))
        frames.append(atoms)
    return frames


@cache
def labelled(n_frames: int, seed: int = 0, crystal: Callable[[], Atoms] = cell) -> Snapshots:
    """Frames with energies and forces under the name LDA, and energies alone, by a Morse potential off, under HF."""
    images = rattled(n_frames, seed=seed, crystal=crystal)
    energies, forces, differences = [], [], []
    for atoms in images:
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces())
        difference = MorsePotential(epsilon=0.05, r0=2.6, rho0=4.0, rcut1=4.0, rcut2=5.0)
        differences.append(difference.get_potential_energy(atoms) + 3.0)
    label = Label(np.array(energies), np.array(forces), {'engine': 'effective-medium theory'})
    other = Label(label.energies + np.array(differences), None, {'engine': 'with a Morse potential'})
    return Snapshots.from_atoms(images).with_label('LDA', label).with_label('HF', other)


@cache
def random_term(seed: int = 0, r_max: float = 3.6, weight: float = 1.0) -> Term:
    """A network as it is before training: no use, but smooth energies with forces."""
    architecture = Architecture(
        **{**NETWORK, 'r_max': r_max}, atomic_numbers=(29, 79), avg_num_neighbors=12.0, scale=0.7, shift=-0.3
    )
    return term_of(architecture, dict(build(architecture, 'float64', seed).named_parameters()), weight)


def random_force_field(*terms: Term) -> ForceField:
    """A force field of the alloy with constants −1 eV for Cu and −2 eV for Au."""
    return ForceField(terms or (random_term(),), {'Cu': -1.0, 'Au': -2.0})


def energy_of(network: Any, atoms: Atoms, r_max: float = 3.6) -> float:
    """Energy of a bare network, eV."""
    graph = neighbour_graph(atoms.numbers, atoms.cell.array, atoms.positions, r_max)
    return float(network(graph.mace_input(network.atomic_numbers), compute_force=False)['interaction_energy'].detach())


def forces_by_differences(atoms: Atoms, step: float = 1e-4) -> NDArray[np.float64]:
    """Central differences of the energy of the calculator that `atoms` carries, eV/Å."""
    forces = np.zeros((len(atoms), 3))
    for atom in range(len(atoms)):
        for axis in range(3):
            energies = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.calc = atoms.calc
                moved.positions[atom, axis] += sign * step
                energies.append(moved.get_potential_energy())
            forces[atom, axis] = -(energies[0] - energies[1]) / (2 * step)
    return forces
