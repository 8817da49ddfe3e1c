"""Which supercells hold some wave vectors: counted by number theory, and known from the literature."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import commensurate, supercell
from aiida_mlcc.science.crystal.training_cells import (
    CellRequestError,
    Points,
    TrainingCell,
    hermite_normal_forms,
    training_cells,
)


@pytest.fixture(scope='module')
def diamond() -> Points:
    return Points(bulk('C', 'diamond', 3.561))


def cells_with(points: Points, max_atoms: int, *names: str) -> list[TrainingCell]:
    return training_cells(points.primitive, [points.read(name) for name in names], max_atoms)


@pytest.mark.parametrize(('n_cells', 'n_lattices'), [(1, 1), (2, 7), (4, 35), (6, 91), (8, 155)])
def test_there_are_as_many_supercells_as_sublattices(n_cells, n_lattices) -> None:
    """Hart and Forcade, Phys. Rev. B 77, 224115 (2008), equation 2; there the seven of index 2 are listed."""
    forms = hermite_normal_forms(n_cells)
    assert len(forms) == n_lattices
    assert all(prod(np.diag(form).tolist()) == n_cells for form in forms)
    assert len({form.tobytes() for form in forms}) == n_lattices


def test_wave_vectors_need_the_least_common_multiple_of_cells_and_not_their_product(diamond) -> None:
    """Lloyd-Williams and Monserrat, Phys. Rev. B 92, 184301 (2015): n cells for a point of a grid of n×n×n."""
    for n in (2, 3, 4):
        assert cells_with(diamond, 2 * n, f'1/{n} 1/{n} 1/{n}')[0].n_cells == n
        assert cells_with(diamond, 2 * n, f'1/{n} 0 0')[0].n_cells == n


def test_eight_atoms_hold_gamma_x_and_l_together(diamond) -> None:
    smallest = cells_with(diamond, 16, 'GAMMA', 'X', 'L')[0]
    assert smallest.n_atoms == 8
    assert [point.name for point in smallest.points] == ['GAMMA', 'L', 'X']


def test_what_a_cell_is_said_to_hold_fits_its_vectors(diamond) -> None:
    """A plane wave with an arm of the star is one at all lattice vectors of the cell."""
    for cell in cells_with(diamond, 16, 'X'):
        for point in cell.points:
            images = [rotation.T @ np.array(point.qpoint) for rotation in diamond.rotations]
            assert any(np.abs(cell.multiples @ q - np.rint(cell.multiples @ q)).max() < 1e-6 for q in images)
        assert len(cell.atoms()) == cell.n_atoms
        assert np.array_equal(commensurate(diamond.primitive, cell.atoms())[0], cell.multiples)


def test_the_frequencies_of_the_article_s_diamond_cell_are_seventeen(diamond) -> None:
    cell = supercell(bulk('C', 'diamond', 3.561, cubic=True), [2, 2, 1])
    points = diamond.held_by(commensurate(diamond.primitive, cell)[0])
    by_name = {point.name: point.n_frequencies for point in points}
    assert (by_name['GAMMA'], by_name['X'], by_name['W']) == (1, 3, 3)
    assert sum(point.n_frequencies for point in points) == 17


def test_the_most_compact_of_eight_cells_is_face_centred(diamond) -> None:
    cell = next(cell for cell in cells_with(diamond, 16, 'GAMMA', 'X', 'L') if cell.n_cells == 8)
    assert cell.compactness == pytest.approx(1.0)
    assert cell.shortest == pytest.approx(2 * 3.561 / np.sqrt(2))


def test_the_matrix_makes_the_cell_from_the_structure_as_given(diamond) -> None:
    cube = bulk('C', 'diamond', 3.561, cubic=True)
    of_cube = [cell for cell in cells_with(diamond, 16, 'X') if cell.supercell_matrix(cube) is not None]
    assert of_cube
    for cell in of_cube:
        made = supercell(cube, cell.supercell_matrix(cube))
        assert made.cell.array == pytest.approx(cell.multiples @ diamond.primitive.cell.array)
    smallest = cells_with(diamond, 8, 'GAMMA', 'X', 'L')[0]
    assert smallest.supercell_matrix(cube) is None
    made = supercell(diamond.primitive, smallest.supercell_matrix(diamond.primitive))
    assert made.cell.array == pytest.approx(smallest.atoms().cell.array)


def test_a_request_beyond_the_bound_names_the_smallest_cell(diamond) -> None:
    with pytest.raises(CellRequestError, match=r'at most 6 atoms holds GAMMA, X, L: the smallest has 8 atoms \(4 prim'):
        cells_with(diamond, 6, 'GAMMA', 'X', 'L')


@pytest.mark.parametrize(
    ('text', 'message'),
    [('M', "no wave vector 'M': this crystal has GAMMA, X"), ('1/2 0', 'three numbers'), ('1/0 0 0', 'three numbers')],
)
def test_a_name_that_the_crystal_has_not_is_a_sentence(diamond, text, message) -> None:
    with pytest.raises(CellRequestError, match=message):
        diamond.read(text)


def test_coordinates_that_are_no_fractions_are_a_sentence(diamond) -> None:
    with pytest.raises(CellRequestError, match='denominators up to 24'):
        cells_with(diamond, 16, '0.1234 0 0')


def test_two_wave_vectors_of_one_star_are_one_request() -> None:
    """Of a layered crystal A and Γ are apart along c alone."""
    hexagonal = Atoms(
        'BN', scaled_positions=[[0, 0, 0], [1 / 3, 2 / 3, 0]], cell=[2.5, 2.5, 4.0, 90, 90, 120], pbc=True
    )
    points = Points(hexagonal)
    smallest = training_cells(hexagonal, [points.read('0 0 1/2'), points.read('0 0 -1/2')], 8)[0]
    assert smallest.n_cells == 2
    assert {point.name for point in smallest.points} == {'GAMMA', 'A'}
