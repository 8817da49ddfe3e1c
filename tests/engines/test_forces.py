"""Engines of energies and forces: what their labels say suffices to label another structure alike."""

from types import SimpleNamespace
from typing import Any

import pytest

from aiida_mlcc.engines.table import force_engine, force_kind_of, refuse_force_engine
from aiida_mlcc.engines.vasp import settings as vasp

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


def like_labels(method: str, source: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    return force_kind_of(source, method).like(method, source, engine)


def test_settings_come_back_from_what_the_labels_of_vasp_say() -> None:
    source = {**vasp.source_of(vasp.VaspForces.of(VASP)), 'version': 'VASP 6.4.2'}
    like = like_labels('PBE', source, {'name': 'vasp+cc4s'})
    assert {**like, 'algo': 'All', 'nelm': 99} == VASP, 'how hard the electrons are tried does not count'
    assert force_engine(like).refuse_other_settings(VASP, like) is None


def test_other_settings_are_named() -> None:
    like = like_labels('PBE', vasp.source_of(vasp.VaspForces.of(VASP)), {})
    reason = force_engine(like).refuse_other_settings({**VASP, 'encut': 400.0}, like)
    assert reason is not None
    assert 'base_engine.encut' in reason
    assert '400' in reason
    assert '520' in reason


@pytest.mark.parametrize('incar', [{'LASPH': True, 'NCORE': 4}, {'lasph': True, 'kpar': 2}])
def test_how_the_work_is_spread_does_not_count(incar: dict[str, Any]) -> None:
    # NCORE and KPAR place bands and k points on ranks; VASP reads tags in capitals or not.
    like = like_labels('PBE', vasp.source_of(vasp.VaspForces.of({**VASP, 'incar': {'LASPH': True, 'NPAR': 8}})), {})
    assert force_engine(like).refuse_other_settings({**VASP, 'incar': incar}, like) is None


@pytest.mark.parametrize('incar', [{}, {'LASPH': False, 'NCORE': 4}, {'LASPH': True, 'LREAL': False}])
def test_tags_that_change_the_energy_count(incar: dict[str, Any]) -> None:
    like = like_labels('PBE', vasp.source_of(vasp.VaspForces.of(VASP)), {})
    assert 'base_engine.incar' in (force_engine(like).refuse_other_settings({**VASP, 'incar': incar}, like) or '')


@pytest.mark.parametrize('tag', [1, None, ('LASPH',)])
def test_tag_that_is_no_name_is_refused_in_a_sentence(tag: Any) -> None:
    pytest.importorskip('parsevasp')
    engine: Any = SimpleNamespace(get_dict=lambda: {**VASP, 'incar': {tag: 2}})
    reason = refuse_force_engine(engine, None)
    assert reason == f'VASP engine: {tag!r} in `incar` is not the name of an INCAR tag'


def test_labels_that_do_not_say_how_they_were_made_are_refused() -> None:
    source = {name: value for name, value in vasp.source_of(vasp.VaspForces.of(VASP)).items() if name != 'encut'}
    with pytest.raises(ValueError, match='do not say with which `encut`'):
        like_labels('PBE', source, {})


def test_engine_of_integrals_says_nothing_of_the_density_functional() -> None:
    source = {
        'engine': 'pyscf',
        'basis': 'gth-szv',
        'pseudo': 'gth-pade',
        'exp_to_discard': 0.05,
        'conv_tol_hartree': 1e-9,
        'ke_cutoff_hartree': None,
        'kpoints': 'Γ',
    }
    like = like_labels('LDA', source, {'name': 'vasp+cc4s', 'encut': 400.0})
    assert like['name'] == 'pyscf'
    assert force_engine(like).source() == {**source, 'method': 'LDA', 'exxdiv': 'ewald'}
