"""What symmetry leaves free, and the primitive cell of a supercell that has relaxed."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.crystal.relaxation import free_positions, primitive_of_relaxed
from aiida_mlcc.science.phonons.dispersion import mesh_breaks_symmetry
from tests.crystals import rocksalt

WURTZITE = bulk('ZnO', 'wurtzite', a=3.25, c=5.2, u=0.38)


def low_symmetry():
    return Atoms('LiFH', cell=[3, 3.3, 4.1], scaled_positions=[[0, 0, 0], [0.4, 0.1, 0.3], [0.7, 0.6, 0.8]], pbc=True)


@pytest.mark.parametrize(
    ('crystal', 'free'),
    [(rocksalt(), 0), (bulk('C', 'diamond', a=3.56), 0), (WURTZITE, 1), (low_symmetry(), 6)],
)
def test_free_coordinates_are_those_of_the_wyckoff_positions(crystal, free):
    assert free_positions(crystal) == free


def test_a_relaxed_supercell_is_folded_back_onto_its_primitive_cell():
    other = WURTZITE.copy()
    fractions = other.get_scaled_positions()
    fractions[2:, 2] += 0.02
    other.set_cell(other.cell.array * [1.01, 1.01, 0.98])
    other.set_scaled_positions(fractions)
    matrix = [2, 2, 1]
    found = primitive_of_relaxed(WURTZITE, matrix, supercell(WURTZITE, matrix), supercell(other, matrix))
    assert np.allclose(found.cell, other.cell)
    between = found.get_all_distances(mic=True, vector=True) - other.get_all_distances(mic=True, vector=True)
    assert np.allclose(between, 0, atol=1e-9)
    assert found.get_chemical_symbols() == WURTZITE.get_chemical_symbols()


@pytest.mark.parametrize(
    ('crystal', 'mesh', 'breaks'),
    [
        (rocksalt(), [4, 4, 4], False),
        (rocksalt(), [4, 4, 5], True),
        (WURTZITE, [6, 6, 4], False),
        (WURTZITE, [6, 5, 4], True),
    ],
)
def test_a_mesh_keeps_the_symmetry_or_breaks_it(crystal, mesh, breaks):
    assert mesh_breaks_symmetry(crystal, mesh) == breaks
