import numpy as np
import pytest

from aiida_mlcc.science.selection import SelectionError, select
from aiida_mlcc.science.snapshots import Snapshots


@pytest.fixture
def snapshots() -> Snapshots:
    return Snapshots(('C',), np.array([np.eye(3) * 3] * 40), np.zeros((40, 1, 3)))


def test_a_random_selection_is_sorted_without_repeats_and_fixed_by_its_seed(snapshots):
    chosen = select(snapshots, {'kind': 'random', 'n': 16, 'seed': 7})
    assert len(chosen) == 16
    assert np.all(np.diff(chosen) > 0)
    assert np.array_equal(chosen, select(snapshots, {'kind': 'random', 'n': 16, 'seed': 7}))
    assert not np.array_equal(chosen, select(snapshots, {'kind': 'random', 'n': 16, 'seed': 8}))


def test_a_larger_random_selection_contains_the_smaller_one_of_the_same_seed(snapshots):
    small, large = (select(snapshots, {'kind': 'random', 'n': n, 'seed': 7}) for n in (10, 25))
    assert set(small) < set(large)


def test_frames_are_drawn_from_the_whole_trajectory(snapshots):
    drawn = np.concatenate([select(snapshots, {'kind': 'random', 'n': 4, 'seed': seed}) for seed in range(200)])
    counts = np.bincount(drawn, minlength=40)
    # 800 draws over 40 frames: 20 each, standard deviation 4.2.
    assert counts.min() >= 5
    assert counts.max() <= 40


def test_even_and_whole_selections(snapshots):
    assert np.array_equal(select(snapshots, {'kind': 'every', 'n': 4}), [0, 13, 26, 39])
    assert np.array_equal(select(snapshots, {'kind': 'all'}), np.arange(40))


@pytest.mark.parametrize(
    ('selection', 'sentence'),
    [
        ({'kind': 'best', 'n': 3}, 'unknown kind'),
        ({'n': 3, 'seed': 1}, 'unknown kind'),
        ({'kind': 'random', 'n': 3, 'seed': 1, 'sed': 2}, 'has no sed'),
        ({'kind': 'random', 'n': 3}, 'needs seed'),
        ({'kind': 'random', 'n': 41, 'seed': 1}, '41 frames asked for, of 40'),
        ({'kind': 'random', 'n': 0, 'seed': 1}, '0 frames'),
        ({'kind': 'random', 'n': 2.5, 'seed': 1}, 'whole number'),
        ({'kind': 'random', 'n': 3, 'seed': None}, 'whole number'),
    ],
)
def test_a_selection_that_cannot_be_made_is_an_error(snapshots, selection, sentence):
    with pytest.raises(SelectionError, match=sentence):
        select(snapshots, selection)
