"""Engines of energies and forces: what their labels say suffices to label another structure alike."""

import pytest

from aiida_mlcc.engines import forces, vasp

VASP = {
    'name': 'vasp',
    'method': 'PBE',
    'algo': 'All',
    'kpoints': [2, 2, 1],
    'encut': 520.0,
    'ediff': 1e-7,
    'nelm': 99,
    'prec': 'Accurate',
    'ismear': 0,
    'sigma': 0.02,
    'energy': 'free',
    'potential_family': 'PBE.64',
    'potential_mapping': {'C': 'C'},
    'incar': {'LASPH': True},
}


def test_settings_come_back_from_what_the_labels_of_vasp_say() -> None:
    source = vasp.source_of(VASP, '6.4.2')
    like = forces.force_engine_like('PBE', source, {'name': 'vasp+cc4s'})
    assert {**like, 'algo': 'All', 'nelm': 99} == VASP, 'how hard the electrons are tried does not count'
    assert forces.refuse_other_settings(VASP, like) is None


def test_other_settings_are_named() -> None:
    like = forces.force_engine_like('PBE', vasp.source_of(VASP), {})
    reason = forces.refuse_other_settings({**VASP, 'encut': 400.0}, like)
    assert reason is not None
    assert 'base_engine.encut' in reason
    assert '400' in reason
    assert '520' in reason


def test_labels_that_do_not_say_how_they_were_made_are_refused() -> None:
    source = {name: value for name, value in vasp.source_of(VASP).items() if name != 'encut'}
    with pytest.raises(ValueError, match='do not say with which `encut`'):
        forces.force_engine_like('PBE', source, {})


def test_engine_of_integrals_says_nothing_of_the_density_functional() -> None:
    source = {
        'engine': 'pyscf',
        'basis': 'gth-szv',
        'pseudo': 'gth-pade',
        'exp_to_discard': 0.05,
        'conv_tol_hartree': 1e-9,
        'ke_cutoff_hartree': None,
    }
    like = forces.force_engine_like('LDA', source, {'name': 'vasp+cc4s', 'encut': 400.0})
    assert like['name'] == 'pyscf'
    assert forces.source_of(like) == {**source, 'method': 'LDA', 'exxdiv': 'ewald'}
