"""How large a point is, before its integrals are made."""

from __future__ import annotations

import pytest
from ase.build import bulk

from aiida_mlcc.engines.cc4s.engine import Cc4sWithPyscf
from aiida_mlcc.engines.cc4s.settings import PyscfCc4s

DIAMOND = bulk('C', 'diamond', a=3.567, cubic=True)
"""Eight atoms: 32 electrons, and 32 functions of a minimal basis."""


@pytest.mark.parametrize(('natural', 'n_virtual'), [(None, 16), (0.5, 8), (10, 16)])
def test_orbitals_of_pyscf_s_integrals_are_counted_without_pyscf(natural, n_virtual) -> None:
    settings = {**PyscfCc4s.defaults(), 'basis': 'gth-szv', 'natural_orbitals_per_occupied': natural}
    found = Cc4sWithPyscf(settings).dimensions(DIAMOND)
    assert found is not None
    assert (found.n_occupied, found.n_virtual, found.real) == (16, n_virtual, True)


@pytest.mark.parametrize(
    'crystal', [DIAMOND, bulk('LiF', 'rocksalt', a=3.93, cubic=True)], ids=lambda atoms: atoms.get_chemical_formula()
)
def test_the_number_of_auxiliary_functions_is_about_that_of_pyscf(crystal) -> None:
    """Within a factor of two: the diffuse functions are dropped in a crystal, by how many depends on its density."""
    addons = pytest.importorskip('pyscf.df.addons')
    from pyscf.pbc import gto

    settings = {**PyscfCc4s.defaults(), 'basis': 'gth-szv'}
    cell = gto.M(
        a=crystal.cell[:],
        atom=[(atom.symbol, atom.position) for atom in crystal],
        basis='gth-szv',
        pseudo='gth-hf-rev',
        verbose=0,
    )
    expected = addons.make_auxmol(cell, settings['auxbasis']).nao
    found = Cc4sWithPyscf(settings).dimensions(crystal)
    assert found is not None
    assert 0.5 < found.n_fields / expected < 2.0


def test_an_unknown_basis_has_no_forecast() -> None:
    assert Cc4sWithPyscf({**PyscfCc4s.defaults(), 'basis': 'cc-pvdz'}).dimensions(DIAMOND) is None
