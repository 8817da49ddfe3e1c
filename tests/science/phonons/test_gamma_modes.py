"""Modes at Γ against the representations that textbooks list, and against crystals whose modes change places."""

from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from aiida_mlcc.science.crystal.cells import primitive_cell
from aiida_mlcc.science.phonons.dispersion import frequencies
from aiida_mlcc.science.phonons.gamma_modes import gamma_frequencies, gamma_sets
from tests.crystals import spring_term
from tests.science.phonons.test_branches import phonon_of


def wurtzite() -> Atoms:
    return bulk('ZnS', 'wurtzite', a=3.82, c=6.26, u=0.381)


def anatase() -> Atoms:
    return crystal(['Ti', 'O'], [(0, 0, 0), (0, 0, 0.208)], spacegroup=141, cellpar=[3.78, 3.78, 9.51, 90, 90, 90])


def corundum() -> Atoms:
    places = [(0, 0, 0.352), (0.306, 0, 0.25)]
    return crystal(['Al', 'O'], places, spacegroup=167, cellpar=[4.76, 4.76, 12.99, 90, 90, 120])


def scheelite_like() -> Atoms:
    """A crystal of point group 4/m, whose E representations are pairs of complex conjugates."""
    places = [(0, 0, 0.5), (0, 0, 0), (0.24, 0.11, 0.08)]
    return crystal(['Ca', 'W', 'O'], places, spacegroup=88, cellpar=[5.24, 5.24, 11.38, 90, 90, 90])


TEXTBOOK = {
    # Optical modes, and the acoustic ones, which transform as a vector.
    'wurtzite': (wurtzite, {'A1': 2, 'B1': 2, 'E1': 2, 'E2': 2}, ['A1', 'E1']),
    'anatase': (anatase, {'A1g': 1, 'A2u': 2, 'B1g': 2, 'B2u': 1, 'Eg': 3, 'Eu': 3}, ['A2u', 'Eu']),
    'corundum': (corundum, {'A1g': 2, 'A1u': 2, 'A2g': 3, 'A2u': 3, 'Eg': 5, 'Eu': 5}, ['A2u', 'Eu']),
    # Scheelite: 3Ag + 5Bg + 5Eg + 5Au + 3Bu + 5Eu (Porto and Scott, Phys. Rev. 157, 716).
    'scheelite': (scheelite_like, {'Ag': 3, 'Bg': 5, 'Eg': 5, 'Au': 5, 'Bu': 3, 'Eu': 5}, ['Au', 'Eu']),
}


@pytest.mark.parametrize('name', TEXTBOOK)
def test_every_mode_has_the_representation_of_the_textbook_however_close_the_modes_are(name):
    make, expected, acoustic = TEXTBOOK[name]
    phonon = phonon_of(spring_term(primitive_cell(make()), 3.0), 1)
    found = gamma_sets(phonon)
    assert Counter(entry.label for entry in found) == expected
    still = sorted(entry.label for entry in found if abs(entry.frequency_cm1) < 0.5)
    assert still == acoustic
    values = np.concatenate([[entry.frequency_cm1] * entry.vectors.shape[1] for entry in found])
    assert np.allclose(values, frequencies(phonon, [0, 0, 0])[0], atol=0.05)


def test_members_keep_their_representation_where_their_modes_change_places():
    cell = primitive_cell(anatase())
    members = [phonon_of(spring_term(cell, 3.0, 8, across), 1) for across in (1, 3, -0.3)]
    own = [gamma_sets(member) for member in members]
    orders = [tuple(entry.label for entry in sets if entry.frequency_cm1 > 1) for sets in own]
    assert len(set(orders)) > 1, 'the modes change places'
    mean = phonon_of(spring_term(cell, 3.0, 8, 1.2), 1)
    sets = gamma_sets(mean)
    for member, theirs in zip(members, own, strict=True):
        found = gamma_frequencies(sets, member)
        for label in {entry.label for entry in sets}:
            expected = sorted(entry.frequency_cm1 for entry in theirs if entry.label == label)
            assert np.allclose(sorted(found[[entry.label == label for entry in sets]]), expected, atol=1e-3)


def test_a_cell_that_is_not_primitive_has_its_modes_without_labels():
    cube = bulk('C', 'diamond', a=3.56, cubic=True)
    phonon = phonon_of(spring_term(cube, 2.0), 1)
    found = gamma_sets(phonon)
    assert {entry.label for entry in found} == {None}
    assert sum(entry.vectors.shape[1] for entry in found) == 24
    assert np.allclose(gamma_frequencies(found, phonon), [entry.frequency_cm1 for entry in found], atol=1e-3)
