"""The irreducible points of a mesh give what phonopy finds on all of its points."""

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.science.phonons.dispersion import density_of_states, frequency_grid
from aiida_mlcc.science.phonons.mean_square_displacements import mean_square_displacements
from aiida_mlcc.science.phonons.mesh_modes import modes_on_mesh
from aiida_mlcc.science.units import CM1_PER_THZ
from tests.crystals import spring_term
from tests.science.phonons.test_branches import phonon_of

MESH = [4, 4, 3]
WIDTH_CM1 = 10.0


@pytest.fixture
def wurtzite():
    """Be, O, Be, O: two atoms of each element, not of equal mean square displacements in all directions."""
    atoms = bulk('BeO', 'wurtzite', a=2.7, c=4.4)
    return phonon_of(spring_term(atoms, 2.9), size=2)


def whole_mesh(phonon):
    phonon.run_mesh(MESH, with_eigenvectors=True, is_mesh_symmetry=False, is_gamma_center=True)


@pytest.mark.parametrize('isotopes', [False, True])
def test_density_of_states_and_displacements_are_phonopys_own_on_the_whole_mesh(wurtzite, isotopes):
    if isotopes:
        wurtzite.masses = [9.0, 16.0, 10.0, 16.0]
    grid = frequency_grid([wurtzite], MESH, 4.0, WIDTH_CM1)
    dos = density_of_states(wurtzite, MESH, grid, WIDTH_CM1)
    squares = mean_square_displacements(wurtzite, MESH, [0.0, 300.0])

    whole_mesh(wurtzite)
    thz = grid / CM1_PER_THZ
    wurtzite.run_projected_dos(WIDTH_CM1 / CM1_PER_THZ, thz[0], thz[-1], thz[1] - thz[0], use_tetrahedron_method=False)
    by_atom = wurtzite.projected_dos.projected_dos[:, : len(grid)] / CM1_PER_THZ
    wurtzite.run_thermal_displacements(temperatures=[0.0, 300.0], freq_min=0.0, exclude_gamma_acoustic=True)
    of_atoms = wurtzite.thermal_displacements.thermal_displacements.reshape(2, 4, 3).sum(axis=2)
    for symbol, atoms in (('Be', [0, 2]), ('O', [1, 3])):
        assert np.allclose(dos.elements[symbol], by_atom[atoms].sum(axis=0), atol=1e-9)
        assert np.allclose(squares[symbol], of_atoms[:, atoms].mean(axis=1), rtol=1e-5)


def test_equivalent_points_are_calculated_once(wurtzite):
    assert len(modes_on_mesh(wurtzite, MESH).weights) < np.prod(MESH) / 3
