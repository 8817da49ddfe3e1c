"""The dipole–dipole term against closed forms, finite differences, phonopy and Quantum ESPRESSO."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from phonopy import Phonopy

from aiida_mlcc.science.crystal.cells import CrystalError, commensurate_qpoints, from_phonopy, supercell, to_phonopy
from aiida_mlcc.science.fit.harmonic_model import dynamical_matrix
from aiida_mlcc.science.force_field import ForceFieldError, dipole
from aiida_mlcc.science.force_field.dipole import COULOMB, DipoleModel, dipole_term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.phonons.modes import CM1_PER_ROOT_CURVATURE
from tests.crystals import spring_term
from tests.q2r import Q2R
from tests.science.force_field.term_examples import TermExample

DATA = Path(__file__).parents[2] / 'data' / 'quantum_espresso'
SKEWED = [[2, 1, 0], [0, 3, 1], [1, 0, 2]]
LITHIUM_HYDRIDE = bulk('LiH', 'rocksalt', a=4.017)
CHARGE, EPSILON = 1.0141, 4.473


def rocksalt_model(eta: float = 0.7) -> DipoleModel:
    charges = CHARGE * np.array([np.eye(3), -np.eye(3)])
    return DipoleModel(dipole_term(LITHIUM_HYDRIDE, charges, EPSILON * np.eye(3), eta))


def example() -> TermExample:
    """For the contract of the table of kinds."""
    charges = CHARGE * np.array([np.eye(3), -np.eye(3)])
    term = dipole_term(LITHIUM_HYDRIDE, charges, EPSILON * np.eye(3), 0.7)
    return TermExample(
        (term,), bulk('LiH', 'rocksalt', a=4.017, cubic=True), bulk('NaCl', 'rocksalt', a=4.017, cubic=True)
    )


def wurtzite_model(eta: float = 0.7) -> DipoleModel:
    """ZnO with tensors that differ along c and across it."""
    primitive = bulk('ZnO', 'wurtzite', a=3.25, c=5.2, u=0.382)
    signs = np.where(primitive.symbols == 'Zn', 1.0, -1.0)
    charges = signs[:, None, None] * np.diag([2.0, 2.0, 2.3])
    return DipoleModel(dipole_term(primitive, charges, np.diag([3.4, 3.4, 4.1]), eta))


MODELS = {'rock salt': rocksalt_model, 'wurtzite': wurtzite_model}


@pytest.fixture(params=MODELS)
def model(request) -> DipoleModel:
    return MODELS[request.param]()


def displaced(primitive: Atoms, matrix, seed: int = 4) -> tuple[Atoms, np.ndarray]:
    """Return a supercell with its atoms in another order, and displacements without a rigid shift, Å."""
    generator = np.random.default_rng(seed)
    cell = supercell(primitive, matrix)
    cell = cell[generator.permutation(len(cell))]
    moved = generator.normal(scale=0.05, size=cell.positions.shape)
    return cell, moved - moved.mean(axis=0)


def squares_of(model: DipoleModel, qpoint, direction=None) -> np.ndarray:
    return np.linalg.eigvalsh(model.dynamical_matrix(qpoint, direction))


def test_the_splitting_at_gamma_is_that_of_lyddane_sachs_and_teller():
    """LO² − TO² = 4πk Z²/(ε V μ), whatever the damping (Born and Huang, Eq. 7.12)."""
    masses = LITHIUM_HYDRIDE.get_masses()
    expected = 4 * np.pi * COULOMB * CHARGE**2 / EPSILON / LITHIUM_HYDRIDE.get_volume() * (1 / masses).sum()
    for eta in (0.4, 0.7, 1.5):
        model = rocksalt_model(eta)
        transverse, longitudinal = squares_of(model, [0, 0, 0]), squares_of(model, [0, 0, 0], [1, 0, 0])
        assert longitudinal[-1] - transverse[0] == pytest.approx(expected, rel=1e-6)


def test_gamma_is_reached_continuously_from_every_direction(model):
    cartesian = np.array([0.3, -0.5, 0.8])
    qpoint = 1e-5 * model.primitive.cell.array @ cartesian / (2 * np.pi)
    assert np.allclose(squares_of(model, qpoint), squares_of(model, [0, 0, 0], cartesian), atol=1e-7)


@pytest.mark.parametrize('matrix', [1, 2, SKEWED])
def test_forces_are_the_finite_differences_of_the_energy(model, matrix):
    atoms, moved = displaced(model.primitive, matrix)
    bound = model.bind(atoms)
    positions = atoms.positions + moved
    forces = bound.energy_forces(positions)[1]
    for atom, axis in ((0, 0), (1, 2), (len(atoms) - 1, 1)):
        step = np.zeros_like(forces)
        step[atom, axis] = 1e-3
        plus, minus = (bound.energy_forces(positions + s)[0] for s in (step, -step))
        assert forces[atom, axis] == pytest.approx((minus - plus) / 2e-3, abs=1e-9)
    assert np.allclose(forces.sum(axis=0), 0, atol=1e-10)


def test_energy_knows_neither_a_rigid_shift_nor_wrapping(model):
    atoms, moved = displaced(model.primitive, 2)
    bound = model.bind(atoms)
    energy, forces = bound.energy_forces(atoms.positions + moved)
    wrapped = Atoms(atoms.numbers, positions=atoms.positions + moved + 0.31, cell=atoms.cell, pbc=True)
    wrapped.wrap()
    again = bound.energy_forces(wrapped.positions)
    assert again[0] == pytest.approx(energy, abs=1e-10)
    assert np.allclose(again[1], forces, atol=1e-10)


def test_a_supercell_of_supercells_has_a_multiple_of_the_energy(model):
    """The same periodic displacement in a larger cell: K = 0 is left out in both."""
    small, moved = displaced(model.primitive, 2)
    small.positions += moved
    large = small.repeat((1, 2, 1))
    at_rest = small.copy()
    at_rest.positions -= moved
    one = model.bind(at_rest).energy_forces(small.positions)
    two = model.bind(at_rest.repeat((1, 2, 1))).energy_forces(large.positions)
    assert two[0] == pytest.approx(2 * one[0], rel=1e-9)
    assert np.allclose(two[1][: len(small)], one[1], atol=1e-10)


def test_the_fourier_path_gives_what_the_matrix_gives(model, monkeypatch):
    atoms, moved = displaced(model.primitive, SKEWED)
    dense = model.bind(atoms)
    monkeypatch.setattr(dipole, '_DENSE_ATOMS', 0)
    sparse = model.bind(atoms)
    stack = np.stack([moved, -2 * moved])
    assert np.allclose(sparse.forces(stack), dense.forces(stack), atol=1e-12)
    assert np.allclose(sparse.force_constants(), dense.force_constants(), atol=1e-12)


@pytest.mark.parametrize('matrix', [2, SKEWED])
def test_force_constants_of_a_supercell_are_those_of_the_crystal_at_its_wave_vectors(model, matrix):
    atoms = supercell(model.primitive, matrix)
    bound = model.bind(atoms)
    site_map, constants = bound.site_map, bound.force_constants()
    first = [int(np.flatnonzero(site_map.sites == site)[0]) for site in range(len(model.primitive))]
    for qpoint in commensurate_qpoints(site_map.multiples)[1:]:
        expected = model.force_constants(qpoint)
        for site, atom in enumerate(first):
            apart = site_map.lattice_vectors - site_map.lattice_vectors[atom]
            phases = np.exp(2j * np.pi * apart @ qpoint)
            found = np.zeros((len(first), 3, 3), dtype=complex)
            np.add.at(found, site_map.sites, constants[atom] * phases[:, None, None])
            assert np.allclose(found.transpose(1, 0, 2), expected[site], atol=1e-10)


@pytest.mark.parametrize(
    ('crystal', 'multiple', 'worst'), [('rock salt', 3, 0.1), ('rock salt', 4, 0.01), ('wurtzite', 3, 0.1)]
)
def test_the_correction_of_gonze_and_lee_is_exact_where_supercells_hold_the_term(crystal, multiple, worst):
    """phonopy takes the dipole–dipole part out of the supercell and puts that of any wave vector back."""
    assert _largest_error_of_phonopy(MODELS[crystal](), multiple) < worst


def test_supercells_of_two_cells_are_too_small_for_the_correction():
    assert _largest_error_of_phonopy(rocksalt_model(), 2) > 0.2


def _largest_error_of_phonopy(model: DipoleModel, multiple: int) -> float:
    """Return by how much (cm⁻¹) frequencies from a supercell differ from the exact ones, between its wave vectors."""
    primitive = model.primitive
    stiff = ForceConstantsModel(spring_term(primitive, 3.4, 40.0, 5.0))
    phonon = Phonopy(to_phonopy(primitive), multiple * np.eye(3, dtype=int), primitive_matrix=np.eye(3))
    cell = from_phonopy(phonon.supercell)
    phonon.force_constants = model.bind(cell).force_constants() + stiff.bind(cell).force_constants()
    phonon.nac_params = {'born': model.charges, 'dielectric': model.dielectric, 'factor': COULOMB, 'method': 'gonze'}
    qpoints = np.array([[0.1, 0.1, 0], [0.25, 0, 0.13], [0.37, 0.11, 0.49], [0, 0, 0.21], [0.2, -0.4, 0.3]])
    ours = []
    for qpoint in qpoints:
        short = dynamical_matrix(
            primitive.get_masses(), stiff.pairs, stiff.lattice_vectors, stiff.force_constants, qpoint
        )
        ours.append(CM1_PER_ROOT_CURVATURE * np.sqrt(np.linalg.eigvalsh(short + model.dynamical_matrix(qpoint))))
    theirs = phonon.run_qpoints(qpoints).frequencies * (1e10 / 299792458)
    return float(np.abs(np.array(ours) - theirs).max())


MATDYN = {
    (0.5, 0, 0): [242.8003, 242.8003, 315.5715, 690.1782, 690.1782, 1006.2706],
    (1, 0, 0): [310.4331, 310.4331, 400.7595, 788.5220, 788.5220, 971.3341],
    (0.5, 0.5, 0.5): [266.6539, 266.6539, 501.3655, 748.4402, 748.4402, 1006.4909],
    (1, 0.5, 0): [340.1017, 363.1512, 363.1512, 834.8577, 882.9458, 882.9458],
    (0.3, 0.2, 0.1): [169.1996, 197.4200, 291.3881, 663.7432, 672.6376, 1025.8642],
}
"""Wave vector (2π/a) → cm⁻¹, by ``matdyn.x`` of Quantum ESPRESSO 6.7 from ``lih_lda.fc`` with ``asr='simple'``, masses
6.94 and 1.008."""


def test_force_constants_of_quantum_espresso_with_the_term_give_its_own_frequencies():
    crystal = Q2R(DATA / 'lih_lda.fc')
    for qpoint, expected in MATDYN.items():
        found = crystal.frequencies_cm1(2 * np.pi / crystal.alat * np.array(qpoint))
        assert np.allclose(found, expected, atol=0.2), qpoint
    gamma = crystal.frequencies_cm1([0, 0, 0], [1, 0, 0])
    assert gamma[3:] == pytest.approx([568.1994, 568.1994, 1045.3502], abs=0.2)


def test_another_crystal_and_a_strained_one_are_refused():
    model = rocksalt_model()
    with pytest.raises(CrystalError):
        model.bind(bulk('LiF', 'rocksalt', a=4.017))
    with pytest.raises(CrystalError, match='strain'):
        model.bind(bulk('LiH', 'rocksalt', a=4.05))


@pytest.mark.parametrize(
    ('array', 'value', 'reason'),
    [
        ('born_charges', np.array([np.eye(3), np.eye(3)]), 'add up to zero'),
        ('born_charges', np.zeros((3, 3, 3)), 'do not fit a primitive cell of 2 atoms'),
        ('born_charges', np.full((2, 3, 3), np.nan), 'not finite'),
        ('dielectric', np.diag([4.0, 4.0, -1.0]), 'positive definite'),
        ('dielectric', np.array([[4.0, 1, 0], [0, 4, 0], [0, 0, 4]]), 'symmetric'),
    ],
)
def test_tensors_that_cannot_be_are_refused(array, value, reason):
    charges = CHARGE * np.array([np.eye(3), -np.eye(3)])
    term = dipole_term(LITHIUM_HYDRIDE, charges, EPSILON * np.eye(3), 0.7)
    with pytest.raises(ForceFieldError, match=reason):
        DipoleModel(replace(term, arrays={**term.arrays, array: value}))
