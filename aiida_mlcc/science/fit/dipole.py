"""The dipole–dipole energy that the fits of a polar crystal start from, and what they say about its strength.

Force constants and networks fitted in a training cell see no farther than half of it. What crosses the cell is known
from the Born charges and the dielectric tensor; it is taken off the labels, and stands in the force field as a term of
its own. Energies of another method say by which weight w that term is to be scaled (Z*² /ε∞ of a cubic crystal of two
atoms): the labels of the base contain it once.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import map_onto_crystal
from aiida_mlcc.science.fit.force_constants_basis import resolved_basis, symmetry_operations
from aiida_mlcc.science.fit.mapped_frames import MappedFrames, mapped_frames
from aiida_mlcc.science.force_field.dipole import DipoleModel, dipole_term
from aiida_mlcc.science.labels.snapshots import Snapshots

LEAST_CHARGE = 0.05
"""e: where no component of any Born charge is larger, the crystal is not polar."""

ETA_TIMES_CUTOFF = 3.0
"""What the damping cuts off is 2e-5 of a Coulomb energy beyond the cutoff of the force constants: erfc(3)."""

OTHER_ETA_TIMES_CUTOFF = (2.5, 3.5)
"""With which a fit might as well have been made."""

_SAME = 1e-6


def is_polar(charges: NDArray[np.float64]) -> bool:
    """Tell whether Born charges (e, shape (n_sites, 3, 3)) are large enough for a dipole–dipole term."""
    return bool(np.abs(charges).max(initial=0.0) >= LEAST_CHARGE)


def dipole_beside(
    primitive: Atoms,
    charges: NDArray[np.float64],
    dielectric: NDArray[np.float64],
    training_cell: Atoms,
) -> DipoleModel | None:
    """Return the dipole–dipole energy that belongs beside force constants fitted in a training cell.

    Its damping η is 3 over the longest cutoff whose force constants the cell tells apart: the base and every Δ that is
    fitted in this cell have the same term.

    :param charges: Born charges, e, shape (n_sites, 3, 3); `dielectric` of shape (3, 3).
    :returns: None for a crystal that is not polar, see :data:`LEAST_CHARGE`.
    :raises aiida_mlcc.science.force_field.ForceFieldError: for charges that cannot be those of a crystal.
    :raises aiida_mlcc.science.crystal.cells.CrystalError: where `training_cell` is not a supercell of `primitive`.
    """
    if not is_polar(charges):
        return None
    site_map = map_onto_crystal(primitive, training_cell)
    cutoff = resolved_basis(primitive, site_map).cutoff
    return DipoleModel(dipole_term(primitive, charges, dielectric, ETA_TIMES_CUTOFF / cutoff))


def otherwise_damped(dipole: DipoleModel) -> list[DipoleModel]:
    """Return the same charges with a little less and a little more damping."""
    return [damped_otherwise(dipole, factor / ETA_TIMES_CUTOFF * dipole.eta) for factor in OTHER_ETA_TIMES_CUTOFF]


def damped_otherwise(dipole: DipoleModel, eta: float) -> DipoleModel:
    """Return the same charges with another damping η (1/Å)."""
    return DipoleModel(dipole_term(dipole.primitive, dipole.charges, dipole.dielectric, eta))


def dipole_energies_and_forces(
    dipole: DipoleModel, snapshots: Snapshots
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the energies (eV per cell, shape (n_frames,)) and forces (eV/Å, (n_frames, n_atoms, 3)) of all frames.

    :raises aiida_mlcc.science.crystal.cells.CrystalError: where a frame is not a supercell of the crystal.
    """
    forces = np.zeros_like(snapshots.positions)
    energies = np.zeros(snapshots.n_frames)
    for group in mapped_frames(snapshots, dipole.primitive):
        forces[group.indices], energies[group.indices] = _pulls_of(dipole, group)
    return energies, forces


def _pulls_of(dipole: DipoleModel, group: MappedFrames) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bound = dipole.on(group.site_map, group.site_map.multiples @ dipole.primitive.cell.array)
    pulls = bound.forces(group.displacements)
    return pulls, -0.5 * np.einsum('fia,fia->f', pulls, group.displacements)


def coupling_strength(dipole: DipoleModel) -> float | None:
    """Return Z*²/ε∞, which alone fixes LO² − TO² of a cubic crystal of two atoms; None of any other crystal."""
    charges, dielectric = dipole.charges, dipole.dielectric
    isotropic = all(np.abs(tensor - tensor[0, 0] * np.eye(3)).max() < _SAME for tensor in (*charges, dielectric))
    rotations = symmetry_operations(dipole.primitive, 1e-4)[0]
    if len(charges) != 2 or not isotropic or len(rotations) < 24:
        return None
    return float(charges[0, 0, 0] ** 2 / dielectric[0, 0])
