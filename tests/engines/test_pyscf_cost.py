"""The cost of correlated energies: against runs of PySCF's own CCSD(T), and how it grows."""

from dataclasses import replace

import pytest

from aiida_mlcc.engines.pyscf_cost import energy_cost
from aiida_mlcc.runtime.pyscf.settings import PyscfCorrelation

ALL = ['HF', 'MP2', 'CCSD', 'CCSD(T)']
SETTINGS = PyscfCorrelation(basis='gth-szv')


def test_orbitals_are_counted_from_basis_and_pseudopotential():
    """Carbon has four electrons and four functions: half of the orbitals of the crystal are occupied."""
    cost = energy_cost(SETTINGS, ['C'] * 8, ALL)
    assert (cost.n_occupied, cost.n_virtual) == (16, 16)


@pytest.mark.parametrize(('n_virtual', 'seconds'), [(48, 10.95), (60, 21.04)])
def test_triples_take_what_they_took(n_virtual, seconds, monkeypatch):
    """CPU seconds of (T) for sixteen occupied orbitals of acetic acid (6-31G*, cc-pVDZ) on one core."""
    monkeypatch.setattr('aiida_mlcc.engines.pyscf_cost.n_functions', lambda symbols, basis: 16 + n_virtual)
    monkeypatch.setattr('aiida_mlcc.engines.pyscf_cost.valence', lambda symbols, pseudo: {'C': 32})
    cost = {names: energy_cost(SETTINGS, ['C'], list(names)) for names in (('CCSD',), ('CCSD(T)',))}
    triples = 3600 * (cost['CCSD(T)',].core_hours - cost['CCSD',].core_hours)
    assert triples == pytest.approx(seconds, rel=0.5)


def test_a_cell_twice_as_large_takes_a_hundred_times_as_long_and_sixteen_times_the_memory():
    small, large = (energy_cost(replace(SETTINGS, basis='gth-tzv2p'), ['C'] * n, ALL) for n in (32, 64))
    assert large.core_hours / small.core_hours == pytest.approx(2**7, rel=0.15)
    assert large.memory_gb / small.memory_gb == pytest.approx(2**4, rel=0.1)


def test_an_unknown_basis_has_no_known_cost():
    assert energy_cost(replace(SETTINGS, basis='cc-pvdz'), ['C'], ALL) is None
