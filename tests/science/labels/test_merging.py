import numpy as np
import pytest

from aiida_mlcc.science.labels.merging import (
    label_by_contributions,
    made_with,
    merge_labels,
    missing_labels,
    replace_hartree_fock,
)
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError

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


def test_energies_are_sums_of_contributions_as_far_as_those_go(frames):
    contributions = {
        'hf': np.array([-10.0, -11.0, np.nan, -13.0, -14.0]),
        'ccsd': np.array([-1.0, np.nan, -1.2, -1.3, -1.4]),
        'ccsd_basis_set': np.full(5, -0.1),
    }
    labelled = label_by_contributions(frames, ['HF', 'CCSD'], contributions, lambda method: {**SOURCE, 'of': method})
    assert np.array_equal(labelled.labels['HF'].energies, contributions['hf'], equal_nan=True)
    ccsd = labelled.labels['CCSD']
    assert ccsd.energies == pytest.approx([-11.1, np.nan, np.nan, -14.4, -15.5], nan_ok=True)
    assert set(ccsd.contributions) == {'hf', 'ccsd', 'ccsd_basis_set'}
    assert ccsd.source['of'] == 'CCSD'


def test_method_of_which_a_contribution_is_missing_everywhere_has_no_label(frames):
    labelled = label_by_contributions(frames, ['HF', 'CCSD(T)'], {'hf': np.ones(5), 'ccsd': np.ones(5)}, lambda _: {})
    assert labelled.methods == ('HF',)


PLANE_WAVES = {'engine': 'quantumespresso', 'kpoints': [2, 2, 2]}


@pytest.fixture
def correlated(frames):
    """MP2 of all frames, on a Hartree–Fock energy of −10 eV."""
    parts = {'hf': np.full(5, -10.0), 'mp2': np.arange(5) / 10}
    return label_by_contributions(frames, ['HF', 'MP2'], parts, lambda _: {**SOURCE, 'hf_kpoints': [3, 3, 3]})


def test_correlation_stands_on_the_hartree_fock_energy_of_another_calculation(frames, correlated):
    forces = np.random.default_rng(1).normal(size=(2, 2, 3))
    other = frames.select([3, 1]).with_label('HF', Label(np.array([-23.0, -21.0]), forces, PLANE_WAVES))
    found = replace_hartree_fock(correlated, other).labels
    assert found['MP2'].energies == pytest.approx([np.nan, -20.9, np.nan, -22.7, np.nan], nan_ok=True)
    assert found['MP2'].source == {**SOURCE, 'hf_source': PLANE_WAVES}
    assert found['MP2'].contributions['hf'] == pytest.approx([np.nan, -21, np.nan, -23, np.nan], nan_ok=True)
    assert found['HF'].energies == pytest.approx([np.nan, -21, np.nan, -23, np.nan], nan_ok=True)
    assert found['HF'].source == PLANE_WAVES
    assert np.array_equal(found['HF'].forces[1], forces[1])


def test_labels_of_two_sources_are_not_taken_for_those_of_one(frames, correlated):
    other = frames.with_label('HF', Label(np.full(5, -20.0), None, PLANE_WAVES))
    composed = replace_hartree_fock(correlated, other)
    assert not made_with(composed.labels['MP2'].source, SOURCE)
    with pytest.raises(SnapshotsError, match='different sources'):
        merge_labels(composed, [correlated])


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda mine, other: (mine, other.without_labels()), 'there is no HF energy to be taken'),
        (lambda mine, other: (other, other), 'no energy beyond Hartree–Fock'),
        (lambda mine, other: (mine.select([0]), other.select([1])), 'none of the 1 snapshots'),
        (
            lambda mine, other: (other.with_label('MP2', Label(np.ones(5), None, SOURCE)), other),
            'the MP2 labels do not say which part of their energy is Hartree–Fock',
        ),
    ],
)
def test_sum_that_lacks_a_part_is_refused(frames, correlated, change, reason):
    mine, other = change(correlated, frames.with_label('HF', Label(np.full(5, -20.0), None, PLANE_WAVES)))
    with pytest.raises(SnapshotsError, match=reason):
        replace_hartree_fock(mine, other)
