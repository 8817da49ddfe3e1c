"""Crystals small enough for tests, and force fields of them that are known in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from scipy import constants

from aiida_mlcc.science.force_field import ForceField, Term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel, force_constants_term
from aiida_mlcc.science.force_field.third_order import Triplets
from aiida_mlcc.science.labels.snapshots import Label, Snapshots

SPRING = 3.0
"""Longitudinal spring between nearest neighbours, eV/Å²; the transverse one is a tenth of it."""


def rocksalt(a: float = 4.03) -> Atoms:
    """The primitive cell of LiF."""
    return bulk('LiF', 'rocksalt', a=a)


def rocksalt_cube(a: float = 4.03) -> Atoms:
    """The conventional cell of LiF."""
    return bulk('LiF', 'rocksalt', a=a, cubic=True)


def spring_term(
    primitive: Atoms, cutoff: float, along: float = 8.0, across: float = 1.0, weaken: float = 1.0, **trained_on: Any
) -> Term:
    """Springs between all atoms within a cutoff, in Å: symmetric and free of net force, whatever the crystal.

    :param along: eV/Å² along the bond, besides `across` in every direction.
    :param weaken: both fall off with the distance as exp(−weaken·Å).
    """
    i, j, vectors, distances = neighbor_list('ijSD', primitive, cutoff)
    lengths = np.linalg.norm(distances, axis=1)
    unit = distances / lengths[:, None]
    stiffness = along * unit[:, :, None] * unit[:, None] + across * np.eye(3)
    blocks = -stiffness * np.exp(-weaken * lengths)[:, None, None]
    n_sites = len(primitive)
    on_site = np.zeros((n_sites, 3, 3))
    np.add.at(on_site, i, -blocks)
    return force_constants_term(
        primitive,
        pairs=np.concatenate([np.column_stack([i, j]), np.column_stack([np.arange(n_sites)] * 2)]),
        lattice_vectors=np.concatenate([vectors, np.zeros((n_sites, 3), dtype=int)]),
        force_constants=np.concatenate([blocks, on_site]),
        cutoff=cutoff,
        trained_on=trained_on,
    )


def springs(primitive: Atoms, stiffness: float = SPRING, method: str = 'LDA') -> ForceField:
    """Nearest neighbours of a rocksalt crystal joined by springs: stable everywhere, no network needed."""
    nearest = 1.1 * primitive.get_distance(0, 1, mic=True)
    term = spring_term(
        primitive, nearest, 0.9 * stiffness, 0.1 * stiffness, weaken=0.0, method=method, snapshots='none'
    )
    return ForceField((term,), dict.fromkeys(primitive.get_chemical_symbols(), 0.0), method=method)


def optical_frequency_cm1(primitive: Atoms, stiffness: float = SPRING) -> float:
    """The optical frequency at Γ of :func:`springs`: ω² = k_total/μ, with two longitudinal springs an axis and four
    transverse ones."""
    total = stiffness * (2 * 1.0 + 4 * 0.1) * constants.e / constants.angstrom**2
    mass = primitive.get_masses() * constants.atomic_mass
    reduced = mass[0] * mass[1] / mass.sum()
    return np.sqrt(total / reduced) / (2 * np.pi * constants.c * 100)


def cubic_springs(primitive: Atoms, cutoff: float, strength: float) -> tuple[Triplets, np.ndarray]:
    """Return Ψ of E = strength/6·Σ s³, s the stretch of each bond within `cutoff` (Å) along itself, bond by bond.

    :param strength: eV/Å³.
    """
    blocks: dict[tuple[int, ...], np.ndarray] = {}
    for i, j, vector, apart in zip(*neighbor_list('ijSD', primitive, cutoff), strict=True):
        unit = apart / np.linalg.norm(apart)
        block = 0.5 * strength * np.einsum('a,b,c->abc', unit, unit, unit)  # Each bond comes from both of its ends.
        ends = ((i, np.zeros(3, dtype=int), -1.0), (j, vector, 1.0))
        for (first, at, sign), (second, to, sign2), (third, beyond, sign3) in product(ends, repeat=3):
            key = tuple(int(n) for n in (first, second, third, *(to - at), *(beyond - at)))
            blocks[key] = blocks.get(key, np.zeros((3, 3, 3))) + sign * sign2 * sign3 * block
    keys = np.array(list(blocks))
    return Triplets(keys[:, :3], keys[:, 3:].reshape(-1, 2, 3)), np.array(list(blocks.values()))


def stretched(ideal: Atoms, displacements: np.ndarray, cutoff: float, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return energies (eV) and forces (eV/Å) of :func:`cubic_springs` from the stretch of every bond of a supercell.

    :param displacements: Å, shape (n_frames, n_atoms, 3).
    """
    i, j, apart = neighbor_list('ijD', ideal, cutoff)
    unit = apart / np.linalg.norm(apart, axis=1)[:, None]
    stretch = np.einsum('fpa,pa->fp', displacements[:, j] - displacements[:, i], unit)
    forces = np.zeros_like(displacements)
    for force, s in zip(forces, stretch, strict=True):
        np.add.at(force, i, 0.5 * strength * (s**2)[:, None] * unit)
    return strength / 12.0 * np.sum(stretch**3, axis=1), forces


def hessian_of(term: Term, cell: Atoms) -> np.ndarray:
    """Return ∂²E/∂u∂u of a term on a supercell, eV/Å², shape (3·n_atoms, 3·n_atoms)."""
    n_components = 3 * len(cell)
    blocks = ForceConstantsModel(term).bind(cell).force_constants()
    return blocks.transpose(0, 2, 1, 3).reshape(n_components, n_components)


def heated(cell: Atoms, n_frames: int, seed: int = 0) -> np.ndarray:
    """Return displacements of a run that heats up, without rigid shift, Å, shape (n_frames, n_atoms, 3)."""
    random = np.random.default_rng(seed)
    moved = random.normal(size=(n_frames, len(cell), 3)) * np.linspace(0.02, 0.08, n_frames)[:, None, None]
    return moved - moved.mean(axis=1, keepdims=True)


def spring_label(term: Term, cell: Atoms, moved: np.ndarray) -> Label:
    """Return energies and forces of a term on a displaced supercell."""
    bound = ForceConstantsModel(term).bind(cell)
    found = [bound.energy_forces(cell.positions + one) for one in moved]
    return Label(np.array([energy for energy, _ in found]), np.array([forces for _, forces in found]))


def snapshots_of(cell: Atoms, moved: np.ndarray, labels: Mapping[str, Label]) -> Snapshots:
    """Return a displaced supercell as snapshots."""
    cells = np.repeat(cell.cell.array[None], len(moved), axis=0)
    return Snapshots(tuple(cell.get_chemical_symbols()), cells, cell.positions + moved, labels)
