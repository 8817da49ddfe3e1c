"""The page "Use it from Python", run on a crystal of springs, whose frequencies are known in closed form."""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from scipy import constants

from tests.crystals import heated, rocksalt, rocksalt_cube, spring_label, spring_term
from tests.examples.pages import blocks

pytestmark = pytest.mark.nightly

DFT, CCSD_T = (2.7, 0.3), (2.9, 0.45)
"""Stiffness of the springs between nearest neighbours along the bond, and in every direction, eV/Å²."""

NOISE_EV = 5e-4
N_FRAMES, N_ENERGIES = 30, 24


def frequencies_cm1(along: float, across: float) -> dict[str, list[float]]:
    """Return the frequencies of rocksalt with such springs at Γ and X, ascending.

    Each of two sublattices is held by k = 2l + 4t. At Γ they move against each other; at X, (0 0 2π/a), the neighbours
    along z move the other way, so that they couple by 4t − 2l along z and by 2l along x and y.
    """
    longitudinal, transverse = along + across, across
    stiffness = 2 * longitudinal + 4 * transverse
    roots = np.sqrt(rocksalt().get_masses() * constants.atomic_mass)

    def pair(coupling: float) -> list[float]:
        matrix = np.array([[stiffness, -coupling], [-coupling, stiffness]]) / np.outer(roots, roots)
        squares = np.maximum(np.linalg.eigvalsh(matrix) * constants.e / constants.angstrom**2, 0.0)
        return (np.sqrt(squares) / (2 * np.pi * constants.c * 100)).tolist()

    at_x = [*pair(4 * transverse - 2 * longitudinal), *2 * pair(2 * longitudinal)]
    return {'GAMMA': sorted(3 * pair(stiffness)), 'X': sorted(at_x)}


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """Run all blocks of the page one after the other, beside the two files, and return what they define."""
    folder = tmp_path_factory.mktemp('page')
    primitive, cell = rocksalt(), rocksalt_cube()
    nearest, moved = 1.1 * primitive.get_distance(0, 1, mic=True), heated(cell, N_FRAMES, seed=3)
    dft, ccsd_t = (
        spring_label(spring_term(primitive, nearest, *pair, weaken=0.0), cell, moved) for pair in (DFT, CCSD_T)
    )
    random = np.random.default_rng(5)
    images, costly = [], []
    for frame in range(N_FRAMES):
        atoms = cell.copy()
        atoms.positions += moved[frame]
        atoms.calc = SinglePointCalculator(atoms, energy=dft.energies[frame] - 100.0, forces=dft.forces[frame])
        images.append(atoms)
    for frame in random.permutation(N_FRAMES)[:N_ENERGIES]:
        atoms = images[frame].copy()
        energy = ccsd_t.energies[frame] - 90.0 + NOISE_EV * random.normal()
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        costly.append(atoms)
    write(folder / 'dft.xyz', images, format='extxyz')
    write(folder / 'ccsdt.xyz', costly, format='extxyz')
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv('MPLBACKEND', 'Agg')
        for block in blocks('howto/python.md', 'python'):
            exec(block, names)
    return folder, names


@pytest.mark.parametrize('label', ['GAMMA', 'X'])
def test_error_bars_hold_the_frequencies_of_the_springs(page, label):
    point = page[1]['bands'].special_points[label]
    expected = frequencies_cm1(*CCSD_T)[label]
    assert (np.abs(point.frequencies_cm1 - expected) < 3 * point.sd_cm1 + 0.05).all()


def test_error_bars_are_those_of_the_noise_and_not_of_the_difference_of_methods(page):
    """The optical mode moves by tens of cm⁻¹ from DFT to CCSD(T)."""
    optical, of_dft = (frequencies_cm1(*pair)['GAMMA'][-1] for pair in (CCSD_T, DFT))
    sd = page[1]['bands'].special_points['GAMMA'].sd_cm1[-1]
    assert 0.0 < sd < 0.2 * (optical - of_dft)


def test_points_outside_the_training_cell_are_marked(page):
    held = {label: point.commensurate for label, point in page[1]['bands'].special_points.items()}
    assert (held['GAMMA'], held['X'], held['L']) == (True, True, False)


def test_first_block_is_fifteen_lines():
    assert len(blocks('howto/python.md', 'python')[0].splitlines()) <= 15


def test_density_of_states_holds_all_modes(page):
    assert [curve.total.sum() for curve in page[1]['states'].values()] == pytest.approx([6.0] * 3, abs=0.05)


def test_force_field_is_the_same_from_its_folder(page):
    names = page[1]
    assert names['force_field'].content_hash() == names['ensemble'].members[1].content_hash()


def test_spectrum_of_the_page_peaks_where_the_atom_vibrates(page):
    found = page[1]['found']
    assert found.frequencies_cm1[found.total.argmax()] == pytest.approx(500.0, abs=found.resolution_cm1)
