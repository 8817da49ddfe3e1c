import numpy as np
import pytest

from aiida_mlcc.science.labelling import made_with, merge_labels, missing_labels
from aiida_mlcc.science.snapshots import Label, Snapshots, SnapshotsError

SOURCE = {'engine': 'pyscf', 'basis': 'gth-szv'}


@pytest.fixture
def frames():
    positions = np.random.default_rng(0).uniform(0, 4, size=(5, 2, 3))
    return Snapshots(('Li', 'H'), np.array([np.eye(3) * 4] * 5), positions)


def test_labels_find_their_structures_and_keep_what_is_there(frames):
    forces = np.random.default_rng(1).normal(size=(2, 2, 3))
    done = frames.select([3, 1]).with_label('HF', Label(np.array([-3.0, -1.0]), forces, SOURCE, {'hf': np.ones(2)}))
    first = merge_labels(frames, [done])
    assert np.array_equal(first.labels['HF'].energies, [np.nan, -1, np.nan, -3, np.nan], equal_nan=True)
    assert np.array_equal(first.labels['HF'].forces[3], forces[0])
    assert missing_labels(first, ['HF']) == [0, 2, 4]
    assert missing_labels(first, ['HF', 'MP2']) == [0, 1, 2, 3, 4]
    more = frames.select([1, 0]).with_label('HF', Label(np.array([-99.0, -0.5]), None, SOURCE))
    second = merge_labels(first, [more])
    assert np.array_equal(second.labels['HF'].energies, [-0.5, -1, np.nan, -3, np.nan], equal_nan=True)


def test_labels_of_other_settings_are_not_merged(frames):
    one = frames.with_label('HF', Label(np.ones(5), None, SOURCE))
    other = frames.with_label('HF', Label(np.ones(5), None, {**SOURCE, 'basis': 'gth-dzvp'}))
    with pytest.raises(SnapshotsError, match='HF labels come from different sources'):
        merge_labels(one, [other])


def test_settings_are_compared_but_for_those_ignored():
    assert made_with({**SOURCE, 'version': '2.14'}, SOURCE)
    assert not made_with(SOURCE, {'basis': 'gth-dzvp'})
