"""Each harmonic peak has its own peak in dynamics, and its shift scatters by as much as is stated."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from aiida_mlcc.science.dynamics.vdos import line_shape, resolution_cm1
from aiida_mlcc.science.dynamics.vdos_peaks import PeakCurves, compare_peaks

GRID = np.arange(0, 1500, 0.5)
N_CELLS = 64
NEIGHBOURS = np.repeat([970.0, 1000.0, 1030.0, 1300.0], [20, 10, 40, 30])
BAND = np.repeat(np.linspace(495, 505, 30), 3)


def curve(modes, energies, lag_fs):
    lines, which = np.unique(modes, return_inverse=True)
    return lines_of(tuple(lines), lag_fs) @ np.bincount(which, energies) / N_CELLS


@cache
def lines_of(modes, lag_fs):
    return line_shape(GRID[:, None] - np.array(modes), 'hann', lag_fs)


def member(modes, moved, energies, lag_fs, blocks=None, n_independent=1.0):
    harmonic = curve(modes, np.ones(len(modes)), lag_fs)
    blocks = np.empty((0, len(GRID))) if blocks is None else blocks
    return PeakCurves(harmonic, curve(moved, energies, lag_fs), blocks, modes, n_independent, N_CELLS)


def peaks(members, lag_fs):
    return compare_peaks(GRID, members, resolution_cm1('hann', lag_fs), 'hann', lag_fs)


@pytest.mark.parametrize('shift', [-5.0, 12.0, -20.0])
def test_neighbours_are_not_confused_also_where_all_have_moved_by_more_than_half_of_their_distance(shift):
    moved = NEIGHBOURS + np.where(NEIGHBOURS < 1200, shift, -3.0)
    found = peaks([member(NEIGHBOURS, moved, np.ones(100), 6000.0)], 6000.0)
    assert [peak['harmonic_cm1'] for peak in found] == pytest.approx([970, 1000, 1030, 1300], abs=0.1)
    assert [peak['shift_cm1'] for peak in found] == pytest.approx([shift, shift, shift, -3], abs=0.1)


def test_a_peak_that_is_gone_does_not_take_its_neighbours():
    energies = np.where(NEIGHBOURS == 1000, 0.0, 1.0)
    found = peaks([member(NEIGHBOURS, NEIGHBOURS - 5, energies, 6000.0)], 6000.0)
    assert [peak['n_members'] for peak in found] == [1, 0, 1, 1]
    assert found[1]['vacf_cm1'] is None
    assert [found[n]['shift_cm1'] for n in (0, 2, 3)] == pytest.approx([-5, -5, -5], abs=0.1)


@pytest.mark.parametrize('shift', [0.0, -5.0, -20.0])
def test_the_stated_error_is_the_scatter_of_the_shift_however_large_that_is(shift):
    random = np.random.default_rng(1)
    found = [peaks([member(BAND, BAND + shift, random.exponential(size=90), 3000.0)], 3000.0)[0] for _ in range(100)]
    scatter = np.std([peak['shift_cm1'] for peak in found])
    assert np.mean([peak['error_cm1'] for peak in found]) == pytest.approx(scatter, rel=0.25)


def test_blocks_that_repeat_one_another_count_once():
    """Lines that wander by 2 cm⁻¹ from draw to draw: four draws are off by 1, however many blocks show them."""
    random = np.random.default_rng(2)
    mode = np.full(90, 500.0)
    positions, errors = [], []
    for _ in range(100):
        draws = np.array([curve(mode + 2 * random.normal(), np.ones(90), 3000.0) for _ in range(4)])
        one = member(mode, mode, np.ones(90), 3000.0, np.repeat(draws, 4, axis=0), n_independent=4.0)
        one = PeakCurves(one.harmonic, draws.mean(axis=0), one.blocks, one.modes_cm1, 4.0, N_CELLS)
        (peak,) = peaks([one], 3000.0)
        positions.append(peak['shift_cm1'])
        errors.append(peak['error_cm1'])
    assert np.std(positions) == pytest.approx(1, rel=0.2)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1, rel=0.25)


def test_members_of_one_crystal_scatter_by_their_sampling_and_that_counts_once():
    random = np.random.default_rng(3)
    errors, shifts = [], []
    for _ in range(40):
        members = [member(BAND, BAND - 5, random.exponential(size=90), 3000.0) for _ in range(6)]
        shifts += [peaks([one], 3000.0)[0]['shift_cm1'] for one in members]
        errors.append(peaks(members, 3000.0)[0]['error_cm1'])
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(shifts), rel=0.25)


def test_pairs_keep_their_order_whatever_their_heights():
    def gaussians(heights):
        return sum(height * np.exp(-(((GRID - at) / 5) ** 2) / 2) for at, height in heights.items())

    harmonic = gaussians({1401: 1.36, 1423: 1.86, 1447: 1.47})
    total = gaussians({1386: 2.07, 1412: 1.48, 1430: 3.29})
    modes = np.repeat([1401.0, 1423.0, 1447.0], 10)
    one = PeakCurves(harmonic, total, np.empty((0, len(GRID))), modes, 1.0, N_CELLS)
    found = compare_peaks(GRID, [one], 14.0, 'hann', 6000.0)
    assert [peak['harmonic_cm1'] for peak in found] == pytest.approx([1401, 1423, 1447], abs=1)
    assert [peak['vacf_cm1'] for peak in found] == pytest.approx([1386, 1412, 1430], abs=1)
