"""INCAR tags against what the VASP wiki and the Cc4s user manual ask for."""

from dataclasses import replace

import numpy as np
import pytest

from aiida_mlcc.engines.vasp.incar import CHAIN, MESH, chain_step, langevin, next_segment, random_seed, single_point
from aiida_mlcc.engines.vasp.settings import VaspForces, VaspIntegrals, source_of
from aiida_mlcc.runtime.md.settings import MD

FORCES = {
    'name': 'vasp',
    'method': 'PBE',
    'algo': 'Normal',
    'kpoints': [1, 1, 1],
    'encut': 500.0,
    'ediff': 1e-6,
    'nelm': 60,
    'prec': 'Accurate',
    'ismear': 0,
    'sigma': 0.01,
    'energy': 'free',
    'potential_family': 'PBE.64',
    'potential_mapping': {'C': 'C'},
    'incar': {'NCORE': 4, 'LREAL': False},
}
INTEGRALS = {
    **{name: value for name, value in FORCES.items() if name not in ('method', 'algo', 'kpoints')},
    'gamma_only': True,
    'natural_orbitals_per_occupied': 10,
    'encutgw': 300.0,
    'hf_kpoints': [3, 3, 3],
    'hf_encut': 400.0,
}
SWEEP = MD(
    n_steps=2000,
    equilibration_steps=0,
    time_step_fs=1.0,
    friction_per_ps=10.0,
    temperature_start_K=0.0,
    temperature_end_K=500.0,
)


def forces(**changed):
    return VaspForces.of({**FORCES, **changed})


def integrals(**changed):
    return VaspIntegrals.of({**INTEGRALS, **changed})


def test_langevin_dynamics_at_constant_volume_has_one_friction_for_each_species():
    tags = langevin(forces(), SWEEP, next_segment(SWEEP, 0), ['Li', 'H'], seed=7)
    asked = {'IBRION': 0, 'MDALGO': 3, 'ISIF': 2, 'ISYM': 0, 'NSW': 2000, 'POTIM': 1.0, 'TEBEG': 0.0, 'TEEND': 500.0}
    assert {tag: tags[tag] for tag in asked} == asked
    assert tags['LANGEVIN_GAMMA'] == [10.0, 10.0]
    assert 'LANGEVIN_GAMMA_L' not in tags


def test_what_is_left_of_a_sweep_begins_at_the_temperature_where_it_was_stopped():
    segment = next_segment(SWEEP, 500)
    assert (segment.n_steps, segment.begin_K, segment.end_K) == (1500, 125.0, 500.0)


@pytest.mark.parametrize('most', [1, 7, 300, 5000])
def test_segments_cover_every_step_once_and_the_temperature_has_no_jump(most):
    parameters = replace(SWEEP, equilibration_steps=11, temperature_start_K=50.0, n_steps=600)
    done, before = 0, 50.0
    while done < 611:
        segment = next_segment(parameters, done, most)
        assert segment.begin_K == pytest.approx(before)
        if done < 11:
            assert segment.end_K == 50.0
            assert segment.first + segment.n_steps <= 11
        done, before = done + segment.n_steps, segment.end_K
    assert (done, before) == (611, pytest.approx(500.0))


def test_random_seed_is_reproducible_and_differs_between_segments_and_seeds():
    seeds = {tuple(random_seed(seed, first)) for seed in (1, 2) for first in (0, 100, 200)}
    assert len(seeds) == 6
    assert random_seed(1, 100) == random_seed(1, 100)
    assert all(0 <= first < 900_000_000 and rest == [0, 0] for first, *rest in seeds)


def test_single_points_name_the_functional_and_do_not_move():
    assert single_point(forces())['GGA'] == 'PE'
    assert single_point(forces(method='LDA'))['GGA'] == 'CA'
    assert (single_point(forces())['IBRION'], single_point(forces())['NSW']) == (-1, 0)


def test_hartree_fock_is_all_of_exchange_and_nothing_of_a_functional():
    tags = single_point(forces(method='HF', algo='All'))
    assert (tags['LHFCALC'], tags['AEXX'], tags['ALDAC'], tags['AGGAC']) == (True, 1.0, 0.0, 0.0)
    assert 'GGA' not in tags


MANUAL = {
    'dft': {},
    'hartree_fock': {'ALGO': 'All', 'LHFCALC': True, 'AEXX': 1.0},
    'virtuals': {'ALGO': 'Exact', 'LHFCALC': True, 'AEXX': 1.0, 'NBANDS': 999, 'NELM': 1},
    'pair_energies': {'ALGO': 'MP2', 'LHFCALC': True, 'AEXX': 1.0, 'NBANDS': 999, 'LSFACTOR': True},
    'natural_orbitals': {'ALGO': 'MP2NO', 'LHFCALC': True, 'AEXX': 1.0, 'NBANDS': 999, 'LAPPROX': True},
    'recanonicalise': {'ALGO': 'Sub', 'LHFCALC': True, 'AEXX': 1.0, 'NBANDS': 88, 'NBANDSHIGH': 88, 'NELM': 1},
    'dump': {'ALGO': 'CC4S', 'NBANDS': 88, 'NBANDSHIGH': 88, 'ENCUTGW': 300.0, 'ENCUTGWSOFT': 300.0},
}
"""The flags of the Cc4s user manual, section on VASP."""


@pytest.mark.parametrize('step', CHAIN)
def test_the_steps_towards_cc4s_carry_the_flags_of_the_manual(step):
    tags = chain_step(integrals(), step, 999, 88)
    expected = {'ENCUT': 500.0, 'ISMEAR': 0, 'ISYM': -1, **MANUAL[step]}
    assert {tag: tags.get(tag) for tag in expected} == expected
    assert (tags.get('ISTART') == 1) == (step != 'dft')
    assert ('NCORE' in tags) == (step not in ('pair_energies', 'natural_orbitals'))
    assert ('NBANDSHIGH' in tags) == (step in ('recanonicalise', 'dump'))


def test_the_hartree_fock_energy_has_its_own_cutoff():
    assert chain_step(integrals(), 'mesh_hartree_fock')['ENCUT'] == 400.0


def test_the_source_says_which_energy_was_read_and_forgets_how_the_work_was_spread():
    source = source_of(forces())
    assert (source['engine'], source['energy']) == ('vasp', 'free')
    assert source['incar'] == {'LREAL': False}
    assert source_of(forces(nelm=200, incar={'KPAR': 2, 'lreal': False})) == source_of(forces())
    assert source_of(forces(energy='sigma_to_zero')) != source_of(forces())
    assert np.all([name not in source for name in ('nelm', 'algo', 'method')])


SPREAD = integrals(incar={'NCORE': 4, 'KPAR': 3, 'dft': {'LREAL': False}, 'mesh_hartree_fock': {'KPAR': 9}})


def test_step_has_the_tags_of_all_steps_and_its_own():
    assert chain_step(SPREAD, 'dft')['LREAL'] is False
    assert 'LREAL' not in chain_step(SPREAD, 'hartree_fock')
    assert chain_step(SPREAD, 'mesh_dft')['KPAR'] == 3
    assert chain_step(SPREAD, 'mesh_hartree_fock')['KPAR'] == 9


@pytest.mark.parametrize('step', CHAIN)
def test_kpoints_are_never_spread_at_gamma_where_there_is_one(step):
    assert 'KPAR' not in chain_step(SPREAD, step, 999, 88)


def test_mesh_has_the_symmetry_of_time_reversal_and_gamma_has_none():
    assert {step: chain_step(integrals(), step)['ISYM'] for step in ('dft', *MESH)} == {
        'dft': -1,
        'mesh_dft': 0,
        'mesh_hartree_fock': 0,
    }


@pytest.mark.parametrize(
    ('n_occupied', 'n_all', 'algorithm'),
    [(16, 319, 'MP2'), (49, 900, 'MP2'), (50, 900, 'ACFDTRK'), (16, 320, 'ACFDTRK')],
)
def test_pair_energies_of_large_cells_take_the_laplace_transform(n_occupied, n_all, algorithm):
    """The manual takes ALGO=MP2 below 50 occupied orbitals and 20 orbitals for each of them."""
    tags = chain_step(integrals(), 'pair_energies', n_all, None, n_occupied)
    assert tags['ALGO'] == algorithm
    assert tags.get('LMP2LT', False) == (algorithm == 'ACFDTRK')
    assert (tags['LSFACTOR'], tags['NBANDS']) == (True, n_all)


def test_tags_of_a_step_that_does_not_exist_are_refused():
    given = {**VaspIntegrals.defaults(), 'potential_mapping': {'C': 'C'}}
    assert VaspIntegrals.refuse({**given, 'incar': SPREAD.incar}) is None
    reason = VaspIntegrals.refuse({**given, 'incar': {'mp2': {'KPAR': 2}}})
    assert 'there is no step `mp2`; choose from dft, hartree_fock' in reason
    assert 'ENCUT is set by' in VaspIntegrals.refuse({**given, 'incar': {'dft': {'ENCUT': 300}}})


def test_source_counts_the_tags_of_steps_but_not_how_they_spread_the_work():
    assert source_of(SPREAD)['incar'] == {'dft': {'LREAL': False}}


def test_defaults_are_those_of_the_manual():
    """Cc4s user manual, VASP: SIGMA = 0.001, EDIFF = 1E-7; its example has ENCUTGW = 300 with ENCUT = 400."""
    found = VaspIntegrals.defaults()
    assert {name: found[name] for name in ('sigma', 'ediff', 'encutgw', 'encut', 'gamma_only')} == {
        'sigma': 0.001,
        'ediff': 1e-7,
        'encutgw': 300.0,
        'encut': 400.0,
        'gamma_only': True,
    }
