"""CCEnergiesWorkChain with real PySCF, on the smallest insulating crystal that makes sense."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.snapshots import Label, Snapshots
from aiida_mlcc.workflows.cc_energies import CCEnergiesWorkChain


def helium(n_frames: int = 3) -> Snapshots:
    """Two helium atoms in one cell, at a growing distance."""
    cells = np.array([np.diag([2.6, 2.6, 5.2])] * n_frames)
    return Snapshots(('He', 'He'), cells, np.array([[[0, 0, 0], [0, 0, 2.4 + 0.1 * f]] for f in range(n_frames)]))


def builder_of(python, snapshots, **overrides):
    settings = {
        'methods': ['HF', 'MP2', 'CCSD'],
        'selection': {'n': snapshots.n_frames},
        'engine': {'basis': 'gth-dzv', 'exp_to_discard': None},
        'batch_size': 2,
    }
    return CCEnergiesWorkChain.get_builder_from_protocol(
        python, SnapshotsData(snapshots), 'fast', {**settings, **overrides}
    )


def test_batches_of_snapshots_are_labelled_and_a_rerun_computes_only_what_is_missing(python):
    snapshots = helium()
    outputs, node = run_get_node(builder_of(python, snapshots.select([0, 1])))
    assert node.is_finished_ok, node.exit_message
    first = outputs['snapshots'].get_snapshots()
    assert first.methods == ('HF', 'MP2', 'CCSD')
    assert first.labels['HF'].labelled.all()
    # Correlation lowers the energy; for two electrons a pair CCSD goes beyond MP2.
    hf, mp2, ccsd = (first.labels[method].energies for method in first.methods)
    assert (hf > mp2).all()
    assert (mp2 > ccsd).all()
    assert np.allclose(first.labels['CCSD'].contributions['ccsd'] + hf, ccsd)

    builder = builder_of(python, snapshots)
    builder.known_labels = {'earlier': outputs['snapshots']}
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    second = outputs['snapshots'].get_snapshots()
    assert second.labels['CCSD'].labelled.all()
    assert np.array_equal(second.labels['CCSD'].energies[:2], ccsd)
    (job,) = [process for process in node.called_descendants if isinstance(process, orm.CalcJobNode)]
    assert job.inputs.snapshots.n_frames == 1, 'only the third snapshot is computed'


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


def test_crystal_with_an_odd_number_of_electrons_fails_with_that_reason(python):
    lithium = Snapshots.from_atoms([Atoms('Li', cell=3 * np.eye(3), pbc=True)])
    outputs, node = run_get_node(builder_of(python, lithium, methods=['HF'], engine={'basis': 'gth-szv'}))
    assert node.exit_status == CCEnergiesWorkChain.exit_codes.ERROR_NOTHING_LABELLED.status
    assert 'odd number' in node.exit_message
    assert outputs['failures']['failed'][0]['snapshot'] == 0


@pytest.mark.parametrize(
    ('overrides', 'reason'),
    [
        ({'methods': ['CCSDT']}, "unknown method 'CCSDT'"),
        ({'methods': []}, 'no method asked for'),
        ({'selection': {'n': 9}}, '9 frames asked for, of 3'),
        ({'engine': {'conv_tol': -1.0}}, 'must be above 0'),
        ({'batch_size': 0}, 'must be at least 1'),
        ({'min_success_fraction': 2.0}, 'no fraction'),
    ],
)
def test_bad_input_is_refused_at_submission(python, overrides, reason):
    with pytest.raises(ValueError, match=reason):
        run_get_node(builder_of(python, helium(), **overrides))
