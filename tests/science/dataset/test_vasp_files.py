"""VASP's files, made up: complete ones, those of killed jobs, and those of VASP 5."""

import numpy as np
import pytest
from ase import Atoms

from aiida_mlcc.science.dataset.vasp_files.contcar import parse_contcar, write_poscar
from aiida_mlcc.science.dataset.vasp_files.outcar import cost, parse_outcar
from aiida_mlcc.science.dataset.vasp_files.vasprun import parse_vasprun
from tests.vasp_outputs import outcar, poscar, vasprun

CELL = np.array([[4.0, 0, 0], [0.5, 5, 0], [0, 0.25, 6]])


@pytest.fixture
def atoms():
    return Atoms('LiF', positions=[[0.1, 0.2, 0.3], [2, 2, 2]], cell=CELL, pbc=True)


def run_of(atoms, **more):
    forces = [np.full((2, 3), number) for number in range(3)]
    return parse_vasprun(vasprun([atoms] * 3, [-1.0, -2.0, -3.0], forces, [4, 9, 5], nelm=9, **more).encode())


def test_every_step_is_read_with_its_energies_and_whether_it_converged(atoms):
    run = run_of(atoms)
    assert (run.symbols, run.nelm, run.version, run.complete) == (('Li', 'F'), 9, '6.4.2', True)
    assert [run.converged(step) for step in range(3)] == [True, False, True]
    assert run.steps[2].energies == pytest.approx({'free': -3.0, 'without_entropy': -2.8, 'sigma_to_zero': -2.9})
    np.testing.assert_allclose(run.steps[0].fractional @ run.steps[0].cell, atoms.positions, atol=1e-9)
    np.testing.assert_allclose(run.steps[2].forces, 2)


def test_a_killed_job_leaves_its_complete_steps(atoms):
    run = run_of(atoms, killed=True)
    assert len(run.steps) == 3
    assert not run.complete


def test_a_file_that_ends_in_its_head_is_refused(atoms):
    with pytest.raises(ValueError, match='before VASP began its first step'):
        parse_vasprun(vasprun([atoms], [0.0], [np.zeros((2, 3))], [1])[:300].encode())


def test_vasp_5_writes_the_extrapolated_energy_where_the_other_belongs(atoms):
    text = vasprun([atoms], [-1.0], [np.zeros((2, 3))], [1], version='5.4.4')
    # F = -1.0; what stands for e_wo_entrp (-0.8) is the extrapolated energy, for e_0_energy (-0.9) the entropy term.
    found = parse_vasprun(text.encode()).steps[0].energies
    assert found == pytest.approx({'free': -1.0, 'sigma_to_zero': -0.8, 'without_entropy': -0.1})


def test_numbers_that_fortran_could_not_write_are_no_label(atoms):
    text = vasprun([atoms], [-1.0], [np.zeros((2, 3))], [1]).replace('<v>0.000000000000 0.000000000000', '<v>**** 0.0')
    assert not parse_vasprun(text.encode()).converged(0)


def test_velocities_are_read_back_as_they_were_written(atoms):
    velocities = np.array([[0.01, -0.02, 0.03], [0, 0.001, 0]])
    text = write_poscar(['Li', 'F'], CELL, atoms.positions, velocities)
    fractional, found = parse_contcar(text, 2.0)
    np.testing.assert_allclose(found, velocities)
    np.testing.assert_allclose(fractional @ CELL, atoms.positions)


def test_velocities_behind_a_blank_line_a_lattice_block_or_per_time_step(atoms):
    velocities = np.array([[0.01, -0.02, 0.03], [0, 0.001, 0]])
    text = poscar(atoms, velocities)
    lattice = 'Lattice velocities and vectors\n  1\n' + '0.0 0.0 0.0\n' * 3 + '1.0 0.0 0.0\n' * 3
    per_step = poscar(atoms, 2.0 * velocities @ np.linalg.inv(CELL)).replace('Cartesian', 'Direct')
    for variant in (text.replace('Cartesian', ' '), text.replace('Cartesian', lattice + ' '), per_step):
        np.testing.assert_allclose(parse_contcar(variant, 2.0)[1], velocities, atol=1e-11)
    with_predictors = text + '\n  1\n 0.5\n 0.0 0.0 0.0 0.0\n'
    np.testing.assert_allclose(parse_contcar(with_predictors, 2.0)[1], velocities, atol=1e-11)


def test_a_contcar_without_velocities_or_cut_off(atoms):
    assert parse_contcar(poscar(atoms), 1.0)[1] is None
    with pytest.raises(ValueError, match='cut off'):
        parse_contcar(poscar(atoms)[:40], 1.0)


def test_outcar_gives_plane_waves_electrons_and_what_the_job_cost():
    found = parse_outcar(outcar([3], n_electrons=16.0, n_plane_waves=1234))
    assert (found['n_plane_waves'], found['n_electrons'], found['finished']) == (1234, 16.0, True)
    assert cost(found) == {'wall_seconds': 45.0, 'cores': 8, 'core_hours': pytest.approx(0.1), 'memory_mb': 200.0}
    assert not parse_outcar(outcar([3], killed=True))['finished']


def test_outcar_of_vasp_5_names_its_cores_otherwise():
    assert cost(parse_outcar(' running on   16 total cores\n Elapsed time (sec):  3600.0\n'))['core_hours'] == 16


@pytest.mark.parametrize(
    ('head', 'expected'),
    [
        (' vasp.6.3.0 20Jan22 (build Mar 22 2022 11:54:49) complex                        ', False),
        (' vasp.5.4.1 24Jun15 (build Jan 02 2020 16:21:29) gamma-only                     ', True),
        (' vasp.6.4.2 made up', None),
    ],
)
def test_head_of_outcar_says_which_program_wrote_it(head, expected):
    text = f'{head}\n  \n executed on           LinuxIFC date 2024.01.01  00:00:00\n'
    assert parse_outcar(text)['gamma_only'] is expected


def test_time_of_a_run_that_was_killed_is_that_of_its_steps():
    loops = '      LOOP:  cpu time    9.9: real time   10.0\n     LOOP+:  cpu time   11.9: real time   12.0\n'
    found = cost(parse_outcar(outcar([1], killed=True) + loops + loops.split('\n')[0]))
    assert found['wall_seconds'] == 22.0
    assert found['core_hours'] == pytest.approx(8 * 22.0 / 3600)
