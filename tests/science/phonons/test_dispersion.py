import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from phonopy import Phonopy
from scipy import constants
from scipy.spatial.transform import Rotation

from aiida_mlcc.science.crystal.cells import CrystalError, from_phonopy, supercell, to_phonopy
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel, force_constants_term
from aiida_mlcc.science.phonons.branches import frequencies_of, path_matrices
from aiida_mlcc.science.phonons.dispersion import (
    band_group_velocities,
    band_path,
    density_of_states,
    directions_at_gamma,
    frequencies,
    frequency_grid,
    imaginary_modes,
    special_points,
    spread,
)
from aiida_mlcc.science.units import CM1_PER_THZ

SPRING, LIGHT, HEAVY = 4.0, 1.0, 7.0
LENGTH = 3.0


def phonon_of(term, size=4, **settings):
    model = ForceConstantsModel(term)
    phonon = Phonopy(to_phonopy(model.primitive), np.eye(3, dtype=int) * size, primitive_matrix='P', **settings)
    phonon.force_constants = model.bind(supercell(model.primitive, size)).force_constants()
    return phonon


@pytest.fixture
def chain():
    """Chains of alternating masses along z, far apart in x and y, held together by nothing but springs along z."""
    primitive = Atoms('HLi', cell=[4, 4, LENGTH], scaled_positions=[[0, 0, 0], [0, 0, 0.5]], pbc=True)
    along = np.zeros((3, 3))
    along[2, 2] = SPRING
    term = force_constants_term(
        primitive,
        pairs=np.array([[0, 0], [1, 1], [0, 1], [0, 1], [1, 0], [1, 0]]),
        lattice_vectors=np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, -1], [0, 0, 0], [0, 0, 1]]),
        force_constants=np.array([2 * along, 2 * along, -along, -along, -along, -along]),
        cutoff=LENGTH / 2 + 0.1,
    )
    phonon = phonon_of(term)
    phonon.masses = [LIGHT, HEAVY]
    return phonon


def chain_cm1(phase):
    """The two branches of the diatomic chain (Ashcroft and Mermin, chapter 22), cm⁻¹."""
    unit = constants.e / constants.angstrom**2 / constants.atomic_mass
    total = 1 / LIGHT + 1 / HEAVY
    root = np.sqrt(total**2 - 4 * np.sin(phase / 2) ** 2 / (LIGHT * HEAVY))
    squares = SPRING * unit * np.array([total - root, total + root])
    return np.sqrt(squares) / (2 * np.pi * constants.c * 100)


def test_bands_of_the_diatomic_chain_are_the_analytic_ones(chain):
    fractions = np.linspace(0.05, 0.5, 10)
    found = frequencies(chain, [[0.13, 0.4, q] for q in fractions])
    assert np.allclose(found[:, 4:].T, chain_cm1(2 * np.pi * fractions), rtol=1e-6)
    assert np.allclose(found[:, :4], 0, atol=1e-2)


@pytest.mark.parametrize('sigma_cm1', [None, 2.0])
def test_density_of_states_of_the_diatomic_chain_is_the_analytic_one(chain, sigma_cm1):
    grid = np.arange(60.0, 1700.0, 1.0)
    found = density_of_states(chain, [1, 1, 400], grid, sigma_cm1)
    # Per branch, modes per cm⁻¹ are (1/π) |dφ/dν| for phases φ of 0 … π.
    phase = np.linspace(0, np.pi, 20001)
    acoustic, optical = chain_cm1(phase)
    expected = np.interp(grid, acoustic, np.gradient(phase, acoustic) / np.pi, left=0, right=0)
    expected += np.interp(grid, optical[::-1], np.gradient(phase, optical)[::-1] / -np.pi, left=0, right=0)
    away = np.all([abs(grid - edge) > 20 for edge in (acoustic.max(), optical.min(), optical.max())], axis=0)
    assert np.allclose(found.total[away], expected[away], rtol=0.03, atol=1e-6)
    assert np.allclose(sum(found.elements.values()), found.total)


def test_density_of_states_by_element_follows_the_eigenvectors(chain):
    grid = np.arange(60.0, 1700.0, 1.0)
    found = density_of_states(chain, [1, 1, 400], grid, 2.0)
    acoustic = grid < 700
    # ∫ of ω² over all modes of one atom is Φ_ii/m_i: a sum rule that knows nothing of eigenvectors.
    unit = constants.e / constants.angstrom**2 / constants.atomic_mass / (2 * np.pi * constants.c * 100) ** 2
    for symbol, mass in (('H', LIGHT), ('Li', HEAVY)):
        assert np.sum(found.elements[symbol] * grid**2) == pytest.approx(2 * SPRING / mass * unit, rel=0.01)
    assert found.elements['Li'][acoustic].sum() > found.elements['H'][acoustic].sum()


def test_density_of_states_integrates_to_three_modes_per_atom(springs, diamond):
    phonon = phonon_of(springs(diamond, 3.0))
    grid = frequency_grid([phonon], [6, 6, 6], 2.0)
    found = density_of_states(phonon, [6, 6, 6], grid, 5.0)
    assert found.total.sum() * 2.0 == pytest.approx(6, abs=1e-3)
    assert len(found.total) == len(grid)
    assert grid[0] < 0 < frequencies(phonon, [0, 0, 0]).max() < grid[-1]


@pytest.mark.parametrize('sigma_cm1', [5.0, 20.0])
def test_the_grid_holds_the_tails_of_wide_gaussians_of_a_soft_crystal(springs, diamond, sigma_cm1):
    phonon = phonon_of(springs(diamond, 3.0, along=0.08, across=0.01), size=2)
    assert frequencies(phonon, [[0, 0, 0]]).max() < 60
    grid = frequency_grid([phonon], [6, 6, 6], 1.0, sigma_cm1)
    assert density_of_states(phonon, [6, 6, 6], grid, sigma_cm1).total.sum() == pytest.approx(6, abs=2e-3)


@pytest.mark.parametrize('charged', [False, True])
def test_group_velocities_are_slopes_of_the_bands_also_where_they_start_at_gamma(springs, charged):
    crystal = bulk('LiF', 'rocksalt', a=4.03)
    phonon = phonon_of(springs(crystal, 3.0), size=2)
    if charged:
        charges = np.array([np.eye(3), -np.eye(3)])
        phonon.nac_params = {'born': charges, 'dielectric': 2 * np.eye(3), 'factor': 14.4, 'method': 'gonze'}
    given = {'points': {'GAMMA': [0, 0, 0], 'X': [0.5, 0.0, 0.5]}, 'path': [['GAMMA', 'X'], ['X', 'GAMMA']]}
    path = band_path(crystal, 5, given=given)
    found = band_group_velocities(phonon, path)
    way = np.array([0.5, 0.0, 0.5])
    reciprocal = 2 * np.pi * np.linalg.inv(crystal.cell.array).T
    length, unit = np.linalg.norm(way @ reciprocal), way @ reciprocal / np.linalg.norm(way @ reciprocal)
    # cm⁻¹ over 1/Å is 2πc·100·1e-10 m/s: in km/s.
    km_s = 2 * np.pi * constants.c * 100 * constants.angstrom / 1e3
    for index, here in ((0, 0.0), (1, 0.25), (len(found) - 1, 0.0)):
        start = max(here - 1e-3, 0.0)
        ahead, behind = frequencies(phonon, [(here + 1e-3) * way], way), frequencies(phonon, [start * way], way)
        slopes = np.abs(ahead - behind)[0] / ((here + 1e-3 - start) * length) * km_s
        assert np.allclose(np.abs(found[index] @ unit), slopes, atol=0.03), index
    assert np.linalg.norm(found[0, :3], axis=1).min() > 4, 'sound has a speed at Γ'


def test_gamma_of_another_zone_is_approached_from_its_segment_as_gamma_is():
    given = {'points': {'X': [0.0, 0.5, 0.5], 'AGAIN': [0, 1, 1], 'G': [0, 0, 0]}, 'path': [['X', 'AGAIN'], ['X', 'G']]}
    path = band_path(bulk('LiF', 'rocksalt', a=4.03), 5, given=given)
    assert directions_at_gamma(path) == {'AGAIN': [0.0, 0.5, 0.5], 'G': [0.0, -0.5, -0.5]}


def test_the_path_of_a_rotated_and_skewed_cell_leads_through_the_same_points(springs, diamond):
    other = diamond.copy()
    other.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 2, 1]]) @ diamond.cell.array)
    other.set_cell(other.cell.array @ Rotation.from_euler('xyz', [20, 35, 50], degrees=True).as_matrix(), True)
    bands = []
    for crystal in (diamond, other):
        phonon = phonon_of(springs(crystal, 3.0))
        path = band_path(from_phonopy(phonon.primitive), points=11)
        bands.append((path, frequencies_of(path_matrices(phonon, path))))
    (one, first), (two, second) = bands
    assert one.labels == two.labels
    assert np.allclose(one.distances, two.distances)
    assert np.allclose(first, second, atol=0.01)


def test_path_of_diamond_is_measured_in_reciprocal_angstroms_and_labelled_without_gaps(diamond):
    path = band_path(diamond, points=21)
    assert [label for _, label in path.labels] == ['GAMMA', 'X', 'U', 'K', 'GAMMA', 'L', 'W', 'X']
    assert path.distances[path.segments[0][1]] == pytest.approx(2 * np.pi / 3.56)
    for index, label in path.labels:
        assert np.allclose(path.qpoints[index], path.points[label])
    # X–U ends and K–Γ begins at the same place along the axis, one index on.
    jump = path.segments[1][1]
    assert path.distances[jump] == path.distances[jump + 1]
    assert max(last - first + 1 for first, last in path.segments) == 21
    assert list(special_points(path)) == ['GAMMA', 'X', 'U', 'K', 'L', 'W']


def test_special_points_of_diamond_are_where_textbooks_have_them(diamond):
    reciprocal = np.linalg.inv(diamond.cell.array).T * 3.56
    points = special_points(band_path(diamond))
    expected = {'GAMMA': [0, 0, 0], 'X': [0, 0, 1], 'L': [0.5, 0.5, 0.5], 'W': [0, 0.5, 1], 'K': [0, 0.75, 0.75]}
    for label, coordinates in expected.items():
        assert np.allclose(np.sort(np.abs(np.array(points[label]) @ reciprocal)), coordinates, atol=1e-8), label


def test_longitudinal_and_transverse_modes_split_at_gamma_where_there_are_charges(springs):
    crystal = bulk('LiF', 'rocksalt', a=4.03)
    phonon = phonon_of(springs(crystal, 3.0), size=2)
    path = band_path(crystal, points=5)
    without = frequencies_of(path_matrices(phonon, path))
    phonon.nac_params = {
        'born': np.array([np.eye(3), -np.eye(3)]),
        'dielectric': 2.0 * np.eye(3),
        'factor': 14.4,
        'method': 'gonze',
    }
    at_gamma = frequencies_of(path_matrices(phonon, path))[0]
    assert without[0, 5] - without[0, 4] == pytest.approx(0, abs=1e-3)
    assert at_gamma[4] == pytest.approx(at_gamma[3], abs=1e-3)
    # ω_LO² − ω_TO² = Z*² e²/(ε0 ε∞ V μ), with ω in SI.
    masses = crystal.get_masses() * constants.atomic_mass
    volume = crystal.get_volume() * constants.angstrom**3
    squares = constants.e**2 / (constants.epsilon_0 * 2.0 * volume) * np.sum(1 / masses)
    expected = squares / (2 * np.pi * constants.c * 100) ** 2
    assert at_gamma[5] ** 2 - at_gamma[4] ** 2 == pytest.approx(expected, rel=1e-3)


def test_a_path_needs_a_primitive_cell(diamond):
    with pytest.raises(CrystalError, match='primitive'):
        band_path(bulk('C', 'diamond', a=3.56, cubic=True))


def test_an_uneven_grid_and_a_strange_mesh_are_refused(chain):
    with pytest.raises(ValueError, match='even'):
        density_of_states(chain, [2, 2, 2], [0, 1, 3], 1.0)
    with pytest.raises(ValueError, match='three whole numbers'):
        density_of_states(chain, [2, 2], [0, 1, 2], 1.0)


def test_spread_is_that_of_the_sample():
    found = spread([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]])
    assert np.allclose(found['mean'], [3, 5])
    assert np.allclose(found['min'], [1, 5])
    assert np.allclose(found['max'], [6, 5])
    assert np.allclose(found['sd'], [np.sqrt((4 + 1 + 9) / 2), 0])
    assert np.allclose(spread([[1.0, 5.0]])['sd'], 0)
    with pytest.raises(ValueError, match='no members'):
        spread([])


def test_imaginary_modes_are_found_but_for_the_acoustic_ones_at_gamma():
    qpoints = [[0, 0, 0], [0.5, 0, 0], [1, 0, 0], [0.25, 0, 0]]
    values = [[-9, -8, 2, 100, 100, 100], [-30, 10, 20, 90, 90, 90], [-50, -1, 0, 1, 80, 90], [-4, 1, 2, 3, 4, 5]]
    found = imaginary_modes(qpoints, values)
    assert [(entry['qpoint'], entry['mode'], entry['frequency_cm1']) for entry in found] == [
        ([1, 0, 0], 0, -50),
        ([0.5, 0, 0], 0, -30),
    ]


def test_an_unstable_crystal_has_negative_frequencies(springs, diamond):
    phonon = phonon_of(springs(diamond, 2.0, along=8.0, across=-2.0))
    path = band_path(diamond, points=5)
    assert imaginary_modes(path.qpoints, frequencies_of(path_matrices(phonon, path)))


def test_the_unit_is_that_of_light():
    light_in_cm_per_ps = CM1_PER_THZ * 0.0299792458
    assert light_in_cm_per_ps == pytest.approx(1, rel=1e-12)
