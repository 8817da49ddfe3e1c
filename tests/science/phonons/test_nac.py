"""The non-analytical correction: supercells that allow it, and the modes that depend on it."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from phonopy import Phonopy

from aiida_mlcc.science.crystal.cells import from_phonopy, to_phonopy
from aiida_mlcc.science.force_field.dipole import DipoleModel, dipole_term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.phonons.branches import branches_of, dynamical_matrices
from aiida_mlcc.science.phonons.nac import moved_modes, refuse_supercell, without_correction
from tests.crystals import spring_term

LITHIUM_HYDRIDE = bulk('LiH', 'rocksalt', a=4.017)
CUBE = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])


@pytest.mark.parametrize(
    ('primitive', 'matrix'),
    [
        (LITHIUM_HYDRIDE, [3, 3, 3]),
        (LITHIUM_HYDRIDE, 2 * CUBE),
        (bulk('BN', 'zincblende', a=3.6), 3),
        (bulk('NaCl', 'rocksalt', a=5.64, cubic=True), 2),
        (bulk('ZnO', 'wurtzite', a=3.25, c=5.2), [3, 3, 2]),
    ],
)
def test_three_primitive_cells_or_eight_angstrom_are_enough(primitive, matrix) -> None:
    assert refuse_supercell(primitive, matrix) is None


@pytest.mark.parametrize(
    ('primitive', 'matrix'), [(LITHIUM_HYDRIDE, 2), (LITHIUM_HYDRIDE, CUBE), (LITHIUM_HYDRIDE, [4, 4, 2])]
)
def test_less_is_refused_with_what_to_give(primitive, matrix) -> None:
    reason = refuse_supercell(primitive, matrix)
    assert reason is not None
    assert '3×3×3 primitive cells' in reason


def test_of_a_rocksalt_crystal_the_correction_moves_lo_alone() -> None:
    phonon = Phonopy(to_phonopy(LITHIUM_HYDRIDE), 3 * np.eye(3, dtype=int), primitive_matrix=np.eye(3))
    term = spring_term(LITHIUM_HYDRIDE, 3.0)
    charges, cell = np.array([np.eye(3), -np.eye(3)]), from_phonopy(phonon.supercell)
    dipole = DipoleModel(dipole_term(LITHIUM_HYDRIDE, charges, 4.4 * np.eye(3), 0.7))
    parts = [model.bind(cell).force_constants() for model in (ForceConstantsModel(term), dipole)]
    phonon.force_constants = parts[0] + parts[1]
    phonon.nac_params = {'born': charges, 'dielectric': 4.4 * np.eye(3), 'factor': 14.4, 'method': 'gonze'}
    along = [[0, 0, 0], [0.1, 0, 0.1], [1 / 3, 0, 1 / 3]]
    corrected = dynamical_matrices(phonon, along, [0.5, 0, 0.5])
    assert without_correction(phonon)['born'] == pytest.approx(charges)
    uncorrected = dynamical_matrices(phonon, along)
    moved = moved_modes(branches_of([corrected]), corrected, uncorrected)
    lo_alone, none = [False] * 5 + [True], [False] * 6
    assert moved[[0, 2]].tolist() == [lo_alone, none], 'the supercell holds the last wave vector'
    assert moved[1, 5]
