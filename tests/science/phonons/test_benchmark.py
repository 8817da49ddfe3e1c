"""Phonons of springs against those of stiffer springs, whose frequencies are known."""

import numpy as np
import pytest

from aiida_mlcc.science.phonons.benchmark import phonon_errors
from tests.crystals import optical_frequency_cm1, rocksalt, springs
from tests.science.phonons.test_branches import phonon_of

FACTOR = 1.21
"""Of the springs; frequencies go with its root."""


@pytest.fixture(scope='module')
def errors():
    primitive = rocksalt()
    found, expected = (phonon_of(springs(primitive, stiffness).terms[0]) for stiffness in (3.0, 3.0 * FACTOR))
    return phonon_errors(found, expected)


def test_wave_vectors_of_the_supercell_come_once_each(errors):
    """Eight primitive cells hold Γ, four L and three X."""
    assert [sorted(point['qpoint']) for point in errors['commensurate']] == [[0, 0, 0], [0, 0, 0.5], [0, 0.5, 0.5]]


def test_frequencies_at_the_wave_vectors_of_the_supercell_are_those_of_the_springs(errors):
    gamma = errors['commensurate'][0]
    optical = optical_frequency_cm1(rocksalt(), 3.0)
    assert gamma['base_cm1'][3:] == pytest.approx([optical] * 3, rel=1e-4)
    for point in errors['commensurate'][1:]:
        assert np.array(point['reference_cm1']) == pytest.approx(FACTOR**0.5 * np.array(point['base_cm1']), rel=1e-6)
