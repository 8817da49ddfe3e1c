"""A crystal of springs: of no method, but stable and with the symmetry of the crystal, to count its modes on."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from aiida_mlcc.science.crystal.cells import map_onto_crystal, shortest_distance
from aiida_mlcc.science.crystal.symmetry import remembers_crystals
from aiida_mlcc.science.design.optimal_structures import frozen_phonon_settings, frozen_phonons
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel, force_constants_term
from aiida_mlcc.science.labels.labelling_plan import Selection

_REACH = 2.5
_ALONG = 5.0
_ACROSS = 0.1


def spring_model(primitive: Atoms, cell: Atoms) -> HarmonicModel:
    """Return springs between all neighbours of a crystal as the harmonic model of an undisplaced supercell.

    They reach two and a half times the shortest distance and soften with their length: modes have one frequency where
    symmetry makes it so, and nowhere else.
    """
    nearest = shortest_distance(primitive)
    i, j, lattice_vectors, vectors = neighbor_list('ijSD', primitive, _REACH * nearest)
    lengths = np.linalg.norm(vectors, axis=1)
    unit = vectors / lengths[:, None]
    stiffness = _ALONG * np.exp(-2 * (lengths / nearest - 1))[:, None, None]
    blocks = stiffness * ((1 - _ACROSS) * unit[:, :, None] * unit[:, None] + _ACROSS * np.eye(3))
    sites = np.arange(len(primitive))
    on_site = np.zeros((len(primitive), 3, 3))
    np.add.at(on_site, i, blocks)
    term = force_constants_term(
        primitive,
        np.concatenate([np.column_stack([i, j]), np.column_stack([sites, sites])]),
        np.concatenate([lattice_vectors, np.zeros((len(primitive), 3), dtype=int)]),
        np.concatenate([-blocks, on_site]),
        _REACH * nearest,
    )
    return HarmonicModel(ForceConstantsModel(term), map_onto_crystal(primitive, cell))


def count_frozen_phonons(primitive: Atoms, cell: Atoms, selection: Selection) -> int:
    """Return how many structures a frozen-phonon design in `cell` has, before there are forces to make it from.

    It is right unless two modes have the same frequency by chance, which make one structure.

    :raises aiida_mlcc.science.design.optimal_structures.DesignError: for settings that make no sense.
    """
    settings = frozen_phonon_settings(selection)
    n_amplitudes = 1 if settings.second_amplitude is None else 2
    return settings.references + n_amplitudes * _n_displacements(primitive, cell, settings.coupled)


@remembers_crystals
def _n_displacements(primitive: Atoms, cell: Atoms, coupled: bool) -> int:
    """Return how many displacements along modes differ by symmetry: one of an even mode, two of the others."""
    return sum(len(frozen.signs) for frozen in frozen_phonons(spring_model(primitive, cell), coupled))
