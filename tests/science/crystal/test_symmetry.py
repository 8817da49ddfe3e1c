"""The space group, the tolerance that fits the digits of a file, near misses, and cells that break the symmetry."""

from itertools import product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import breaks_symmetry, primitive_cell
from aiida_mlcc.science.crystal.symmetry import (
    SymmetryError,
    fitting_tolerance,
    near_miss,
    remembers_crystals,
    space_group,
    symmetrised,
)
from tests.textbook import TEXTBOOK, textbook


def rounded(atoms: Atoms, digits: int, lattice: int | None = None) -> Atoms:
    """Return a crystal with its fractions rounded, and the components of its vectors if asked."""
    cell = atoms.cell.array if lattice is None else np.round(atoms.cell.array, lattice)
    fractions = np.round(atoms.get_scaled_positions(), digits)
    return Atoms(atoms.symbols, cell=cell, scaled_positions=fractions, pbc=True)


@pytest.mark.parametrize('formula', TEXTBOOK)
def test_textbook_crystals_have_their_space_group_without_a_near_miss(formula):
    crystal = textbook(formula)
    assert space_group(crystal).number == TEXTBOOK[formula][2]
    assert fitting_tolerance(crystal) == 1e-5
    assert near_miss(crystal) is None


@pytest.mark.parametrize(('digits', 'lattice'), [(4, None), (6, None), (4, 4), (16, 4), (16, 3)])
@pytest.mark.parametrize('formula', ['ZnO', 'Al2O3', 'SiO2'])
def test_few_digits_of_a_hexagonal_crystal_do_not_cost_its_symmetry(formula, digits, lattice):
    crystal = rounded(textbook(formula), digits, lattice)
    assert space_group(crystal, fitting_tolerance(crystal)).number == TEXTBOOK[formula][2]


def test_digits_that_fit_no_symmetry_are_a_near_miss():
    """Rounded to three digits, the places of quartz differ by more than a rounding from any with its symmetry."""
    crystal = rounded(textbook('SiO2'), 3)
    tolerance = fitting_tolerance(crystal)
    assert space_group(crystal, tolerance).number == 5
    assert near_miss(crystal, tolerance).number == 152


def test_positions_in_angstrom_may_have_few_digits_as_well():
    crystal = textbook('ZnO')
    crystal.positions = np.round(crystal.positions, 4)
    assert space_group(crystal).number != 186
    assert space_group(crystal, fitting_tolerance(crystal)).number == 186


def test_numbers_that_differ_in_the_last_digit_stay_different():
    """a and c, and a shift along z, of one unit in the third decimal are meant: no rounding makes them."""
    for cell, z in (([4.0, 4.0, 4.001], 0.5), ([4.0, 4.0, 4.0], 0.501)):
        crystal = Atoms('CsCl', cell=cell, scaled_positions=[[0, 0, 0], [0.5, 0.5, z]], pbc=True)
        assert fitting_tolerance(crystal) == 1e-5
        assert space_group(crystal).number in (99, 123)


def test_a_higher_symmetry_within_ten_tolerances_is_a_near_miss():
    crystal = textbook('MgO')
    crystal.positions[0] += [3e-5, 0, 0]
    assert space_group(crystal).number != 225
    assert near_miss(crystal).number == 225
    crystal.positions[0] += [5e-3, 0, 0]
    assert near_miss(crystal) is None


def test_symmetrised_crystals_keep_their_orientation_and_their_places():
    crystal = textbook('SiO2')
    turned = crystal.copy()
    turned.rotate(31, (1, 2, 3), rotate_cell=True)
    moved = turned.copy()
    moved.positions += 1e-4 * np.random.default_rng(3).normal(size=moved.positions.shape)
    ideal = symmetrised(moved, 1e-2)
    assert space_group(ideal).number == 152
    np.testing.assert_allclose(ideal.cell.array, turned.cell.array, atol=1e-8)
    apart = (ideal.get_scaled_positions() - turned.get_scaled_positions() + 0.5) % 1 - 0.5
    assert np.abs(apart - apart.mean(axis=0)).max() < 1e-4


def test_the_primitive_cell_has_the_symmetry_that_was_found_within_the_tolerance():
    """What is fitted and drawn from it, with whatever tolerance, sees the same symmetry."""
    crystal = rounded(textbook('ZnO'), 4)
    assert space_group(primitive_cell(crystal)).number == 36
    assert space_group(primitive_cell(crystal, 1e-3), 1e-6).number == 186


def test_atoms_on_one_place_have_no_symmetry():
    with pytest.raises(SymmetryError, match='do two atoms share a place'):
        space_group(Atoms('Li2', cell=[4, 4, 4], pbc=True))


@pytest.mark.parametrize(
    ('matrix', 'breaks'),
    [
        ([1, 1, 1], False),
        ([2, 2, 2], False),
        ([[-1, 1, 1], [1, -1, 1], [1, 1, -1]], False),
        ([2, 1, 1], True),
        ([2, 2, 1], True),
        ([[2, 1, 0], [0, 1, 0], [0, 0, 1]], True),
    ],
)
def test_a_supercell_that_is_not_cubic_breaks_a_cubic_crystal(matrix, breaks):
    assert breaks_symmetry(bulk('LiF', 'rocksalt', a=4.03), matrix) == breaks
    if matrix != [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]:
        assert breaks_symmetry(bulk('LiF', 'rocksalt', a=4.03, cubic=True), matrix) == breaks


def test_a_hexagonal_crystal_may_be_longer_along_its_axis_only():
    crystal = textbook('ZnO')
    for n, m in product((1, 2, 3), repeat=2):
        assert not breaks_symmetry(crystal, [n, n, m])
    assert breaks_symmetry(crystal, [2, 1, 1])
    assert not breaks_symmetry(crystal, [[2, -1, 0], [1, 1, 0], [0, 0, 1]]), 'the √3 × √3 cell'


def test_crystals_that_differ_in_one_number_are_not_taken_for_each_other():
    """What was found of a crystal is kept, by all that it depends on."""
    asked = []

    @remembers_crystals
    def masses(atoms: Atoms, symprec: float) -> list[float]:
        asked.append(symprec)
        return atoms.get_masses().tolist()

    crystal = bulk('LiF', 'rocksalt', a=4.03)
    heavier, strained = crystal.copy(), crystal.copy()
    heavier.set_masses([8.0, 19.0])
    strained.set_cell(1.0001 * crystal.cell.array, scale_atoms=True)
    for atoms, symprec in ((crystal, 1e-5), (heavier, 1e-5), (strained, 1e-5), (crystal, 1e-4)) * 2:
        assert masses(atoms, symprec) == atoms.get_masses().tolist()
    assert len(asked) == 4


def test_who_changes_a_cell_that_was_found_changes_no_other():
    crystal = bulk('LiF', 'rocksalt', a=4.03, cubic=True)
    primitive_cell(crystal).positions += 1.0
    assert np.allclose(primitive_cell(crystal).positions[0], crystal.positions[0])
