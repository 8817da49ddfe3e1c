"""Reference displacements."""

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import CrystalError
from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells
from tests.crystals import rocksalt_cube


def moved_atoms(crystal, matrix, distance=0.02):
    found = displaced_cells(crystal, matrix, Displacements(distance=distance))
    apart = np.linalg.norm(found.positions[1:] - found.positions[0], axis=2)
    return found, apart


def test_the_cell_at_rest_comes_first_and_one_atom_of_each_element_of_rocksalt_is_moved():
    """Each site has the full cubic symmetry, inversion included: one direction, one sign."""
    found, apart = moved_atoms(rocksalt_cube(), [1, 1, 1])
    assert found.n_frames == 3
    assert [found.symbols[np.argmax(row)] for row in apart] == ['Li', 'F']
    assert apart.sum(axis=1) == pytest.approx([0.02, 0.02])


def test_both_ways_are_displaced_where_symmetry_does_not_make_them_equal():
    """Along the c axis of wurtzite the two ways differ; across it a mirror makes them equal."""
    found, apart = moved_atoms(bulk('ZnS', 'wurtzite', a=3.82, c=6.26), [2, 2, 1])
    vectors = (found.positions[1:] - found.positions[0])[np.arange(len(apart)), apart.argmax(axis=1)]
    for atom in np.unique(apart.argmax(axis=1)):
        along_c = vectors[apart.argmax(axis=1) == atom][:, 2]
        assert along_c.min() == pytest.approx(-along_c.max())
        assert along_c.max() > 0.005


def test_a_larger_cell_takes_no_more_displacements():
    found, _ = moved_atoms(rocksalt_cube(), [2, 2, 2])
    assert (found.n_frames, found.n_atoms) == (3, 64)


def test_a_displacement_that_is_not_small_is_refused():
    with pytest.raises(CrystalError, match=r'a displacement of 0.3 Å is more than 0.2 Å, a tenth of the shortest'):
        displaced_cells(rocksalt_cube(), 1, Displacements(distance=0.3))
