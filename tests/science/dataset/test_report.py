"""What a report says of energies, motion and crystal, on frames of which it is known."""

import json

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.cli.dataset_text import lines
from aiida_mlcc.science.crystal.cells import CrystalError
from aiida_mlcc.science.dataset.crystal import describe_crystal, find_sites
from aiida_mlcc.science.dataset.energies import describe_difference
from aiida_mlcc.science.dataset.motion import Motion, describe_motion
from aiida_mlcc.science.dataset.report import describe
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.published_files import crystal, structures

N = 80


def energies_of(base: np.ndarray, other: np.ndarray) -> Snapshots:
    frames = structures(len(base))
    return frames.with_label('PBE', Label(base)).with_label('HF', Label(other))


@pytest.fixture
def base() -> np.ndarray:
    return -100 + np.random.default_rng(2).uniform(0, 5, N)


def test_spread_is_the_standard_deviation_of_the_difference_per_atom(base):
    assert describe_difference(energies_of(base, 1.25 * base - 7), 'PBE', 'HF').spread_mev_atom == pytest.approx(
        0.25 * np.std(base) * 1000 / 8
    )


def test_slope_and_outlier_are_found_where_they_were_put(base):
    noise = np.random.default_rng(3).normal(scale=1e-3, size=N)
    other = 1.2 * base + 3 + noise
    other[17] += 0.5
    found = describe_difference(energies_of(base, other), 'PBE', 'HF')
    assert found.slope == pytest.approx(1.2, abs=1e-3)
    assert [outlier.frame for outlier in found.outliers] == [17]
    assert found.outliers[0].residual_mev_atom == pytest.approx(1000 * 0.5 / 8, rel=0.02)


def test_noise_that_grows_with_the_energy_makes_no_outlier(base):
    noise = np.random.default_rng(3).uniform(-1, 1, N) * 0.05 * (base - base.min())
    assert describe_difference(energies_of(base, base + noise), 'PBE', 'HF').outliers == ()


def test_rounding_makes_no_outlier(base):
    rounded = np.round(1.1 * base, 3)
    rounded[5] += 0.002
    assert describe_difference(energies_of(base, rounded), 'PBE', 'HF', decimals=3).outliers == ()


def test_of_few_energies_nothing_is_judged(base):
    found = describe_difference(energies_of(base[:5], base[:5] * 3), 'PBE', 'HF')
    assert found.slope is None
    assert found.outliers == ()


def drifting(shifts: np.ndarray, amplitude: float = 0.05) -> Snapshots:
    """Return frames on a smooth path, shifted as a whole and wrapped into the cell."""
    n_frames = len(shifts)
    phases = np.random.default_rng(5).uniform(0, 2 * np.pi, (8, 3))
    moves = amplitude * np.sin(np.linspace(0, 3, n_frames)[:, None, None] + phases)
    atoms = crystal()
    cell = atoms.cell.array
    fractions = (atoms.positions + moves + shifts[:, None]) @ np.linalg.inv(cell)
    cells = np.array([cell] * n_frames)
    return Snapshots(tuple(atoms.get_chemical_symbols()), cells, (fractions % 1.0) @ cell)


def motion_of(frames: Snapshots) -> Motion:
    return describe_motion(frames, find_sites(frames))


def test_a_drift_beyond_the_cell_is_followed_through_a_trajectory():
    shifts = np.linspace([0, 0, 0], [6.0, 0, 2.5], 60)
    found = motion_of(drifting(shifts, amplitude=0.02))
    assert found.looks_like_trajectory
    assert found.drift_angstrom == pytest.approx(6.5, abs=0.05)
    assert found.drift_in_frame == 59


def test_the_centre_of_mass_counts_by_mass():
    frames = structures(20, amplitude=0.0)
    apart = np.array([[0.1, 0, 0] if symbol == 'Li' else [-0.1, 0, 0] for symbol in frames.symbols])
    positions = frames.positions.copy()
    positions[7] += apart
    masses = frames.atoms(0).get_masses()
    found = motion_of(Snapshots(frames.symbols, frames.cells, positions))
    assert found.drift_angstrom == pytest.approx(0.1 * (masses * np.sign(apart[:, 0])).sum() / masses.sum(), abs=1e-6)


def test_displacements_are_free_of_the_drift():
    shifts = np.linspace([0, 0, 0], [6.0, 0, 2.5], 60)
    still, moving = motion_of(drifting(0 * shifts)), motion_of(drifting(shifts))
    assert moving.rms_displacement_angstrom == pytest.approx(still.rms_displacement_angstrom, rel=1e-6)


def test_a_shuffled_trajectory_does_not_look_like_one():
    frames = drifting(np.zeros((60, 3)))
    assert motion_of(frames).looks_like_trajectory
    assert not motion_of(frames.select(np.random.default_rng(0).permutation(60))).looks_like_trajectory


def test_a_frame_with_an_atom_on_the_way_to_another_site_is_named():
    frames = structures(30, amplitude=0.01)
    positions = frames.positions.copy()
    positions[11, 0, 0] += 1.2
    assert motion_of(Snapshots(frames.symbols, frames.cells, positions)).off_site == (11,)


def test_the_crystal_is_found_in_the_mean_of_moving_atoms():
    found = find_sites(structures(200, amplitude=0.1)).primitive
    assert found.get_chemical_formula() == 'HLi'
    assert found.get_volume() == pytest.approx(4.0**3 / 4)
    assert found.get_distance(0, 1, mic=True) == pytest.approx(2.0)


def test_atoms_in_no_order_have_no_crystal():
    places = np.random.default_rng(8).uniform(0, 4, (8, 3))
    frames = structures(10, amplitude=0.01)
    jumbled = Snapshots(frames.symbols, frames.cells, frames.positions - crystal().positions + places)
    found = describe(jumbled.with_label('PBE', Label(np.arange(10.0))), 'PBE')[0]
    assert found.crystal is None or found.crystal.formula == 'Li4H4'


def test_a_crystal_that_the_frames_do_not_belong_to_is_refused():
    with pytest.raises(CrystalError, match='strain'):
        find_sites(structures(), bulk('LiH', 'rocksalt', a=4.2))


def test_the_report_is_plain_json():
    frames = structures(10).with_label('PBE', Label(np.arange(10.0))).with_label('HF', Label(np.arange(10.0) ** 2))
    report = describe(frames, 'PBE')[0].plain()
    assert json.loads(json.dumps(report))['differences']['HF']['n_frames'] == 10


@pytest.mark.parametrize(('off_centre', 'group'), [(0.0, 'Pm-3m'), (0.06, 'P4mm'), (0.12, 'P4mm')])
def test_a_sublattice_off_centre_is_not_symmetrised(off_centre, group):
    """CsCl structure with one sublattice along z: each of the 54 atoms moves by far more, their mean does not."""
    ideal = bulk('CsCl', 'cesiumchloride', a=4.1) * (3, 3, 3)
    random = np.random.default_rng(4)
    moves = random.normal(scale=0.15, size=(30, 54, 3))
    moves[:, 1::2, 2] += off_centre
    frames = Snapshots(tuple(ideal.symbols), np.array([ideal.cell.array] * 30), ideal.positions + moves)
    sites = find_sites(frames)
    assert len(sites.primitive) == 2
    assert describe_crystal(sites, given=False).space_group == group
    if off_centre:
        z = sites.primitive.positions[:, 2] - sites.primitive.positions[0, 2]
        assert abs(abs(z[1]) - 2.05) == pytest.approx(off_centre, abs=0.015)


def test_two_frames_are_a_sentence():
    text = ' '.join(lines(describe(structures(2, amplitude=0.1).with_label('PBE', Label(np.arange(2.0))), 'PBE')[0]))
    assert 'is the mean of 2 frames only' in text or 'mean structure, of 2 frames only: name it' in text
