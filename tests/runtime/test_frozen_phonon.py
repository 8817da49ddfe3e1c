"""The demo's crystal by its engine: stable at Γ, and energies and forces of one surface."""

import pytest

from tests.frozen_phonon import lda, wave_function

pytestmark = pytest.mark.nightly


def test_lda_energies_and_forces_give_the_same_frequency():
    by_energies, by_forces = lda()
    assert by_energies == pytest.approx(by_forces, rel=0.01)
    assert 200 < by_energies < 600


def test_correlation_softens_the_mode_of_hartree_fock(record_property):
    found = wave_function('HF', 'CCSD(T)')
    for method, frequency in found.items():
        record_property(method, frequency)
    assert found['HF'] > found['CCSD(T)'] > 200
