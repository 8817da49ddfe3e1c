"""Frequencies from few energies against the springs that the energies were made of."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import supercell, to_phonopy
from aiida_mlcc.science.fit.learning_curve import frequency_estimate
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.snapshots import Label, SnapshotsError
from aiida_mlcc.science.phonons.dispersion import frequencies
from tests.crystals import heated, snapshots_of, spring_label, spring_term

DIAMOND = bulk('C', 'diamond', a=3.56)
CELL = supercell(DIAMOND, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
BASE, OTHER = spring_term(DIAMOND, 2.0, 40.0, 5.0), spring_term(DIAMOND, 2.0, 42.0, 6.0)
QPOINTS = {'GAMMA': (0.0, 0.0, 0.0), 'X': (0.5, 0.0, 0.5)}


def snapshots(n_frames, noise):
    """Motion that heats up, LDA with forces of springs, HF with energies of others and noise (eV per cell)."""
    moved = heated(CELL, n_frames)
    energies = spring_label(OTHER, CELL, moved).energies + noise * np.random.default_rng(1).normal(size=n_frames)
    return snapshots_of(CELL, moved, {'LDA': spring_label(BASE, CELL, moved), 'HF': Label(energies)})


def expected(label):
    from phonopy import Phonopy

    phonon = Phonopy(to_phonopy(DIAMOND), 4 * np.eye(3), primitive_matrix='P')
    phonon.force_constants = ForceConstantsModel(OTHER).bind(supercell(DIAMOND, 4)).force_constants()
    phonon.masses = DIAMOND.get_masses()
    return frequencies(phonon, [QPOINTS[label]])[0]


@pytest.mark.parametrize('label', QPOINTS)
def test_frequencies_are_those_of_the_springs_at_the_wave_vectors_the_cell_holds(label):
    found = frequency_estimate(snapshots(30, noise=0.0), DIAMOND, 'LDA', 'HF', QPOINTS)
    assert found['n_labels'] == 30
    np.testing.assert_allclose(found['frequencies_cm1'][label], expected(label), atol=0.3)


def test_more_labels_make_the_frequencies_more_certain():
    frames = snapshots(120, noise=0.004)
    few, many = (
        frequency_estimate(frames.select(chosen), DIAMOND, 'LDA', 'HF', QPOINTS)['sd_cm1']['X']
        for chosen in (np.arange(0, 120, 8), np.arange(120))
    )
    # Eight times the labels: errors of a third, give or take.
    assert np.mean(many) < 0.6 * np.mean(few)


def test_a_method_without_labels_is_refused():
    with pytest.raises(SnapshotsError, match='no MP2 labels'):
        frequency_estimate(snapshots(12, 0.0), DIAMOND, 'LDA', 'MP2', QPOINTS)
