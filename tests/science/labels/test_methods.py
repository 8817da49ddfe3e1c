import re

import numpy as np
import pytest
from aiida.common.links import validate_link_label

from aiida_mlcc.science.labels.methods import (
    METHODS,
    SLUGS,
    UnknownMethod,
    compose_energy,
    in_order,
    method_of,
    near_miss,
    refuse_name,
    slug_of,
)


def test_slugs_are_one_to_one_and_fit_link_labels():
    assert len(METHODS) == len(SLUGS)
    for method, slug in SLUGS.items():
        assert method_of(slug_of(method)) == method
        # What AiiDA asks of a link label.
        assert re.fullmatch(r'[a-zA-Z][a-zA-Z0-9]*(_[a-zA-Z0-9]+)*', slug)


@pytest.mark.parametrize(
    ('method', 'slug'),
    [
        ('PBEsol', 'pbesol'),
        ('r2SCAN', 'r2scan'),
        ('RPA', 'rpa'),
        ('PBE+U', 'pbe_u'),
        ('CCSD(T*)', 'ccsd_tstar'),
        ('PBEsol(E)', 'pbesol_e'),
        ('ML(CCSD(T))', 'ml_ccsd_t'),
    ],
)
def test_any_name_has_a_slug_that_fits_link_labels(method, slug):
    assert slug_of(method) == slug
    assert validate_link_label(slug) is None


@pytest.mark.parametrize('method', ['', '2nd', 'ωB97X', 'HF,MP2', 'x' * 61, 'ccsd(t)', 'Pbe'])
def test_a_name_without_a_slug_of_its_own_is_refused(method):
    with pytest.raises(UnknownMethod):
        slug_of(method)


@pytest.mark.parametrize('method', ['PBE(E)', 'ML(HF)', 'x' * 41])
def test_labels_cannot_be_given_under_the_name_of_a_force_field(method):
    assert refuse_name(method) is not None


def test_methods_come_by_kind_and_those_of_the_table_first():
    kinds = {'PBEsol': 'dft', 'LDA': 'costly'}
    found = in_order(['RPA', 'CCSD(T)', 'LDA', 'PBEsol', 'ML(HF)', 'PBE(E)', 'DMC', 'PBE'], kinds)
    assert found == ['PBE', 'PBEsol', 'PBE(E)', 'LDA', 'CCSD(T)', 'DMC', 'RPA', 'ML(HF)']


def test_an_unknown_slug_is_named_with_those_there_are():
    with pytest.raises(UnknownMethod, match=r"'CCSD\(T\)'.*ccsd_t"):
        method_of('CCSD(T)')


PARTS = {'hf': np.array([-10.0, -11.0]), 'mp2': np.array([-1.0, -2.0]), 'ccsd': np.array([-3.0, -4.0]), 'triples': -0.5}


@pytest.mark.parametrize(
    ('method', 'energies'), [('HF', [-10, -11]), ('MP2', [-11, -13]), ('CCSD', [-13, -15]), ('CCSD(T)', [-13.5, -15.5])]
)
def test_the_energy_of_a_method_is_the_sum_of_its_parts(method, energies):
    assert np.allclose(compose_energy(method, PARTS), energies)


def test_corrections_count_for_their_own_method_only():
    corrected = {**PARTS, 'mp2_basis_set': -0.1, 'ccsd_basis_set': -0.2, 'ccsd_finite_size': -0.03}
    assert np.allclose(compose_energy('MP2', corrected), [-11.1, -13.1])
    assert np.allclose(compose_energy('CCSD(T)', corrected), [-13.73, -15.73])
    assert np.allclose(compose_energy('HF', corrected), [-10, -11])


def test_a_missing_part_is_named():
    with pytest.raises(KeyError, match="CCSD\\(T\\) needs the contribution 'triples'"):
        compose_energy('CCSD(T)', {'hf': -1.0, 'ccsd': -0.1})
    with pytest.raises(UnknownMethod, match="'PBE' has no wave-function contributions"):
        compose_energy('PBE', PARTS)


@pytest.mark.parametrize(
    ('method', 'meant'),
    [('CSSD(T)', 'CCSD(T)'), ('CCSD(T', 'CCSD(T)'), ('CSSD', 'CCSD'), ('ccsd', None), ('CCSD(T)', None)],
)
def test_a_mistyped_name_is_near_one_of_the_table(method, meant):
    assert near_miss(method) == meant


@pytest.mark.parametrize(
    'method',
    ['PBEsol', 'r2SCAN', 'RPA', 'DMC', 'AFQMC', 'PBE0', 'RPBE', 'CCSDT', 'CCSD(T)-F12', 'QCISD(T)', 'MP3', 'B3LYP'],
)
def test_another_method_is_not_taken_for_a_mistyped_one(method):
    assert near_miss(method) is None
