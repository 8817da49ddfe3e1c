"""Displacements of snapshots from the sites of their crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import CrystalError, SiteMap, map_onto_crystal, reach_of_sites, unwrap
from aiida_mlcc.science.force_field import Term
from aiida_mlcc.science.force_field.evaluate import energies_and_forces
from aiida_mlcc.science.labels.snapshots import Snapshots

_SAME_CELL = 1e-6


@dataclass(frozen=True)
class MappedFrames:
    """Frames of one supercell whose atoms sit on the same sites.

    :param indices: which frames of the snapshots these are, shape (n_frames,).
    :param displacements: from the sites, free of lattice vectors and of the rigid shift, Å, (n_frames, n_atoms, 3).
    """

    indices: NDArray[np.int64]
    site_map: SiteMap
    displacements: NDArray[np.float64]


def mapped_frames(snapshots: Snapshots, primitive: Atoms) -> list[MappedFrames]:
    """Put every frame on the sites of the crystal; frames keep the sites of the first one of their cell.

    Frames of another run may have their atoms on other sites, or in another cell: they come in a group of their own.

    :raises CrystalError: where a frame is not a supercell of `primitive`.
    """
    reach = reach_of_sites(primitive)
    pending = np.arange(snapshots.n_frames)
    groups = []
    while len(pending):
        first = int(pending[0])
        cell = snapshots.cells[first]
        site_map = map_onto_crystal(primitive, snapshots.atoms(first))
        moved = unwrap(snapshots.positions[pending] - site_map.reference_positions, cell)
        alike = np.abs(snapshots.cells[pending] - cell).max(axis=(1, 2)) < _SAME_CELL
        alike &= np.linalg.norm(moved, axis=2).max(axis=1) <= reach
        alike[0] = True
        groups.append(MappedFrames(pending[alike], site_map, moved[alike]))
        pending = pending[~alike]
    return groups


def evaluated(
    terms: Sequence[Term], snapshots: Snapshots, primitive: Atoms
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Σ_t w_t·E_t (eV per cell, shape (n_frames,)) and its forces (eV/Å, shape (n_frames, n_atoms, 3)).

    :param snapshots: of any supercells of `primitive`.
    :raises CrystalError: where a frame is not a supercell of `primitive`.
    """
    energies, forces = np.zeros(snapshots.n_frames), np.zeros_like(snapshots.positions)
    for group in mapped_frames(snapshots, primitive) if terms else ():
        here = group.indices
        energies[here], forces[here] = energies_and_forces(terms, snapshots.select(here))
    return energies, forces


def distinct_cells(frames: Sequence[MappedFrames]) -> list[SiteMap]:
    """Return the sites of one group of frames of each supercell."""
    found = {tuple(group.site_map.multiples.ravel().tolist()): group.site_map for group in reversed(frames)}
    return list(found.values())[::-1]


def frame_displacements(snapshots: Snapshots, primitive: Atoms) -> tuple[SiteMap, NDArray[np.float64]]:
    """Return the sites and displacements (Å, shape (n_frames, n_atoms, 3)) of frames that all have the same sites.

    :raises CrystalError: where they have not: where cells differ, or atoms changed places between runs.
    """
    groups = mapped_frames(snapshots, primitive)
    if len(groups) != 1:
        raise CrystalError(
            f'the frames are of {len(groups)} cells or arrangements of the atoms; frame {groups[1].indices[0]} is the '
            'first that differs from frame 0: take those of one run'
            if groups
            else 'there are no frames'
        )
    return groups[0].site_map, groups[0].displacements
