"""Crystals small enough for tests, and force fields of them that are known in closed form."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.force_constants import force_constants_term
from aiida_mlcc.science.force_field import ForceField

SPRING = 3.0
"""Longitudinal spring between nearest neighbours, eV/Å²; the transverse one is a tenth of it."""


def rocksalt(a: float = 4.03) -> Atoms:
    """The primitive cell of LiF."""
    return bulk('LiF', 'rocksalt', a=a)


def rocksalt_cube(a: float = 4.03) -> Atoms:
    """The conventional cell of LiF."""
    return bulk('LiF', 'rocksalt', a=a, cubic=True)


def springs(primitive: Atoms, stiffness: float = SPRING, method: str = 'LDA', seed: int = 1) -> ForceField:
    """Nearest neighbours of a rocksalt crystal joined by springs: stable everywhere, no network needed."""
    half = np.linalg.norm(primitive.cell.array[0]) / np.sqrt(2)
    inverse = np.linalg.inv(primitive.cell.array)
    pairs, vectors, blocks = [], [], []
    onsite = np.zeros((2, 3, 3))
    for i, j in ((0, 1), (1, 0)):
        for axis in range(3):
            for sign in (1, -1):
                direction = np.zeros(3)
                direction[axis] = sign
                offset = primitive.positions[i] + half * direction - primitive.positions[j]
                block = -stiffness * (0.1 * np.eye(3) + 0.9 * np.outer(direction, direction))
                pairs.append((i, j))
                vectors.append(np.rint(offset @ inverse).astype(int))
                blocks.append(block)
                onsite[i] -= block
    for i in range(2):
        pairs.append((i, i))
        vectors.append(np.zeros(3, int))
        blocks.append(onsite[i])
    term = force_constants_term(
        primitive,
        np.array(pairs),
        np.array(vectors),
        np.array(blocks),
        cutoff=half,
        trained_on={'method': method, 'seed': seed, 'label_kinds': ['energy'], 'snapshots': 'none'},
    )
    return ForceField((term,), constants={'Li': 0.0, 'F': 0.0})


def optical_frequency_cm1(primitive: Atoms, stiffness: float = SPRING) -> float:
    """The optical frequency at Γ of :func:`springs`: ω² = k_total/μ, with two longitudinal springs an axis and four
    transverse ones."""
    from scipy import constants

    total = stiffness * (2 * 1.0 + 4 * 0.1) * constants.e / constants.angstrom**2
    mass = primitive.get_masses() * constants.atomic_mass
    reduced = mass[0] * mass[1] / mass.sum()
    return np.sqrt(total / reduced) / (2 * np.pi * constants.c * 100)
