"""How far the phonons of one set of force constants are from those of another: the numbers of the MDR phonon benchmark
(arXiv:2412.16551), as phonon fine-tuning is judged (arXiv:2601.07742).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap, commensurate_qpoints, from_phonopy, same_points, to_phonopy
from aiida_mlcc.science.crystal.symmetry import SYMPREC
from aiida_mlcc.science.fit.fit_errors import HarmonicProperties, PhononErrors, PointFrequencies
from aiida_mlcc.science.fit.force_constants_basis import symmetry_operations
from aiida_mlcc.science.phonons.modes import star
from aiida_mlcc.science.phonons.thermal_properties import QUANTITIES, thermal_properties
from aiida_mlcc.science.units import CM1_PER_THZ

KELVIN = 300.0
MESH = (8, 8, 8)


def phonopy_from_rows(rows: Mapping[int, NDArray[np.float64]], primitive: Atoms, site_map: SiteMap) -> Any:
    """Return phonopy with force constants from what one atom of each site does to all atoms of a supercell.

    :param rows: atom → Φ between it and all atoms, eV/Å², shape (3, n_atoms, 3); one atom of each site.
    :param site_map: of the supercell as phonopy orders its atoms, its vectors being right-handed.
    """
    from phonopy import Phonopy

    n_atoms = len(site_map.sites)
    of_site = {int(site_map.sites[atom]): atom for atom in rows}
    force_constants = np.zeros((n_atoms, n_atoms, 3, 3))
    for atom in range(n_atoms):
        known = of_site[int(site_map.sites[atom])]
        shift = site_map.lattice_vectors[known] - site_map.lattice_vectors[atom]
        partners = site_map.find(site_map.sites, site_map.lattice_vectors + shift)
        force_constants[atom] = rows[known][:, partners].transpose(1, 0, 2)
    phonon = Phonopy(
        to_phonopy(primitive), supercell_matrix=site_map.multiples.T, primitive_matrix=np.eye(3), log_level=0
    )
    phonon.force_constants = force_constants
    return phonon


def phonon_errors(found: Any, expected: Any) -> PhononErrors:
    """Compare two phonopy instances of the same cells on a mesh, without the non-analytical correction.

    :returns: ``kelvin``, ``mesh``, ``frequencies_mae_cm1`` (mean absolute error over all modes of the mesh),
        ``commensurate`` (for each wave vector of the supercell that symmetry makes different: ``qpoint``, ``base_cm1``
        and ``reference_cm1``), and under ``base`` and ``reference`` ``highest_cm1`` and the thermal properties at that
        temperature, of one mole of primitive cells.
    """
    sides: list[HarmonicProperties] = []
    frequencies, at_points = [], []
    qpoints = _distinct(found)
    for phonon in (found, expected):
        thermal = thermal_properties(phonon, MESH, [KELVIN])
        on_mesh = np.asarray(phonon.mesh.frequencies) * CM1_PER_THZ
        weights = np.asarray(phonon.mesh.weights, dtype=float)
        frequencies.append(on_mesh)
        phonon.run_qpoints(qpoints)
        at_points.append((np.asarray(phonon.qpoints.frequencies) * CM1_PER_THZ).tolist())
        free_energy, entropy, heat_capacity = (float(thermal[key][0]) for key in QUANTITIES)
        sides.append(
            {
                'highest_cm1': float(on_mesh.max()),
                'free_energy_kJ_mol': free_energy,
                'entropy_J_K_mol': entropy,
                'heat_capacity_J_K_mol': heat_capacity,
            }
        )
    apart = np.abs(frequencies[0] - frequencies[1]).mean(axis=1)
    mean = float(weights @ apart / weights.sum())
    commensurate: list[PointFrequencies] = [
        {'qpoint': qpoint.tolist(), 'base_cm1': base, 'reference_cm1': reference}
        for qpoint, base, reference in zip(qpoints, *at_points, strict=True)
    ]
    return {
        'kelvin': KELVIN,
        'mesh': list(MESH),
        'frequencies_mae_cm1': mean,
        'commensurate': commensurate,
        'base': sides[0],
        'reference': sides[1],
    }


def _distinct(phonon: Any) -> NDArray[np.float64]:
    """Return the wave vectors of the supercell, one of each star, shape (n, 3)."""
    rotations = symmetry_operations(from_phonopy(phonon.primitive), SYMPREC)[0]
    remaining = commensurate_qpoints(np.asarray(phonon.supercell_matrix).T)
    kept = []
    while len(remaining):
        images = star(remaining[0], rotations)
        kept.append(remaining[0])
        remaining = remaining[~same_points(remaining[:, None], images).any(axis=1)]
    return np.array(kept)
