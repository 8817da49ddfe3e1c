"""The modes of a supercell at its own wave vectors are the eigenvalues of its whole Hessian."""

import numpy as np
import pytest
from scipy import constants

from aiida_mlcc.science.crystal.cells import commensurate_qpoints, map_onto_crystal, supercell
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.phonons.commensurate import normal_modes
from aiida_mlcc.science.phonons.finite_displacements import one_atom_of_each_site

MATRICES = ([2, 2, 2], [[-2, 2, 2], [2, -2, 2], [2, 2, -2]], [[1, 0, 0], [1, 2, 0], [0, 1, 3]])


@pytest.mark.parametrize('matrix', MATRICES)
def test_a_supercell_holds_as_many_wave_vectors_as_primitive_cells(rock_salt, matrix):
    site_map = map_onto_crystal(rock_salt, supercell(rock_salt, matrix))
    qpoints = commensurate_qpoints(site_map.multiples)
    assert len(qpoints) == site_map.n_cells
    assert not qpoints[0].any()
    assert np.allclose(qpoints @ site_map.multiples.T, np.rint(qpoints @ site_map.multiples.T))


@pytest.mark.parametrize('matrix', MATRICES)
def test_the_modes_are_those_of_the_whole_hessian(springs, rock_salt, matrix):
    atoms = supercell(rock_salt, matrix)
    blocks = ForceConstantsModel(springs(rock_salt, 3.0, along=20.0, across=6.0)).bind(atoms).force_constants()
    masses = atoms.get_masses()
    root = np.repeat(np.sqrt(masses), 3)
    hessian = blocks.transpose(0, 2, 1, 3).reshape(len(root), -1) / np.outer(root, root)
    squares, vectors = np.linalg.eigh(hessian)
    per_root = np.sqrt(constants.e / constants.angstrom**2 / constants.atomic_mass) / (2e2 * np.pi * constants.c)
    expected = np.sqrt(np.abs(squares[3:])) * per_root

    site_map = map_onto_crystal(rock_salt, atoms)
    symbols = atoms.get_chemical_symbols()
    rows = {atom: blocks[atom].transpose(1, 0, 2) for atom in one_atom_of_each_site(site_map)}
    modes = normal_modes(rows, site_map, symbols, dict(zip(symbols, masses, strict=True)))
    assert np.allclose(modes.frequencies_cm1, expected, rtol=1e-6, atol=1e-4)
    assert np.allclose(modes.weights.sum(axis=(0, 1)), 1)
    # Of all modes together each element and direction has its share, degenerate or not.
    for element, share in zip(modes.elements, modes.weights.sum(axis=2), strict=True):
        members = np.array([symbol == element for symbol in symbols])
        whole = (vectors[:, 3:] ** 2).reshape(len(atoms), 3, -1)[members].sum(axis=(0, 2))
        assert np.allclose(share, whole)
    assert modes.n_imaginary == 0


def test_the_correlation_of_the_modes_starts_at_their_number_and_is_that_of_cosines(springs, rock_salt):
    atoms = supercell(rock_salt, 2)
    blocks = ForceConstantsModel(springs(rock_salt, 3.0, along=20.0, across=6.0)).bind(atoms).force_constants()
    site_map = map_onto_crystal(rock_salt, atoms)
    symbols = atoms.get_chemical_symbols()
    rows = {atom: blocks[atom].transpose(1, 0, 2) for atom in one_atom_of_each_site(site_map)}
    modes = normal_modes(rows, site_map, symbols, dict(zip(symbols, atoms.get_masses(), strict=True)))
    lags = np.arange(0, 100, 2.5)
    found = sum(modes.correlation(lags, step_fs=1e-4).values()).sum(axis=0)
    angular = 2e-13 * np.pi * constants.c * modes.frequencies_cm1
    assert found[0] == pytest.approx(3 * len(atoms) - 3)
    assert np.allclose(found, np.cos(angular[:, None] * lags).sum(axis=0), atol=1e-4)
