"""Which snapshots are labelled, by every kind of selection."""

import numpy as np
import pytest

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.design.choose_snapshots import SelectionError, chosen_frames, refuse_selection, select
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.crystals import heated, snapshots_of, spring_label, spring_term


@pytest.fixture
def snapshots() -> Snapshots:
    return Snapshots(('C',), np.array([np.eye(3) * 3] * 40), np.zeros((40, 1, 3)))


def sprung(primitive, n_frames):
    cell = supercell(primitive, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    moved = heated(cell, n_frames)
    return snapshots_of(cell, moved, {'LDA': spring_label(spring_term(primitive, 3.0), cell, moved)})


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


def test_an_optimal_selection_is_sorted_and_contains_the_smaller_one(diamond):
    frames = sprung(diamond, 16)
    small, large = (select(frames, {'kind': 'optimal', 'n': n, 'seed': 7}, diamond) for n in (4, 9))
    assert np.all(np.diff(large) > 0)
    assert set(small) < set(large)
    at_gamma = select(frames, {'kind': 'optimal', 'n': 4, 'seed': 7, 'qpoints': [[0, 0, 0]]}, diamond)
    assert len(set(at_gamma)) == 4


def test_what_an_optimal_selection_lacks_is_said(snapshots, diamond):
    optimal = {'kind': 'optimal', 'n': 4, 'seed': 7}
    with pytest.raises(SelectionError, match='give its structure'):
        select(snapshots, optimal)
    with pytest.raises(SelectionError, match='from DFT forces'):
        select(snapshots, optimal, diamond)
    frames = sprung(diamond, 6)
    with pytest.raises(SelectionError, match='is not commensurate'):
        select(frames, {**optimal, 'qpoints': [[0.1, 0.2, 0.3]]}, diamond)
    with pytest.raises(SelectionError, match='depends on the structures'):
        chosen_frames(6, optimal)


def test_a_frozen_phonon_design_selects_none_of_the_frames_but_can_be_checked(snapshots):
    refuse_selection(40, {'kind': 'frozen-phonon', 'energy_mev_atom': 50.0})
    with pytest.raises(SelectionError, match='makes new structures'):
        select(snapshots, {'kind': 'frozen-phonon'})


@pytest.mark.parametrize(
    ('selection', 'sentence'),
    [
        ({'kind': 'best', 'n': 3}, "`kind` is 'best': choose from random, every, all, optimal, frozen-phonon"),
        ({'n': 3, 'seed': 1}, '`kind` is None'),
        ({'kind': ['random'], 'n': 3, 'seed': 1}, r"`kind` is \['random'\]: choose from random"),
        ({'kind': 'random', 'n': 3, 'seed': 1, 'sed': 2}, 'unknown .* setting `sed`'),
        ({'kind': 'random', 'n': 3}, 'setting `seed` is missing'),
        ({'kind': 'random', 'n': 41, 'seed': 1}, '41 frames asked for, of 40'),
        ({'kind': 'random', 'n': 0, 'seed': 1}, '`n` is 0, but must be at least 1'),
        ({'kind': 'random', 'n': 2.5, 'seed': 1}, 'whole number'),
        ({'kind': 'random', 'n': 3, 'seed': None}, '`seed` must have a value'),
        ({'kind': 'optimal', 'n': 3, 'seed': 1, 'qpoints': [0, 0, 0]}, 'three fractions each'),
        ({'kind': 'frozen-phonon', 'amplitude': 3}, 'unknown .* setting `amplitude`'),
    ],
)
def test_a_selection_that_cannot_be_made_is_an_error(snapshots, selection, sentence):
    with pytest.raises(SelectionError, match=sentence):
        select(snapshots, selection)
