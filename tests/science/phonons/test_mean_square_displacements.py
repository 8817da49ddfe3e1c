"""Thermal properties against Einstein's oscillators, phonopy's own numbers and the classical limit."""

import numpy as np
import pytest
from scipy import constants

from aiida_mlcc.science.phonons.mean_square_displacements import (
    imaginary_share,
    mean_square_displacements,
    temperature_grid,
)
from aiida_mlcc.science.phonons.thermal_properties import thermal_properties
from tests.crystals import rocksalt, spring_term
from tests.science.phonons.test_branches import phonon_of

MESH = [6, 6, 6]
TEMPERATURES = np.array([0.0, 100.0, 300.0, 1000.0])


@pytest.fixture(scope='module')
def phonon():
    return phonon_of(spring_term(rocksalt(), 3.0))


def frequencies_and_vectors(phonon):
    phonon.run_mesh(MESH, with_eigenvectors=True, is_mesh_symmetry=False, is_gamma_center=True)
    moving = phonon.mesh.frequencies > 0.1
    return phonon.mesh.frequencies[moving], phonon.mesh.eigenvectors.transpose(0, 2, 1)[moving]


def test_they_are_sums_over_harmonic_oscillators(phonon):
    found = thermal_properties(phonon, MESH, TEMPERATURES)
    omega = 2 * np.pi * 1e12 * frequencies_and_vectors(phonon)[0]
    mole = constants.N_A / np.prod(MESH)
    for number, temperature in enumerate(TEMPERATURES):
        energy = constants.hbar * omega
        if temperature == 0:
            expected = (np.sum(energy / 2) * mole / 1e3, 0.0, 0.0)
        else:
            x = energy / (constants.k * temperature)
            free = np.sum(energy / 2 + constants.k * temperature * np.log(-np.expm1(-x))) * mole / 1e3
            heat = np.sum(constants.k * x**2 * np.exp(x) / np.expm1(x) ** 2) * mole
            entropy = np.sum(constants.k * (x / np.expm1(x) - np.log(-np.expm1(-x)))) * mole
            expected = (free, entropy, heat)
        # phonopy's constants are older than SciPy's by 3e-6.
        assert np.allclose([values[number] for values in found.values()], expected, rtol=1e-5, atol=1e-9)


def test_they_are_phonopys_own(phonon):
    found = thermal_properties(phonon, MESH, TEMPERATURES)
    phonon.run_mesh(MESH, is_gamma_center=True)
    phonon.run_thermal_properties(t_min=0, t_max=1000, t_step=100, exclude_gamma_acoustic=True)
    theirs = phonon.get_thermal_properties_dict()
    chosen = [0, 1, 3, 10]
    for name, key in zip(found, ('free_energy', 'entropy', 'heat_capacity'), strict=True):
        assert np.allclose(found[name], theirs[key][chosen], rtol=1e-6)


def test_displacements_are_those_of_oscillators_and_obey_equipartition_when_hot(phonon):
    found = mean_square_displacements(phonon, MESH, [300.0, 20000.0])
    frequencies, vectors = frequencies_and_vectors(phonon)
    omega, masses = 2 * np.pi * 1e12 * frequencies, phonon.primitive.masses * constants.atomic_mass
    weights = np.abs(vectors.reshape(len(omega), 2, 3)) ** 2
    for number, temperature in enumerate((300.0, 20000.0)):
        quanta = constants.hbar / (2 * omega) / np.tanh(constants.hbar * omega / (2 * constants.k * temperature))
        by_atom = np.einsum('m,mac->a', quanta, weights) / masses / np.prod(MESH) * 1e20
        assert np.allclose([found['Li'][number], found['F'][number]], by_atom, rtol=1e-5)
    classical = np.einsum('m,mac->a', constants.k * 20000 / omega**2, weights) / masses / np.prod(MESH) * 1e20
    assert found['F'][1] == pytest.approx(classical[1], rel=1e-3)


def test_the_share_of_imaginary_modes_is_that_of_the_whole_mesh():
    unstable = phonon_of(spring_term(rocksalt(), 2.5, along=8.0, across=-2.2))
    unstable.run_mesh(MESH, is_mesh_symmetry=False, is_gamma_center=True)
    values = np.sort(unstable.mesh.frequencies, axis=1)
    gamma = np.flatnonzero(np.abs(unstable.mesh.qpoints).max(axis=1) < 1e-8)
    imaginary = np.sum(values < 0) - np.sum(values[gamma] < 0)
    assert values[gamma].min() > -1e-2, 'the crystal is stable at Γ'
    assert imaginary > 0
    assert imaginary_share(unstable, MESH) == pytest.approx(imaginary / values.size, rel=1e-12)


def test_a_stable_crystal_has_no_imaginary_share(phonon):
    assert imaginary_share(phonon, MESH) == 0


def test_a_grid_holds_both_ends():
    assert temperature_grid(0, 300, 100).tolist() == [0, 100, 200, 300]
    with pytest.raises(ValueError, match='no temperatures from 300 to 0 K'):
        temperature_grid(300, 0, 10)
