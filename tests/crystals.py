"""Crystals small enough for tests, and force fields of them that are known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from scipy import constants

from aiida_mlcc.science.force_constants import force_constants_term
from aiida_mlcc.science.force_field import ForceField, Term

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
    return ForceField((term,), constants=dict.fromkeys(primitive.get_chemical_symbols(), 0.0))


def optical_frequency_cm1(primitive: Atoms, stiffness: float = SPRING) -> float:
    """The optical frequency at Γ of :func:`springs`: ω² = k_total/μ, with two longitudinal springs an axis and four
    transverse ones."""
    total = stiffness * (2 * 1.0 + 4 * 0.1) * constants.e / constants.angstrom**2
    mass = primitive.get_masses() * constants.atomic_mass
    reduced = mass[0] * mass[1] / mass.sum()
    return np.sqrt(total / reduced) / (2 * np.pi * constants.c * 100)
