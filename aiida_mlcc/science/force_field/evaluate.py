"""Terms of a force field on the frames of a trajectory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.force_field.kinds import models_of
from aiida_mlcc.science.force_field.sum import Term
from aiida_mlcc.science.labels.snapshots import Snapshots


def energies_and_forces(terms: Sequence[Term], snapshots: Snapshots) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Σ_t w_t·E_t (eV per cell, shape (n_frames,)) and its forces (eV/Å, shape (n_frames, n_atoms, 3)).

    :param snapshots: of one cell, with every atom near the same site in all of them: terms are bound to the first.
    :raises ValueError: where that is another crystal than a term knows.
    """
    energies, forces = np.zeros(snapshots.n_frames), np.zeros_like(snapshots.positions)
    for model in models_of(terms):
        bound = model.bind(snapshots.atoms(0))
        for frame, positions in enumerate(snapshots.positions):
            energy, pulls = bound.energy_forces(positions)
            energies[frame] += energy
            forces[frame] += pulls
    return energies, forces
