"""Meshes of k-points and the symmetry of the crystal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from aiida_mlcc.science.crystal.symmetry import SYMPREC, SymmetryError, point_group

_TOLERANCE = 1e-6


def refuse_mesh(
    atoms: Atoms, mesh: Sequence[int], shift: Sequence[int], symprec: float = SYMPREC, at_rest: bool = False
) -> str | None:
    """Return why a mesh of k-points does not go with the symmetry of a cell, in a sentence, or None.

    :param at_rest: the atoms stay where they are. Then a mesh that is shifted in all three directions needs the
        symmetry without the shift only: programs average the density over the symmetry, also where the shifted mesh
        alone has less of it, as in a face-centred lattice. Displaced atoms have no symmetry to average over.
    """
    counted = [0, 0, 0] if at_rest and list(shift) == [1, 1, 1] else shift
    if keeps_symmetry(atoms, mesh, counted, symprec):
        return None
    return (
        f'the mesh of k-points {list(mesh)} with the shift {list(shift)} has less symmetry than the cell, and so would '
        'its energies and forces: take equal numbers and the same shift along equal directions'
    )


def refuse_mesh_of_frames(
    atoms: Atoms, mesh: Sequence[int], shift: Sequence[int] = (0, 0, 0), symprec: float = SYMPREC
) -> str | None:
    """Return why a mesh does not go with the lattice of displaced atoms, in a sentence, or None.

    Frames have no symmetry of their own, but their energies are to have that of the crystal, which is not known here:
    it is taken to be that of the lattice. A shift of all three directions is taken, although the displaced atoms have
    no symmetry to average over: in LiH it moves no frequency by more than 2 cm⁻¹.
    """
    return refuse_mesh(Atoms('H', cell=atoms.cell, pbc=True), mesh, shift, symprec, at_rest=True)


def keeps_symmetry(atoms: Atoms, mesh: Sequence[int], shift: Sequence[int], symprec: float = SYMPREC) -> bool:
    """Tell whether every rotation of the crystal maps a mesh of k-points onto itself.

    :param atoms: the cell whose reciprocal lattice is divided; of a supercell, only its own rotations count.
    :param mesh: divisions along the three reciprocal vectors.
    :param shift: 1 where the mesh is shifted by half a step, else 0.
    """
    counts, half = np.asarray(mesh, dtype=float), 0.5 * np.asarray(shift, dtype=float)
    try:
        rotations = point_group(atoms, symprec)
    except SymmetryError:
        return True
    indices = np.stack(np.meshgrid(*[np.arange(count) for count in mesh], indexing='ij'), axis=-1).reshape(-1, 3)
    points = (indices + half) / counts
    for rotation in rotations:
        # A rotation of fractional positions moves those of the reciprocal lattice by its transpose, up to the inverse.
        steps = points @ rotation * counts - half
        if np.abs(steps - np.rint(steps)).max() > _TOLERANCE:
            return False
    return True
