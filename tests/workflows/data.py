"""Snapshots of LiF labelled by springs: cheap, and with a Δ that is known."""

from __future__ import annotations

import numpy as np

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.crystals import SPRING, rocksalt, rocksalt_cube, springs


def snapshots_of_springs(n_frames: int = 12, methods: dict[str, float] | None = None, amplitude: float = 0.08):
    """Rattled cubes of 8 atoms; LDA with forces, further methods as energies of other stiffnesses."""
    primitive, cube = rocksalt(), supercell(rocksalt_cube(), 1)
    generator = np.random.default_rng(7)
    displaced = cube.positions + amplitude * generator.standard_normal((n_frames, len(cube), 3))
    labels = {}
    for method, stiffness in {'LDA': SPRING, **(methods or {})}.items():
        model = ForceConstantsModel(springs(primitive, stiffness).terms[0]).bind(cube)
        results = [model.energy_forces(frame) for frame in displaced]
        energies = np.array([energy for energy, _ in results])
        forces = np.array([force for _, force in results]) if method == 'LDA' else None
        labels[method] = Label(energies, forces, {'springs': stiffness})
    cells = np.array([cube.cell.array] * n_frames)
    return Snapshots(tuple(cube.get_chemical_symbols()), cells, displaced, labels)
