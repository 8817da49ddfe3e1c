"""Grüneisen parameters of springs that weaken with the volume by a known power."""

import numpy as np
import pytest
from phonopy import PhonopyGruneisen

from aiida_mlcc.science.phonons.branches import dynamical_matrices, path_matrices
from aiida_mlcc.science.phonons.dispersion import band_path
from aiida_mlcc.science.phonons.gruneisen import mode_gruneisen, strained
from tests.crystals import rocksalt, spring_term
from tests.science.phonons.test_branches import phonon_of

GAMMA, STRAIN = 1.7, 0.005


def at_volumes(power):
    """Springs k·(V/V0)^(−2γ): every mode has the Grüneisen parameter γ."""
    phonons = []
    for strain in (0.0, STRAIN, -STRAIN):
        crystal = strained(rocksalt(), strain)
        weaker = (1 + strain) ** (-6 * power)
        phonons.append(phonon_of(spring_term(crystal, 2.5 * (1 + strain), 8 * weaker, weaker, weaken=0.0)))
    return phonons


def test_every_mode_has_the_parameter_of_the_springs():
    path = band_path(rocksalt(), points=5)
    found = mode_gruneisen(*(path_matrices(phonon, path) for phonon in at_volumes(GAMMA)), STRAIN)
    assert np.isnan(found[0, :3]).all(), 'acoustic modes at Γ'
    # What is left is the third order of the central difference.
    assert np.allclose(found[~np.isnan(found)], GAMMA, rtol=2e-3)


@pytest.mark.parametrize('noise', [0.0, 3e-4, 1e-2])
def test_rounding_that_splits_degenerate_modes_does_not_mix_their_parameters(noise):
    """Two modes of ω² = 400 THz² with γ = 1 and 3; what splits them (THz²) turns them by 45°, at most 0.02 cm⁻¹."""
    change = (1 + STRAIN) ** 3 - (1 - STRAIN) ** 3
    at_rest = 400.0 * np.eye(2) + noise * np.array([[0, 1], [1, 0]])
    slopes = np.diag([1.0, 3.0]) * 400.0 * change
    found = mode_gruneisen(
        *(matrix[None].astype(complex) for matrix in (at_rest, at_rest - slopes, at_rest + slopes)), STRAIN
    )
    assert np.allclose(np.sort(found[0]), [1, 3], rtol=1e-3)


def test_they_are_phonopys_own():
    volumes = at_volumes(0.6)
    qpoints = np.array([[0.1, 0.2, 0.3], [0.5, 0.5, 0.0], [0.5, 0.5, 0.5]])
    found = mode_gruneisen(*(dynamical_matrices(phonon, qpoints) for phonon in volumes), STRAIN)
    theirs = PhonopyGruneisen(*volumes)
    theirs.set_band_structure([qpoints])
    expected = theirs.get_band_structure()[4][0]
    assert np.allclose(np.sort(found), np.sort(expected), rtol=1e-4)


def test_strained_cell_keeps_the_fractions():
    cell = strained(rocksalt(), 0.01)
    assert np.allclose(cell.get_scaled_positions(), rocksalt().get_scaled_positions())
    assert np.isclose(cell.get_volume(), rocksalt().get_volume() * 1.01**3)
