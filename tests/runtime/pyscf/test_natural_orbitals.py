"""Natural orbitals of MP2 held to PySCF's own density, and to what their full and truncated spaces must give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyscf.pbc import mp

from aiida_mlcc.runtime.pyscf.correlated_energies import mp2_energy
from aiida_mlcc.runtime.pyscf.engine import hartree_fock
from aiida_mlcc.runtime.pyscf.fitted_factors import fitted_factors
from aiida_mlcc.runtime.pyscf.natural_orbitals import SecondOrder, natural_orbitals, second_order
from aiida_mlcc.runtime.pyscf.settings import PyscfSettings
from tests.runtime.jobs import ENGINE, lithium_hydride


class Correlated:
    """LiH in two atoms with a basis that has virtual orbitals to leave out."""

    def __init__(self) -> None:
        self.mean_field = hartree_fock(lithium_hydride(0.1), PyscfSettings.of({**ENGINE, 'basis': 'gth-dzvp'}))
        occupied = self.mean_field.mo_occ > 0
        self.low, self.high = self.mean_field.mo_energy[occupied], self.mean_field.mo_energy[~occupied]
        orbitals = self.mean_field.mo_coeff
        self.factors = fitted_factors(self.mean_field, orbitals[:, occupied], orbitals[:, ~occupied])
        self.full = second_order(self.factors, self.low, self.high)

    def truncated(self, n_kept: int) -> SecondOrder:
        natural = natural_orbitals(self.full.density, self.high, n_kept)
        return second_order(self.factors @ natural.rotation, self.low, natural.energies)


@pytest.fixture(scope='module')
def correlated() -> Correlated:
    return Correlated()


@pytest.fixture(scope='module')
def density_of_pyscf(correlated: Correlated) -> Any:
    solver = mp.RMP2(correlated.mean_field)
    solver.verbose = 0
    solver.kernel()
    assert solver.e_corr == pytest.approx(correlated.full.energy, abs=1e-7)
    return solver.make_rdm1()


def test_energy_is_that_of_the_engine(correlated: Correlated) -> None:
    assert correlated.full.energy == pytest.approx(mp2_energy(correlated.mean_field), abs=1e-12)


def test_density_is_that_of_pyscf(correlated: Correlated, density_of_pyscf: Any) -> None:
    n_occupied = len(correlated.low)
    assert np.allclose(correlated.full.density, density_of_pyscf[n_occupied:, n_occupied:], rtol=0, atol=1e-6)


def test_occupation_numbers_add_up_to_what_the_occupied_orbitals_lose(
    correlated: Correlated, density_of_pyscf: Any
) -> None:
    n_occupied = len(correlated.low)
    lost = 2 * n_occupied - np.trace(density_of_pyscf[:n_occupied, :n_occupied])
    occupations = natural_orbitals(correlated.full.density, correlated.high, 1).occupations
    assert occupations.sum() == pytest.approx(lost, abs=1e-6)
    assert (occupations > 0).all()
    assert (np.diff(occupations) <= 0).all()


def test_all_natural_orbitals_together_change_nothing(correlated: Correlated) -> None:
    n_virtual = len(correlated.high)
    natural = natural_orbitals(correlated.full.density, correlated.high, n_virtual)
    assert np.allclose(natural.energies, correlated.high, rtol=0, atol=1e-12)
    assert correlated.truncated(n_virtual).energy == pytest.approx(correlated.full.energy, abs=1e-12)


def test_more_orbitals_give_more_energy_and_never_all_of_it(correlated: Correlated) -> None:
    energies = [correlated.truncated(n_kept).energy for n_kept in range(1, len(correlated.high) + 1)]
    assert (np.diff(energies) < 0).all()
    assert energies[0] < 0


def test_natural_orbitals_are_better_than_the_lowest_canonical_ones(correlated: Correlated) -> None:
    n_kept = len(correlated.high) // 2
    lowest = second_order(correlated.factors[:, :, :n_kept], correlated.low, correlated.high[:n_kept])
    assert correlated.truncated(n_kept).energy < lowest.energy


def test_fock_matrix_is_diagonal_among_those_that_are_kept(correlated: Correlated) -> None:
    natural = natural_orbitals(correlated.full.density, correlated.high, 3)
    fock = natural.rotation.T @ np.diag(correlated.high) @ natural.rotation
    assert np.allclose(fock, np.diag(natural.energies), rtol=0, atol=1e-12)
    assert np.allclose(natural.rotation.T @ natural.rotation, np.eye(3))


def test_factors_give_the_integrals_of_pyscf(correlated: Correlated) -> None:
    orbitals = correlated.mean_field.mo_coeff
    factors = fitted_factors(correlated.mean_field, orbitals, orbitals, max_bytes=1e4)
    ours = np.einsum('Fpq,Frs->pqrs', factors, factors)
    theirs = correlated.mean_field.with_df.ao2mo(orbitals, compact=False).reshape(ours.shape)
    assert np.allclose(ours, theirs, rtol=0, atol=1e-10)
