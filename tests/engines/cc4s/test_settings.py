"""What Cc4s is asked for, and what counts for the source of a label."""

import pytest

from aiida_mlcc.engines.cc4s.settings import VaspCc4s, cc4s_parameters, integral_settings
from aiida_mlcc.engines.table import correlation_engine

PARTS = {'ccsd': {'max_iterations': 30}, 'triples': {}}
PYSCF = {
    'name': 'pyscf+cc4s',
    'basis': 'gth-dzvp',
    'pseudo': 'gth-hf-rev',
    'exp_to_discard': 0.05,
    'exxdiv': 'ewald',
    'conv_tol': 1e-9,
    'max_cycle': 50,
    'max_memory_mb': None,
    'natural_orbitals_per_occupied': 10,
    'basis_set_correction': True,
    'cc4s': PARTS,
}
VASP = {
    **VaspCc4s.defaults(),
    'incar': {'NCORE': 4, 'LREAL': False},
    'cc4s': {**PARTS, 'basis_set_correction': {}, 'finite_size_correction': {}},
}


@pytest.mark.parametrize(
    ('methods', 'parts'),
    [
        (['HF'], []),
        (['HF', 'MP2'], ['mp2']),
        (['MP2', 'CCSD'], ['ccsd']),
        (['CCSD(T)'], ['ccsd', 'triples']),
        (['HF', 'MP2', 'CCSD', 'CCSD(T)'], ['ccsd', 'triples']),
    ],
)
def test_cheapest_calculation_that_gives_the_methods_is_asked_for(methods, parts):
    assert list(cc4s_parameters(PARTS, methods)) == parts


def test_settings_of_a_part_are_those_of_the_engine():
    assert cc4s_parameters(PARTS, ['CCSD'])['ccsd'] == {'max_iterations': 30}


def test_corrections_come_with_the_amplitudes_and_not_with_mp2_alone():
    corrections = {'basis_set_correction', 'finite_size_correction'}
    assert corrections <= set(cc4s_parameters(VASP['cc4s'], ['CCSD']))
    assert not corrections & set(cc4s_parameters(VASP['cc4s'], ['MP2']))


def test_integrals_are_asked_for_without_what_is_for_cc4s():
    assert integral_settings(PYSCF)['name'] == 'pyscf'
    assert not {'cc4s', 'basis_set_correction'} & set(integral_settings(PYSCF))
    assert 'cc4s' not in integral_settings(VASP)


def source_of(engine):
    return correlation_engine(engine).source()


def changed(engine, **settings):
    return source_of({**engine, **settings})


@pytest.mark.parametrize(
    'settings',
    [
        {'max_memory_mb': 4000.0},
        {'max_cycle': 99},
        {'cc4s': {'ccsd': {'max_iterations': 99, 'integrals_slice_size': 25}, 'triples': {}}},
        {'cc4s': {'ccsd': {'mixer': {'max_residua': 2}, 'level_shift': 0.1}, 'triples': {'algorithm': 'reference'}}},
    ],
)
def test_how_an_energy_is_reached_does_not_count(settings):
    assert changed(PYSCF, **settings) == source_of(PYSCF)


@pytest.mark.parametrize(
    'settings',
    [
        {'basis': 'gth-szv'},
        {'exp_to_discard': None},
        {'natural_orbitals_per_occupied': None},
        {'basis_set_correction': False},
        {'cc4s': {'ccsd': {'energy_convergence': 1e-4}, 'triples': {}}},
    ],
)
def test_what_an_energy_depends_on_counts(settings):
    assert changed(PYSCF, **settings) != source_of(PYSCF)


def test_parts_that_are_not_named_count_as_their_defaults():
    assert changed(PYSCF, cc4s={}) == source_of(PYSCF)


def test_corrections_of_cc4s_count_but_parallel_tags_of_vasp_do_not():
    assert changed(VASP, incar={'NCORE': 8, 'LREAL': False}) == source_of(VASP)
    assert changed(VASP, incar={'LREAL': True}) != source_of(VASP)
    assert changed(VASP, cc4s=PARTS) != source_of(VASP)


OF_CC4S = ('cc4s', 'basis_set_correction', 'natural_orbitals_per_occupied')


def test_engines_are_never_the_same_source():
    alone = {name: value for name, value in PYSCF.items() if name not in OF_CC4S}
    alone['name'] = 'pyscf'
    assert source_of(alone)['engine'] == 'pyscf'
    assert source_of(PYSCF)['engine'] == 'pyscf+cc4s'
