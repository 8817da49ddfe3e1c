"""The symmetry that force constants must have: what breaks it, and its enforcement."""

from __future__ import annotations

from typing import Any

import numpy as np


def symmetrise(phonon: Any) -> dict[str, float]:
    """Enforce the translational and permutation symmetry of force constants, and say how far they were from it.

    :param phonon: a phonopy instance with the force constants of all pairs of its supercell.
    :returns: ``translation_eV_A2``, the largest component of Σ_j Φ_ij, and ``permutation_eV_A2``, that of Φ_ij − Φ_jiᵀ,
        both before; ``largest_eV_A2``, the largest of Φ, to compare them with.
    """
    given = np.array(phonon.force_constants)
    phonon.symmetrize_force_constants(show_drift=False)
    return {
        'translation_eV_A2': float(max(np.abs(given.sum(axis=0)).max(), np.abs(given.sum(axis=1)).max())),
        'permutation_eV_A2': float(np.abs(given - given.transpose(1, 0, 3, 2)).max()),
        'largest_eV_A2': float(np.abs(given).max()),
    }
