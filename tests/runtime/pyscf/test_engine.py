"""PySCF's energies and forces: the forces are the slopes of the energies, and what cannot be computed says why."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

from aiida_mlcc.engines.table import correlation_engine, force_engine
from aiida_mlcc.runtime.calculators import build_calculator, energy_and_forces
from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.pyscf.calculator import PyscfCalculator
from aiida_mlcc.runtime.pyscf.density_extrapolation import DensityExtrapolation
from aiida_mlcc.runtime.pyscf.engine import (
    build_cell,
    check_ground_state,
    density_functional,
    hartree_fock,
)
from aiida_mlcc.runtime.pyscf.pseudopotential_forces import short_ranged_local_gradient, trusted_integrals
from aiida_mlcc.runtime.pyscf.settings import PyscfCorrelation, PyscfForces, PyscfSettings
from aiida_mlcc.runtime.task import JobError
from aiida_mlcc.runtime.tasks.evaluate import evaluated
from aiida_mlcc.science.labels.merging import made_with
from tests.runtime.jobs import ENGINE, lithium_hydride

SETTINGS = PyscfForces.of({**ENGINE, 'method': 'LDA', 'ke_cutoff': 100.0})


def slope(energy_of: Any, atoms: Atoms, atom: int, axis: int, step: float = 0.01) -> float:
    """−dE/dx by a difference of fourth order."""
    energies = []
    for shift in (-2, -1, 1, 2):
        moved = atoms.copy()
        moved.positions[atom, axis] += shift * step
        energies.append(energy_of(moved))
    return -float(np.dot([1, -8, 8, -1], energies)) / (12 * step)


@pytest.mark.parametrize('method', [pytest.param('LDA', marks=pytest.mark.nightly), 'PBE'])
def test_dft_forces_are_the_slope_of_the_energy(method: str) -> None:
    atoms = lithium_hydride(0.05)
    calculator = PyscfCalculator(PyscfForces.of({**ENGINE, 'method': method, 'ke_cutoff': 200.0}), follow=True)
    forces = energy_and_forces(calculator, atoms)[1]
    assert forces is not None
    expected = slope(lambda a: energy_and_forces(calculator, a, with_forces=False)[0], atoms, atom=0, axis=1)
    assert forces[0, 1] == pytest.approx(expected, abs=2e-5)
    assert np.abs(forces.sum(axis=0)).max() < 1e-12


def test_an_orthogonal_cell_that_lies_askew_has_the_energy_and_the_turned_forces() -> None:
    upright = lithium_hydride(0.05)
    askew = upright.copy()
    askew.rotate(33, (1, 2, 3), rotate_cell=True)
    (energy, forces), (same, turned) = (energy_and_forces(PyscfCalculator(SETTINGS), a) for a in (upright, askew))
    assert forces is not None
    assert turned is not None
    assert same == pytest.approx(energy, abs=1e-6)
    rotation = np.linalg.solve(upright.cell.array, askew.cell.array)
    assert np.allclose(turned, forces @ rotation, atol=1e-5)
    assert np.abs(forces).max() > 0.1


@pytest.mark.nightly
def test_finer_meshes_make_energies_smooth() -> None:
    """Where fluorine lies between the points of the mesh changes the energy by a tenth of what it does without."""
    crystal = bulk('LiF', 'rocksalt', a=3.93)

    def change(**meshes: float) -> float:
        settings = PyscfForces.of({**ENGINE, 'method': 'LDA', 'ke_cutoff': 250.0, **meshes})
        energies = []
        for shift in (0.0, 0.04):
            moved = crystal.copy()
            moved.translate([shift, 0.7 * shift, 0.3 * shift])
            energies.append(density_functional(moved, settings, 'LDA').e_tot * Hartree)
        return abs(energies[1] - energies[0])

    assert change(xc_mesh_factor=2) < 0.1 * change()


@pytest.mark.nightly
def test_the_force_on_a_displaced_atom_is_that_of_a_finer_mesh_by_the_sum_rule() -> None:
    """0.06999 eV/Å with a cutoff of 1000 Hartree and ``xc_mesh_factor`` 4."""
    displaced = bulk('NaF', 'rocksalt', a=4.62)
    displaced.positions[1, 0] += 0.04
    meshes = {'ke_cutoff': 400.0, 'xc_mesh_factor': 2}
    calculator = PyscfCalculator(PyscfForces.of({**ENGINE, 'method': 'LDA', **meshes}))
    by_sum_rule = evaluated(calculator, displaced, None, True, displaced=1)[2]
    assert by_sum_rule is not None
    assert by_sum_rule[1, 0] == pytest.approx(0.06999, abs=2e-5)
    in_equal_shares = calculator.results['forces']
    assert abs(in_equal_shares[1, 0] - 0.06999) > 1e-4


@pytest.mark.nightly
def test_hartree_fock_forces_are_the_slope_of_the_energy() -> None:
    atoms = lithium_hydride(0.05)
    calculator = PyscfCalculator(replace(SETTINGS, method='HF'))
    forces = energy_and_forces(calculator, atoms)[1]
    assert forces is not None
    expected = slope(lambda a: hartree_fock(a, SETTINGS).e_tot * Hartree, atoms, 1, 0, step=0.02)
    assert forces[1, 0] == pytest.approx(expected, abs=2e-4)


def test_an_unknown_auxiliary_basis_is_named() -> None:
    settings = PyscfCorrelation.of({**PyscfCorrelation.defaults(), 'auxbasis': 'nonsense'})
    with pytest.raises(EngineError, match='nonsense'):
        hartree_fock(lithium_hydride(), settings)


def test_auxiliary_functions_that_depend_on_others_are_left_out_of_this_fit_and_of_no_other() -> None:
    from pyscf.pbc.df.rsdf_builder import _RSGDFBuilder

    fitted = hartree_fock(lithium_hydride(), PyscfCorrelation.of(PyscfCorrelation.defaults())).with_df
    assert 0 < fitted.get_naoaux() < fitted.auxcell.nao
    assert not _RSGDFBuilder.j2c_eig_always


@pytest.mark.nightly
def test_the_range_of_the_coulomb_integrals_does_not_count() -> None:
    """The same fit with compensating charges in the place of two ranges."""
    from pyscf.pbc import scf

    atoms, settings = bulk('C', 'diamond', a=3.567), PyscfCorrelation.of(PyscfCorrelation.defaults())
    atoms.positions[1] += [0.05, 0.02, -0.03]
    other = scf.RHF(build_cell(atoms, settings, 'HF'))
    other.exxdiv = settings.exxdiv
    other = other.density_fit(auxbasis=settings.auxbasis)
    other.with_df._prefer_ccdf = True
    other.conv_tol = settings.conv_tol
    assert hartree_fock(atoms, settings).e_tot == pytest.approx(other.kernel(), abs=1e-6)


@pytest.mark.nightly
def test_hartree_fock_energies_are_smooth_at_the_crystal_at_rest() -> None:
    """Along the transverse acoustic pattern of X, which lifts most translations, E − E₀ is quadratic from the start."""
    crystal = bulk('LiF', 'rocksalt', a=3.93, cubic=True)
    wave = np.where(crystal.get_scaled_positions()[:, 2] > 0.25, -1.0, 1.0)
    energies = []
    for amplitude in (0.0, 0.01, 0.04):
        atoms = crystal.copy()
        atoms.positions[:, 0] += amplitude * wave
        energies.append(hartree_fock(atoms, PyscfCorrelation.of(PyscfCorrelation.defaults())).e_tot)
    curvatures = (np.array(energies[1:]) - energies[0]) / np.square([0.01, 0.04])
    assert curvatures[0] > 0
    assert curvatures[1] == pytest.approx(curvatures[0], rel=0.3)


def random_density(cell: Any) -> NDArray[np.float64]:
    matrix = np.random.default_rng(0).standard_normal((cell.nao, cell.nao))
    return matrix + matrix.T


def test_the_gradient_of_the_short_ranged_potential_is_its_slope() -> None:
    from pyscf.pbc.gto.pseudo import pp_int

    atoms = lithium_hydride(0.1)
    density = random_density(build_cell(atoms, SETTINGS, 'LDA'))

    def energy(moved: Atoms) -> float:
        cell = build_cell(moved, SETTINGS, 'LDA')
        potential = np.asarray(pp_int.get_pp_loc_part2(cell)).reshape(density.shape).real
        return float(np.vdot(potential, density))

    gradient = short_ranged_local_gradient(build_cell(atoms, SETTINGS, 'LDA'), density)
    for atom in (0, 1):
        for axis in range(3):
            expected = -slope(energy, atoms, atom, axis, step=0.005) * Bohr
            assert gradient[atom, axis] == pytest.approx(expected, abs=2e-6)


@pytest.mark.nightly
def test_gradients_without_a_fourth_coefficient_are_those_of_pyscf() -> None:
    from pyscf.pbc.gto.pseudo import pp_int

    atoms = Atoms('C2', cell=1.78 * (np.ones((3, 3)) - np.eye(3)), positions=[[0, 0, 0], [0.9, 0.93, 0.86]], pbc=True)
    cell = build_cell(atoms, SETTINGS, 'LDA')
    density = random_density(cell)
    assert np.allclose(short_ranged_local_gradient(cell, density), pp_int.vpploc_part2_nuc_grad(cell, density))


def test_pyscf_is_left_as_it_was() -> None:
    from pyscf.pbc.gto.pseudo import pp_int

    before = pp_int.vpploc_part2_nuc_grad
    with trusted_integrals():
        assert pp_int.vpploc_part2_nuc_grad is short_ranged_local_gradient
    assert pp_int.vpploc_part2_nuc_grad is before


@pytest.mark.nightly
def test_an_extrapolated_density_is_closer_than_the_last_one() -> None:
    memory, last = DensityExtrapolation(), DensityExtrapolation()
    for number in range(4):
        atoms = lithium_hydride(0.03 * number)
        atoms.positions[0, 2] += 0.02 * number
        mean_field = density_functional(atoms, SETTINGS, 'LDA')
        density, overlap = mean_field.make_rdm1(), mean_field.get_ovlp()
        if number == 3:
            guess, old = memory.guess(overlap), last.guess(overlap)
            assert guess is not None
            assert old is not None
            assert np.trace(guess @ overlap) == pytest.approx(mean_field.cell.nelectron)
            assert np.abs(guess - density).max() < 0.2 * np.abs(old - density).max()
        memory.remember(density, overlap)
        last.forget()
        last.remember(density, overlap)


@pytest.mark.nightly
def test_an_energy_does_not_depend_on_what_was_computed_before() -> None:
    calculator = PyscfCalculator(SETTINGS)
    fresh = energy_and_forces(calculator, lithium_hydride(0.1), with_forces=False)[0]
    energy_and_forces(calculator, lithium_hydride(0.0), with_forces=False)
    assert energy_and_forces(calculator, lithium_hydride(0.1), with_forces=False)[0] == pytest.approx(fresh, abs=1e-11)


def test_an_odd_number_of_electrons_is_refused() -> None:
    atoms = Atoms('Li', cell=3.5 * np.eye(3), pbc=True)
    with pytest.raises(EngineError, match='3 valence electrons'):
        hartree_fock(atoms, SETTINGS)


def test_an_scf_that_does_not_converge_is_refused() -> None:
    with pytest.raises(EngineError, match='did not converge within 1 cycles'):
        hartree_fock(lithium_hydride(), PyscfSettings.of({**ENGINE, 'max_cycle': 1}))


def test_a_metal_is_refused() -> None:
    levels = np.array([0.1, 0.1001, -1.0])
    metal = SimpleNamespace(converged=True, mo_energy=levels, cell=SimpleNamespace(nelectron=4))
    with pytest.raises(EngineError, match='a metal'):
        check_ground_state(metal, 'LDA')


def test_an_unknown_basis_is_named() -> None:
    with pytest.raises(EngineError, match='gth-none'):
        build_cell(lithium_hydride(), PyscfSettings(basis='gth-none'), 'HF')


def test_labels_of_another_density_fitting_were_not_made_with_these_settings() -> None:
    """A fit with the same auxiliary basis that kept all functions gave other energies, and said nothing of it."""
    settings = PyscfCorrelation.defaults()
    ours = PyscfCorrelation.of(settings).source('HF')

    def source_of(**changed):
        return correlation_engine({**settings, **changed}).source()

    theirs = {name: value for name, value in ours.items() if name != 'dependent_auxiliary_functions'}
    assert made_with(ours, source_of())
    assert not made_with(theirs, source_of())
    assert made_with({**theirs, 'auxbasis': None}, source_of(auxbasis=None))


def test_the_source_holds_what_fixes_the_energy() -> None:
    source = SETTINGS.source('LDA')
    assert source['pseudo'] == 'gth-pade'
    assert source['ke_cutoff_hartree'] == 100.0
    assert SETTINGS.source('HF')['pseudo'] == 'gth-hf-rev'
    assert 'ke_cutoff_hartree' not in SETTINGS.source('HF')


@pytest.mark.parametrize('factor', [None, 2])
def test_labels_of_another_mesh_of_exchange_and_correlation_are_not_mixed_with_these(factor: int | None) -> None:
    given = {**PyscfForces.defaults(), 'xc_mesh_factor': factor}
    other = {**given, 'xc_mesh_factor': 3}
    engine = force_engine(given)
    like = engine.like('LDA', PyscfForces.of(given).source('LDA'), {})
    assert engine.refuse_other_settings(given, like) is None
    assert f'`base_engine.xc_mesh_factor` is 3, but the snapshots are labelled with {factor}' in str(
        engine.refuse_other_settings(other, like)
    )


@pytest.mark.parametrize('factor', [None, 2])
def test_hartree_fock_does_not_depend_on_a_mesh(factor: int | None) -> None:
    given = {**PyscfForces.defaults(), 'method': 'HF', 'xc_mesh_factor': factor, 'ke_cutoff': 100.0}
    engine, source = force_engine(given), PyscfForces.of(given).source('HF')
    for other in (given, {**given, 'xc_mesh_factor': 3, 'ke_cutoff': 200.0}):
        assert engine.refuse_other_settings(other, engine.like('HF', source, other)) is None
        assert not {'xc_mesh_factor', 'ke_cutoff_hartree'} & set(force_engine(other).source())


@pytest.mark.parametrize(('method', 'depends'), [('HF', True), ('LDA', False)])
def test_hartree_fock_alone_depends_on_the_auxiliary_basis(method: str, depends: bool) -> None:
    given = {**PyscfForces.defaults(), 'method': method}
    engine = force_engine(given)
    like = engine.like(method, PyscfForces.of(given).source(method), {})
    reason = engine.refuse_other_settings({**given, 'auxbasis': 'weigend'}, like)
    assert ('auxbasis' in (reason or '')) == depends


def test_an_unknown_setting_is_named(tmp_path: Any) -> None:
    with pytest.raises(JobError, match='bassis'):
        build_calculator({'kind': 'pyscf', 'method': 'LDA', 'bassis': 'gth-szv'}, tmp_path)


def test_an_unknown_calculator_is_named(tmp_path: Any) -> None:
    with pytest.raises(JobError, match='oracle'):
        build_calculator({'kind': 'oracle'}, tmp_path)
