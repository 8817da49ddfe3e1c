"""The table of elements is PySCF's own."""

import pytest
from ase import Atoms
from ase.build import bulk, make_supercell

from aiida_mlcc.engines.pyscf_elements import n_functions, refuse_auxiliary, refuse_elements, valence
from aiida_mlcc.engines.table import correlation_kind, force_engine, force_kind
from aiida_mlcc.runtime.pyscf.settings import PyscfForces


@pytest.mark.parametrize('symbol', ['H', 'Li', 'F', 'Si', 'Ti', 'Zn', 'Sn'])
@pytest.mark.parametrize('basis', ['gth-szv', 'gth-dzvp', 'gth-dzvp-molopt-sr'])
def test_a_basis_is_there_if_pyscf_has_it_and_as_large(basis, symbol):
    from pyscf.pbc import gto
    from pyscf.pbc.gto.basis import load

    try:
        load(basis, symbol)
    except Exception:
        assert f'no basis for {symbol}' in refuse_elements([symbol], basis, 'gth-pade')
        return
    assert refuse_elements([symbol], basis, 'gth-pade') is None
    cell = gto.M(a=4.0 * __import__('numpy').eye(3), atom=f'{symbol} 0 0 0', basis=basis, pseudo='gth-pade', spin=None)
    assert n_functions([symbol], basis) == cell.nao
    assert valence([symbol], 'gth-pade')[symbol] == cell.nelectron


def test_a_set_that_is_not_in_the_table_is_left_to_pyscf():
    assert refuse_elements(['Ti'], 'cc-pvdz', 'gth-pade') is None
    assert refuse_elements(['Ti'], 'gth-dzvp-molopt-sr', 'my own') is None


@pytest.mark.parametrize('symbol', ['H', 'F', 'Zn', 'Sn'])
@pytest.mark.parametrize('auxbasis', ['def2-universal-jkfit', 'cc-pvdz-jkfit', 'weigend-jkfit', 'def2-svp-ri'])
def test_an_auxiliary_basis_is_there_if_pyscf_has_it(auxbasis, symbol):
    from pyscf.gto.basis import load

    try:
        there = bool(load(auxbasis, symbol))
    except Exception:
        there = False
    assert (refuse_auxiliary([symbol], auxbasis) is None) == there


def test_a_misspelt_auxiliary_basis_is_refused_with_the_nearest():
    reason = refuse_auxiliary(['Li'], 'def2-univrsal-jkfit')
    assert "no auxiliary basis 'def2-univrsal-jkfit'" in reason
    assert 'def2-universal-jkfit' in reason
    assert 'def2-universal-jkfit' in refuse_auxiliary(['Li'], 'nonsense')
    assert refuse_auxiliary(['Li'], None) is None


def test_names_are_compared_as_pyscf_compares_them():
    assert 'no basis for Ti' in refuse_elements(['Ti'], 'GTH_SZV', 'gth-pade')


def test_the_refusal_names_what_has_the_element():
    assert 'gth-dzvp-molopt-sr' in refuse_elements(Atoms('TiO2').symbols, 'gth-dzvp', 'gth-pade')


@pytest.mark.parametrize('method', ['LDA', 'HF'])
def test_dynamics_without_a_basis_is_refused(method):
    settings = {**PyscfForces.defaults(), 'basis': 'gth-dzvp', 'method': method}
    reason = force_engine(settings).refuse_crystal(bulk('TiC', 'rocksalt', a=4.3))
    assert 'gth-dzvp has no basis for Ti' in reason


def test_both_kinds_of_engine_say_what_electrons_they_have():
    assert force_kind('pyscf').valence({}, 'LDA', ['Zn']) == {'Zn': 12}
    assert correlation_kind('pyscf').valence({}, 'HF', ['Zn']) == {'Zn': 20}


def test_a_cell_that_is_not_orthogonal_is_slow_with_density_functionals_alone():
    hexagonal = bulk('AlN', 'wurtzite', a=3.11, c=4.98)
    orthogonal = make_supercell(hexagonal, [[1, 0, 0], [1, 2, 0], [0, 0, 1]])
    lda, hf = (force_engine({**PyscfForces.defaults(), 'method': method}) for method in ('LDA', 'HF'))
    assert 'an orthogonal supercell may be faster' in lda.warn_of(hexagonal)
    assert lda.warn_of(orthogonal) is None
    orthogonal.rotate(33, (1, 2, 3), rotate_cell=True)
    assert lda.warn_of(orthogonal) is None
    assert hf.warn_of(hexagonal) is None
