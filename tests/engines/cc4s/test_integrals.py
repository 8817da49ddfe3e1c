"""IntegralsCalculation with real PySCF: its outputs, what it refuses, and a killed job that another one continues."""

import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from ase import Atoms

from aiida_mlcc.calculations.integrals import IntegralsCalculation
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.jobs.restart import IntegralsRestartWorkChain
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.runtime.jobs import ENGINE, lithium_hydride
from tests.runtime.tasks.test_integrals import mp2_of
from tests.workflows.energies import helium

SETTINGS = {'name': 'pyscf', **ENGINE, 'natural_orbitals_per_occupied': None}
"""With this basis LiH has two occupied and one virtual orbital a cell."""


def inputs_of(python, snapshots, **changes) -> dict:
    return {'code': python, 'snapshots': SnapshotsData(snapshots), 'engine': orm.Dict({**SETTINGS, **changes})}


def test_tensors_stay_in_the_remote_folder_and_energies_come_back(python):
    changes = {'basis': 'gth-dzvp', 'exp_to_discard': None, 'natural_orbitals_per_occupied': 1}
    outputs, node = run_get_node(IntegralsCalculation, **inputs_of(python, helium(2), **changes))
    assert node.is_finished_ok, node.exit_message
    tensors = outputs['tensors'].get_dict()
    assert list(tensors) == ['0', '1']
    label = outputs['labelled'].get_snapshots().labels['HF']
    assert label.source['basis'] == 'gth-dzvp'
    remote = Path(outputs['remote_folder'].get_remote_path())
    for frame, record in tensors.items():
        assert record['hf'] == pytest.approx(label.energies[int(frame)], abs=1e-9)
        assert (record['n_occupied'], record['n_virtual'], record['n_virtual_full']) == (2, 2, 8)
        assert record['mp2_full'] < record['mp2_truncated'] < 0
        assert mp2_of(remote / record['folder']) == pytest.approx(record['mp2_truncated'], abs=1e-8)
    assert not [name for name in outputs['retrieved'].base.repository.list_object_names() if 'frames' in name]
    assert 'failures' not in outputs


def test_snapshot_that_fails_is_named_and_hf_is_left_out_where_not_asked_for(python):
    whole = helium(2)
    positions = whole.positions.copy()
    positions[1, 1] = positions[1, 0] + 1e-6
    broken = Snapshots(whole.symbols, whole.cells, positions)
    inputs = inputs_of(python, broken, basis='gth-dzvp', exp_to_discard=None)
    outputs, node = run_get_node(IntegralsCalculation, **inputs, label_hf=False)
    assert node.is_finished_ok, node.exit_message
    assert list(outputs['tensors'].get_dict()) == ['0']
    assert outputs['failures']['failed'][0]['snapshot'] == 1
    assert 'labelled' not in outputs


def test_where_all_fail_the_first_reason_is_given(python):
    inputs = inputs_of(python, helium(1), exp_to_discard=None)
    _, node = run_get_node(IntegralsCalculation, **inputs)
    assert node.exit_status == IntegralsCalculation.exit_codes.ERROR_ALL_FAILED.status
    assert 'no virtual orbitals' in node.exit_message


def test_more_natural_orbitals_than_there_are_fail_the_job_with_their_number(python):
    inputs = inputs_of(python, helium(1), basis='gth-dzvp', exp_to_discard=None, natural_orbitals_per_occupied=10)
    _, node = run_get_node(IntegralsCalculation, **inputs)
    assert node.exit_status == IntegralsCalculation.exit_codes.ERROR_TASK_FAILED.status
    assert 'the basis has only 8' in node.exit_message


@pytest.mark.nightly
def test_equal_jobs_share_no_tensors_through_the_cache(python):
    inputs = inputs_of(python, helium(1), basis='gth-dzvp', exp_to_discard=None)
    with enable_caching(identifier='aiida.calculations:mlcc.*'):
        nodes = [run_get_node(IntegralsCalculation, **inputs)[1] for _ in range(2)]
    assert not nodes[1].base.caching.is_created_from_cache


@pytest.mark.nightly
def test_killed_job_is_continued_and_the_last_folder_holds_all_tensors(python):
    images = [lithium_hydride(0.02 * number) for number in range(6)]
    work_folder = Path(python.computer.get_workdir()).resolve()
    killer = threading.Thread(target=kill_after_its_second_frame, args=(work_folder,))
    killer.start()
    outputs, node = run_get_node(IntegralsRestartWorkChain, job=inputs_of(python, Snapshots.from_atoms(images)))
    killer.join()
    assert node.is_finished_ok, node.exit_message
    jobs = sorted(node.called, key=lambda job: job.pk)
    codes = IntegralsCalculation.exit_codes
    assert [job.exit_status for job in jobs] == [codes.ERROR_INTERRUPTED.status, 0]
    folders = [Path(job.outputs.remote_folder.get_remote_path()) for job in jobs]
    written = {path.name for path in (folders[0] / 'frames').glob('*[0-9]')}
    assert 2 <= len(written) < len(images)
    for name in written:
        written_once, linked = (folder / 'frames' / name / 'CoulombVertex.elements' for folder in folders)
        assert written_once.samefile(linked), 'a finished frame is not computed again'
    jobs[0].outputs.remote_folder._clean()
    tensors = outputs['tensors'].get_dict()
    assert sorted(tensors) == [str(number) for number in range(len(images))]
    for record in tensors.values():
        assert mp2_of(folders[1] / record['folder']) == pytest.approx(record['mp2_full'], abs=1e-8)
    assert outputs['labelled'].get_snapshots().labels['HF'].labelled.all()


def kill_after_its_second_frame(work_folder: Path, patience: float = 120.0) -> None:
    """Kill the first process of the runtime that runs somewhere in `work_folder`."""
    started = time.monotonic()
    while time.monotonic() - started < patience:
        for process in psutil.process_iter():
            try:
                words, folder = process.cmdline(), Path(process.cwd())
            except psutil.Error:
                continue
            ours = words[-3:] == ['-m', 'aiida_mlcc.runtime', 'integrals'] and folder.is_relative_to(work_folder)
            if ours and (folder / 'checkpoint' / 'snapshot_00001.json').exists():
                process.kill()
                return
        time.sleep(0.01)


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'kpoints': [2, 2, 2]}, 'at the Γ point alone: leave out `kpoints`'),
        ({'natural_orbitals_per_occupied': 0}, 'must be above 0'),
        ({'natural_orbitals_per_occupied': 'ten'}, 'not a number'),
        ({'name': 'vasp'}, 'choose from pyscf'),
        ({'nbands': 3}, 'unknown PySCF integrals setting `nbands`'),
    ],
)
def test_senseless_settings_are_refused_at_submission(python, changes, named):
    with pytest.raises(ValueError, match=named):
        run_get_node(IntegralsCalculation, **inputs_of(python, helium(1), **changes))


def test_number_of_natural_orbitals_must_be_given(python):
    inputs = inputs_of(python, helium(1))
    inputs['engine'] = orm.Dict({key: value for key, value in SETTINGS.items() if not key.startswith('natural')})
    with pytest.raises(ValueError, match='`natural_orbitals_per_occupied` is missing'):
        run_get_node(IntegralsCalculation, **inputs)


def test_odd_number_of_electrons_is_refused_at_submission(python):
    odd = Snapshots.from_atoms([Atoms('LiHLi', cell=4 * np.eye(3), positions=np.diag([0.5, 1.5, 2.5]), pbc=True)])
    with pytest.raises(ValueError, match='HLi2 has an odd number of electrons'):
        run_get_node(IntegralsCalculation, **inputs_of(python, odd))
