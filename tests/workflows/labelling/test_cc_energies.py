"""CCEnergiesWorkChain with real PySCF, on the smallest insulating crystal that makes sense."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.workflows.energies import builder_of, helium, jobs_of, labelled_frames


@pytest.fixture(scope='module')
def labelled(python):
    """Two frames labelled by all methods, for tests that only read."""
    outputs, node = run_get_node(builder_of(python, helium(2)))
    assert node.is_finished_ok, node.exit_message
    return outputs['snapshots']


@pytest.fixture
def known(labelled):
    """Return a function that gives frames with made-up labels of the source that ours have."""

    def labels_of(n_frames: int, *methods: str) -> Snapshots:
        snapshots, found = helium(n_frames), labelled.get_snapshots().labels
        for number, method in enumerate(methods):
            label = Label(-70.0 - number - np.arange(n_frames), None, found[method].source)
            snapshots = snapshots.with_label(method, label)
        return snapshots

    return labels_of


def test_batches_of_snapshots_are_labelled(labelled):
    first = labelled.get_snapshots()
    assert first.methods == ('HF', 'MP2', 'CCSD')
    assert first.labels['HF'].labelled.all()
    # Correlation lowers the energy; for two electrons a pair CCSD goes beyond MP2.
    hf, mp2, ccsd = (first.labels[method].energies for method in first.methods)
    assert (hf > mp2).all()
    assert (mp2 > ccsd).all()
    assert np.allclose(first.labels['CCSD'].contributions['ccsd'] + hf, ccsd)


@pytest.mark.nightly
def test_a_rerun_computes_only_what_is_missing(python, labelled):
    builder = builder_of(python, helium())
    builder.known_labels = {'earlier': labelled}
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    second = outputs['snapshots'].get_snapshots()
    assert second.labels['CCSD'].labelled.all()
    assert np.array_equal(second.labels['CCSD'].energies[:2], labelled.get_snapshots().labels['CCSD'].energies)
    (job,) = [process for process in node.called_descendants if isinstance(process, orm.CalcJobNode)]
    assert job.inputs.snapshots.n_frames == 1, 'only the third snapshot is computed'


@pytest.mark.nightly
def test_labels_with_other_settings_are_not_used(python):
    snapshots = helium(1)
    other = {'engine': 'pyscf', 'basis': 'gth-tzv2p'}
    labels = {method: Label(np.array([-1.0]), None, other) for method in ('HF', 'MP2', 'CCSD')}
    known = Snapshots(snapshots.symbols, snapshots.cells, snapshots.positions, labels)
    builder = builder_of(python, snapshots, methods=['HF'])
    builder.known_labels = {'other': SnapshotsData(known)}
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert outputs['snapshots'].get_snapshots().labels['HF'].energies[0] != -1.0


def test_known_labels_of_methods_that_are_not_asked_for_stay_away(python, labelled):
    """The snapshots carry HF of another source; an earlier run left HF and MP2 of ours."""
    published = helium(2).with_label('HF', Label(np.array([-1.0, -2.0]), None, {'file': 'published.xyz'}))
    builder = builder_of(python, published, methods=['MP2'])
    builder.known_labels = {'earlier': labelled}
    merged, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert jobs_of(node) == []
    found = merged['snapshots'].get_snapshots().labels
    assert found['HF'].energies.tolist() == [-1.0, -2.0]
    assert np.array_equal(found['MP2'].energies, labelled.get_snapshots().labels['MP2'].energies)


def test_snapshot_that_fails_is_named_and_the_others_go_on(python):
    whole = helium(2)
    positions = whole.positions.copy()
    positions[1, 1] = positions[1, 0]
    broken = Snapshots(whole.symbols, whole.cells, positions)
    outputs, node = run_get_node(builder_of(python, broken, methods=['HF']))
    assert node.is_finished_ok, node.exit_message
    (failed,) = outputs['failures']['failed']
    assert failed['snapshot'] == 1
    assert len(failed['reason']) > 10
    assert outputs['snapshots'].get_snapshots().labels['HF'].labelled.tolist() == [True, False]


def test_crystal_with_an_odd_number_of_electrons_is_refused_with_that_reason(python):
    lithium = Snapshots.from_atoms([Atoms('Li', cell=3 * np.eye(3), pbc=True)])
    with pytest.raises(ValueError, match='odd number of electrons'):
        run_get_node(builder_of(python, lithium, methods=['HF'], engine={'basis': 'gth-szv'}))


MIXED = {'kind': 'random', 'n': 1, 'seed': 3, 'per_method': {'HF': {'kind': 'all'}, 'MP2': {'kind': 'every', 'n': 2}}}
"""Of three frames: CCSD of one, MP2 of the first and the last, HF of all."""


@pytest.mark.nightly
def test_each_method_labels_its_own_frames_and_those_of_the_costlier_ones(python):
    snapshots = helium()
    (costly,) = np.random.default_rng(3).permutation(3)[:1].tolist()
    outputs, node = run_get_node(builder_of(python, snapshots, selection=MIXED))
    assert node.is_finished_ok, node.exit_message
    assert labelled_frames(outputs) == {'HF': [0, 1, 2], 'MP2': sorted({0, 2, costly}), 'CCSD': [costly]}
    assert jobs_of(node)[0] == (['HF', 'MP2', 'CCSD'], 1), 'one job gives a frame all the methods it needs'
    assert sum(n for methods, n in jobs_of(node)) == 3, 'no frame is computed twice'


def test_known_labels_leave_only_the_methods_that_a_frame_lacks(python, known):
    selection = {'kind': 'random', 'n': 1, 'per_method': {'HF': {'kind': 'all'}}}
    builder = builder_of(python, helium(), methods=['HF', 'CCSD'], selection=selection)
    builder.known_labels = {'earlier': SnapshotsData(known(3, 'HF'))}
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert jobs_of(node) == [(['CCSD'], 1)]
    assert len(labelled_frames(outputs)['HF']) == 3


@pytest.mark.nightly
def test_labels_that_the_snapshots_carry_are_not_computed_again(python, known):
    _, node = run_get_node(builder_of(python, known(2, 'HF'), methods=['HF', 'MP2']))
    assert node.is_finished_ok, node.exit_message
    assert jobs_of(node) == [(['MP2'], 2)]


def test_labels_of_other_settings_are_not_added_to(python):
    one = Label(np.array([-1.0, np.nan]), None, {'engine': 'pyscf', 'basis': 'gth-tzv2p'})
    snapshots = helium(2).with_label('HF', one)
    with pytest.raises(ValueError, match='1 of the snapshots have HF energies made with other settings'):
        run_get_node(builder_of(python, snapshots, methods=['HF']))


@pytest.mark.parametrize(
    ('overrides', 'reason'),
    [
        ({'selection': {'kind': 'all', 'per_method': {'CCSDT': {'kind': 'all'}}}}, "`per_method` names 'CCSDT'"),
        (
            {'selection': {'kind': 'random', 'n': 1, 'per_method': {'HF': {'n': 3}}}},
            r'per_method\.HF\.kind` is None: choose',
        ),
        (
            {'selection': {'kind': 'all', 'per_method': {'HF': {'kind': 'random', 'n': 9}}}},
            r'per_method\.HF: 9 frames asked for',
        ),
        ({'selection': {'kind': 'optimal', 'n': 2}}, "kind 'optimal' needs `structure`"),
        ({'methods': ['CCSDT']}, 'the engine pyscf has no CCSDT, only HF, MP2, CCSD'),
        ({'methods': []}, 'no method asked for'),
        ({'selection': {'kind': 'random', 'n': 9}}, '9 frames asked for, of 3'),
        ({'engine': {'conv_tol': -1.0}}, 'must be above 0'),
        ({'batch_size': 0}, 'must be at least 1'),
        ({'min_success_fraction': 2.0}, 'between 0 and 1'),
    ],
)
def test_bad_input_is_refused_at_submission(python, overrides, reason):
    with pytest.raises(ValueError, match=reason):
        run_get_node(builder_of(python, helium(), **overrides))
