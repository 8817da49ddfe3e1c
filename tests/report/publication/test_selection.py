"""Runs that are not published: not over, failed without a flag, of one name with other settings."""

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from ase.build import bulk
from plumpy import ProcessState

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.report.publication.request import Refused
from aiida_mlcc.report.publication.selection import folders_of, refuse_unfit
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.crystals import rocksalt


def finished(label='', basis='gth-szv', failed=(), with_curve=True, sealed=True):
    """Store a run with labels of a basis, and what failed in it."""
    run = orm.WorkChainNode(label=label)
    run.set_process_label('MLCCPhononWorkChain')
    run.set_process_state(ProcessState.FINISHED if sealed else ProcessState.WAITING)
    run.store()
    frames = Snapshots.from_atoms([bulk('LiF', 'rocksalt', a=4.03)])
    source = {'engine': 'pyscf', 'basis': basis}
    snapshots = SnapshotsData(frames.with_label('HF', Label(np.array([-1.0]), source=source)))
    outputs = {'snapshots': snapshots, 'failures': orm.Dict({'failed': list(failed)})}
    if with_curve:
        bands = orm.BandsData()
        bands.set_cell(rocksalt().cell.array)
        bands.set_kpoints(np.zeros((1, 3)))
        bands.set_bands(np.zeros((1, 6)), units='cm^-1')
        outputs['dispersion__hf'] = bands
    for name, node in outputs.items():
        node.store().base.links.add_incoming(run, LinkType.RETURN, name)
    if sealed:
        run.seal()
    return run


def test_a_finished_run_is_published(aiida_profile):
    refuse_unfit([finished()], failed=())


def test_a_run_that_is_not_over_is_refused(aiida_profile):
    with pytest.raises(Refused, match=r'MLCCPhononWorkChain<\d+> \(waiting\)'):
        refuse_unfit([finished(sealed=False)], failed=())


def test_a_run_without_a_curve_is_refused(aiida_profile):
    with pytest.raises(Refused, match='no curve'):
        refuse_unfit([finished(with_curve=False)], failed=())


@pytest.mark.parametrize(
    ('entry', 'name'),
    [
        ({'stage': 'delta_train', 'what': 'delta', 'method': 'CCSD', 'reason': 'singular.'}, 'CCSD'),
        ({'stage': 'harmonic_phonon', 'what': 'harmonic_phonon of MP2', 'reason': 'imaginary'}, 'MP2'),
        ({'stage': 'cc_energies', 'what': 'snapshot 3', 'methods': ['HF'], 'reason': 'no convergence'}, 'HF'),
        ({'stage': 'vacf', 'what': 'vacf', 'reason': 'too hot'}, 'vacf'),
    ],
)
def test_what_failed_must_be_named(aiida_profile, entry, name):
    run = finished(failed=[entry])
    with pytest.raises(Refused, match=f"--failed '{name}'"):
        refuse_unfit([run], failed=())
    refuse_unfit([run], failed=(name,))


def test_runs_have_the_folders_of_their_labels(aiida_profile):
    assert folders_of([finished('LiF, a try'), finished('LiF (2)')]) == ['LiF_a_try', 'LiF_(2)']
    assert folders_of([finished('LiF')]) == ['']


def test_runs_of_one_name_and_the_same_settings_are_told_apart(aiida_profile):
    runs = [finished('LiF'), finished('LiF')]
    assert folders_of(runs) == [f'LiF-{run.uuid[:8]}' for run in runs]


def test_runs_of_one_name_and_other_settings_are_refused(aiida_profile):
    with pytest.raises(Refused, match=r"both called 'LiF'.*labels of HF.*basis gth-szv and gth-dzvp"):
        folders_of([finished('LiF'), finished('LiF', basis='gth-dzvp')])
