"""Branches of members against crystals whose branches are known by symmetry or in closed form."""

import numpy as np
import pytest
from ase import Atoms
from phonopy import Phonopy

from aiida_mlcc.science.crystal.cells import supercell, to_phonopy
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel, force_constants_term
from aiida_mlcc.science.phonons.branches import (
    branches_of,
    dynamical_matrices,
    frequencies_of,
    lines_along,
    path_matrices,
)
from aiida_mlcc.science.phonons.dispersion import band_path, frequencies
from aiida_mlcc.science.units import CM1_PER_THZ
from tests.crystals import rocksalt, spring_term

STIFF, SOFT = 5.0, 3.0
ALONG = np.array([[0.1, 0.2, q] for q in np.linspace(0.05, 0.5, 6)])


def matched_frequencies(members) -> np.ndarray:
    """Return the frequencies of all members branch by branch, cm⁻¹, shape (n_members, n_points, n_modes)."""
    branches = branches_of(members)
    return np.array([branches.frequencies_cm1(matrices) for matrices in members])


def phonon_of(term, size=2, nac=None):
    model = ForceConstantsModel(term)
    phonon = Phonopy(to_phonopy(model.primitive), np.eye(3, dtype=int) * size, primitive_matrix='P')
    phonon.force_constants = model.bind(supercell(model.primitive, size)).force_constants()
    phonon.nac_params = nac
    return phonon


def chain(along_x, along_y, mixed=0.0):
    """Chains along z of one atom a cell: x and y move on springs of their own, mixed where asked for; z on none."""
    primitive = Atoms('C', cell=[4, 4, 1.5], pbc=True)
    block = np.array([[along_x, mixed, 0], [mixed, along_y, 0], [0, 0, 1.0]])
    pairs, vectors = np.zeros((3, 2), dtype=int), np.array([[0, 0, 0], [0, 0, 1], [0, 0, -1]])
    return phonon_of(force_constants_term(primitive, pairs, vectors, np.array([2 * block, -block, -block]), 1.6), 4)


def expected(spring):
    """ω of a chain of one atom is proportional to √k·|sin(πq)|; the sd over two members is |Δω|/√2."""
    reference = frequencies_of(dynamical_matrices(chain(1.0, 1.0), ALONG))[:, 2]
    return np.sqrt(spring) * reference


def test_members_whose_branches_have_changed_places_have_their_spread_though_sorted_they_have_none():
    members = [dynamical_matrices(chain(*springs), ALONG) for springs in ((STIFF, SOFT), (SOFT, STIFF))]
    sorted_ones = [frequencies_of(matrices) for matrices in members]
    assert np.allclose(np.std(sorted_ones, axis=0), 0, atol=1e-6)
    found = matched_frequencies(members)
    difference = expected(STIFF) - expected(SOFT)
    widths = np.sort(np.ptp(found, axis=0), axis=1)
    assert np.allclose(widths[:, 1:], difference[:, None], rtol=1e-6)
    assert np.allclose(widths[:, 0], 0, atol=1e-6)


def test_a_crossing_along_the_path_does_not_swap_the_members():
    """Three members, x stiffening and y softening: the spread of x is that of its own springs, not of the envelope."""
    springs = ((3.0, 4.2), (4.0, 4.0), (5.0, 3.8))
    found = matched_frequencies([dynamical_matrices(chain(*pair), ALONG) for pair in springs])
    of_x = np.array([expected(pair[0]) for pair in springs])
    of_y = np.array([expected(pair[1]) for pair in springs])
    for branch, values in zip((2, 1), (of_x, of_y), strict=True):
        close = [np.allclose(found[..., number], values, rtol=1e-6) for number in (1, 2)]
        assert sum(close) == 1, f'no branch {branch} follows its springs'


def test_eigenvectors_that_turn_a_little_keep_their_branch():
    members = [chain(STIFF, SOFT, 0.1), chain(STIFF + 0.2, SOFT, -0.1), chain(STIFF, SOFT + 0.2, 0.05)]
    matrices = [dynamical_matrices(member, ALONG) for member in members]
    assert np.allclose(matched_frequencies(matrices), [frequencies_of(one) for one in matrices])


@pytest.fixture(scope='module')
def crystals():
    return [phonon_of(spring_term(rocksalt(), 3.0, along, across)) for along, across in ((8, 1), (9, 1.2), (7, 1.5))]


@pytest.fixture(scope='module')
def path():
    return band_path(rocksalt(), points=11)


def bands_of_phonopy(phonon, path):
    """Return the frequencies of phonopy's own band structure, cm⁻¹."""
    phonon.run_band_structure([path.qpoints[first : last + 1] for first, last in path.segments])
    return np.concatenate(phonon.get_band_structure_dict()['frequencies']) * CM1_PER_THZ


def test_modes_that_only_members_tell_apart_come_by_their_mean_frequency():
    """A single mode crosses a pair in one member of three, the one that splits them most; in the mean it is below."""
    squares = [(899, 902, 902, 1000), (899, 902, 902, 1000), (903, 898, 898, 1000)]
    members = [np.diag(values).astype(complex)[None] for values in squares]
    branches = branches_of(members)
    assert np.abs(branches.vectors[0]).argmax(axis=0).tolist() == [0, 1, 2, 3]
    found = matched_frequencies(members)[:, 0]
    assert np.allclose((found / CM1_PER_THZ) ** 2, squares)


def test_one_member_is_as_phonopy_sorts_it(crystals, path):
    (found,) = matched_frequencies([path_matrices(crystals[0], path)])
    assert np.allclose(found, bands_of_phonopy(crystals[0], path), atol=1e-4)


def test_transverse_pairs_stay_together_and_carry_the_same_spread(crystals, path):
    matrices = [path_matrices(crystal, path) for crystal in crystals]
    found = matched_frequencies(matrices)
    first, last = path.segments[0]
    for point in range(first + 1, last):
        values = found[:, point]
        pairs = [(i, j) for i in range(6) for j in range(i) if np.allclose(values[:, i], values[:, j], atol=1e-4)]
        assert len(pairs) == 2, 'Γ–X of rocksalt has two pairs of transverse branches'
    sets = branches_of(matrices).sets[first + 1]
    assert len(np.unique(sets)) == 4


def test_the_order_of_the_members_does_not_matter(crystals, path):
    matrices = [path_matrices(crystal, path) for crystal in crystals]
    straight = matched_frequencies(matrices)
    assert np.allclose(matched_frequencies(matrices[::-1])[::-1], straight, atol=1e-6)
    crossing = [dynamical_matrices(chain(*springs), ALONG) for springs in ((5, 3), (3, 5), (4, 3.9))]
    ahead, behind = matched_frequencies(crossing), matched_frequencies(crossing[::-1])[::-1]
    assert np.allclose(np.sort(np.ptp(ahead, axis=0)), np.sort(np.ptp(behind, axis=0)), atol=1e-6)


def test_frequencies_are_those_of_phonopy_also_with_charges(path):
    nac = {'born': np.array([np.eye(3), -np.eye(3)]), 'dielectric': 2.0 * np.eye(3), 'factor': 14.4}
    polar = phonon_of(spring_term(rocksalt(), 3.0), nac=nac)
    assert np.allclose(frequencies_of(path_matrices(polar, path)), bands_of_phonopy(polar, path), atol=1e-4)
    gamma = dynamical_matrices(polar, [0, 0, 0], [1, 0, 1])
    assert np.allclose(frequencies_of(gamma), frequencies(polar, [0, 0, 0], [1, 0, 1]), atol=1e-4)


def test_no_members_are_refused():
    with pytest.raises(ValueError, match='no members'):
        matched_frequencies([])


def crossing(n_points):
    """Two modes whose ω² cross halfway, at a point of the path if these are odd, and which turn slowly along it."""
    along = np.linspace(0, 1, n_points)
    matrices = []
    for at in along:
        turned = np.array([[np.cos(0.3 * at), np.sin(0.3 * at)], [-np.sin(0.3 * at), np.cos(0.3 * at)]])
        matrices.append(turned @ np.diag([100 + 50 * at, 150 - 50 * at]) @ turned.T)
    return np.array(matrices, dtype=complex), np.column_stack([along, 0 * along, 0 * along])


@pytest.mark.parametrize('n_points', [20, 21])
def test_lines_cross_where_ascending_frequencies_would_turn_away(n_points):
    matrices, qpoints = crossing(n_points)
    lines = lines_along(matrices, qpoints, [(0, n_points - 1)])
    found = np.take_along_axis(frequencies_of(matrices), lines, axis=1)
    rising = CM1_PER_THZ * np.sqrt(100 + 50 * qpoints[:, 0])
    assert np.allclose(found[:, 0], rising)


def test_where_modes_are_degenerate_a_line_keeps_the_value_it_comes_with():
    matrices, qpoints = crossing(21)
    at = qpoints[:, 0]
    rising, falling = np.full(21, 2.0), np.full(21, 1.0)
    values = np.where((at <= 0.5)[:, None], np.column_stack([rising, falling]), np.column_stack([falling, rising]))
    values[10] = [1.0, 2.0]
    lines = lines_along(matrices, qpoints, [(0, 20)], values)
    assert np.allclose(np.take_along_axis(values, lines, axis=1), [2.0, 1.0])


def test_lines_begin_anew_where_the_path_jumps_and_go_on_where_it_does_not():
    matrices, qpoints = crossing(20)
    there = np.concatenate([matrices, matrices[-1:], matrices[:5]])
    points = np.concatenate([qpoints, qpoints[-1:], qpoints[:5]])
    lines = lines_along(there, points, [(0, 19), (20, 20), (21, 25)])
    assert lines[19].tolist() == lines[20].tolist() == [1, 0]
    assert lines[21].tolist() == [0, 1]
