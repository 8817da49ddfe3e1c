"""The tensors for Cc4s: energies from their bytes, recorded bytes, and jobs that are killed or hold what fails."""

from __future__ import annotations

import errno
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.units import Hartree
from numpy.typing import NDArray

from aiida_mlcc.runtime.pyscf import engine as pyscf_engine
from aiida_mlcc.runtime.pyscf.correlated_energies import correlated_energies
from aiida_mlcc.runtime.pyscf.engine import hartree_fock
from aiida_mlcc.runtime.pyscf.settings import PyscfCorrelation, PyscfSettings
from aiida_mlcc.runtime.tasks import integrals
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.cc4s_records import RECORDED_RUNS
from tests.runtime.jobs import (
    ENGINE,
    hydrogen,
    interrupt,
    lithium_hydride,
    output_of,
    run,
    stop_after,
    write_job,
    write_snapshots,
)

RECORDED = RECORDED_RUNS / 'lih8-szv-triples-crash'
SETTINGS = PyscfCorrelation.of(ENGINE)


def job(folder: Path, *images: Atoms, previous: Path | None = None, **changes: Any) -> Path:
    write_snapshots(folder, 'snapshots.npz', *images)
    if previous is not None:
        (folder / 'previous_frames').symlink_to(previous / 'frames')
    engine = {'name': 'pyscf', **ENGINE, 'natural_orbitals_per_occupied': None}
    content = {
        'task': 'integrals',
        'snapshots': 'snapshots.npz',
        'label_hf': changes.pop('label_hf', True),
        'engine': {**engine, **changes},
    }
    return write_job(folder, content, previous)


def read_tensors(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Read vertex, orbital energies and number of occupied orbitals by what the headers say."""
    header = yaml.safe_load((folder / 'CoulombVertex.yaml').read_text())
    assert header['scalarType'] == 'Complex64'
    assert header['elements'] == {'type': 'IeeeBinaryFile'}
    assert header['metaData'] == {'halfGrid': 1}
    assert [d['type'] for d in header['dimensions']] == ['AuxiliaryField', 'State', 'State']
    shape = [d['length'] for d in header['dimensions']]
    vertex = np.fromfile(folder / 'CoulombVertex.elements', dtype='<c16').reshape(shape, order='F')
    assert not vertex.imag.any()
    energies = np.loadtxt(folder / 'EigenEnergies.elements')
    meta = yaml.safe_load((folder / 'EigenEnergies.yaml').read_text())['metaData']
    assert meta['energies'] == energies.tolist()
    assert len(energies) == shape[1] == shape[2]
    return vertex.real, energies, int((energies < meta['fermiEnergy']).sum())


def mp2_of(folder: Path) -> float:
    """MP2 in eV, written out as textbooks do."""
    vertex, energies, n = read_tensors(folder)
    iajb = np.einsum('Fia,Fjb->iajb', vertex[:, :n, n:], vertex[:, :n, n:])
    low, high = energies[:n], energies[n:]
    gaps = low[:, None, None, None] - high[:, None, None] + low[:, None] - high
    return float((iajb * (2 * iajb - iajb.transpose(0, 3, 2, 1)) / gaps).sum()) * Hartree


def test_mp2_from_the_written_bytes_is_the_engines_own(tmp_path: Path) -> None:
    images = [lithium_hydride(), lithium_hydride(0.1)]
    output = run(job(tmp_path, *images))
    assert output['final']
    label = Snapshots.load(tmp_path / 'labelled.npz').labels['HF']
    assert label.source == SETTINGS.source('HF')
    for frame, atoms in enumerate(images):
        expected = correlated_energies(atoms, SETTINGS, ['HF', 'MP2']).contributions
        record = output['tensors'][str(frame)]
        assert record['folder'] == f'frames/000{frame}'
        assert mp2_of(tmp_path / record['folder']) == pytest.approx(expected['mp2'], abs=1e-7)
        assert record['mp2_full'] == record['mp2_truncated'] == pytest.approx(expected['mp2'], abs=1e-7)
        assert record['hf'] == label.energies[frame] == pytest.approx(expected['hf'], abs=1e-7)


def test_record_counts_what_the_files_hold(tmp_path: Path) -> None:
    record = run(job(tmp_path, lithium_hydride()))['tensors']['0']
    vertex, energies, n_occupied = read_tensors(tmp_path / record['folder'])
    assert record['n_electrons'] == 4
    assert record['n_occupied'] == n_occupied == 2
    assert record['n_virtual'] == record['n_virtual_full'] == len(energies) - n_occupied
    assert record['n_auxiliary'] == len(vertex)
    assert record['bytes'] == sum(path.stat().st_size for path in (tmp_path / record['folder']).iterdir())


def test_vertex_written_in_many_blocks_is_the_same(tmp_path: Path) -> None:
    mean_field = hartree_fock(hydrogen(0.8), PyscfSettings.of({**ENGINE, 'basis': 'gth-dzvp'}))
    integrals.write_tensors(mean_field, None, tmp_path / 'one')
    mean_field.cell.max_memory = 1e-3
    integrals.write_tensors(mean_field, None, tmp_path / 'many')
    assert np.allclose(read_tensors(tmp_path / 'one')[0], read_tensors(tmp_path / 'many')[0], rtol=0, atol=1e-12)


def test_mp2_from_natural_orbitals_that_were_written_is_the_one_recorded(tmp_path: Path) -> None:
    output = run(job(tmp_path, hydrogen(0.8), basis='gth-dzvp', natural_orbitals_per_occupied=4))
    record = output['tensors']['0']
    assert (record['n_occupied'], record['n_virtual'], record['n_virtual_full']) == (1, 4, 9)
    assert mp2_of(tmp_path / record['folder']) == pytest.approx(record['mp2_truncated'], abs=1e-8)
    assert record['mp2_full'] < record['mp2_truncated'] < 0


def test_bytes_are_those_of_a_run_of_cc4s_up_to_the_signs_of_orbitals(tmp_path: Path) -> None:
    reference = json.loads((RECORDED / 'pyscf_reference.json').read_text())
    atoms = Atoms(reference['symbols'], cell=reference['cell_A'], positions=reference['positions_A'], pbc=True)
    record = run(job(tmp_path, atoms, conv_tol=1e-12))['tensors']['0']
    folder = tmp_path / record['folder']
    assert (folder / 'CoulombVertex.yaml').read_text() == (RECORDED / 'CoulombVertex.yaml').read_text()
    assert (folder / 'CoulombVertex.elements').stat().st_size == (RECORDED / 'CoulombVertex.elements').stat().st_size
    ours, theirs = (path.joinpath('EigenEnergies.yaml').read_text().split('metaData') for path in (folder, RECORDED))
    assert ours[0] == theirs[0]
    vertex, energies, n_occupied = read_tensors(folder)
    recorded, recorded_energies, recorded_n_occupied = read_tensors(RECORDED)
    assert n_occupied == recorded_n_occupied == 8
    assert np.allclose(energies, recorded_energies, rtol=0, atol=1e-6)
    signs = np.sign(np.einsum('Fp,Fp->p', vertex[:, 0], recorded[:, 0]))
    assert np.allclose(vertex * np.outer(signs, signs), recorded, rtol=0, atol=1e-5)
    assert record['hf'] / Hartree == pytest.approx(reference['hf_total_Eh'], abs=1e-8)
    assert record['mp2_full'] / Hartree == pytest.approx(reference['mp2_corr_Eh'], abs=1e-8)


@pytest.mark.nightly
def test_a_killed_job_is_resumed_and_all_tensors_are_in_the_last_folder(tmp_path: Path) -> None:
    images = [lithium_hydride(0.03 * number) for number in range(4)]
    killed = job(tmp_path / 'killed', *images)
    second = killed / 'checkpoint' / 'snapshot_00001.json'
    assert interrupt(killed, second.exists) == -signal.SIGKILL
    finished = sorted(path.name for path in (killed / 'checkpoint').glob('snapshot_*.json'))
    resumed = job(tmp_path / 'resumed', *images, previous=killed)
    before = {name: (resumed / 'checkpoint' / name).stat().st_mtime_ns for name in finished}
    written, linked = (folder / 'frames' / '0000' / 'CoulombVertex.elements' for folder in (killed, resumed))
    output = run(resumed)
    assert output['final']
    assert {name: (resumed / 'checkpoint' / name).stat().st_mtime_ns for name in before} == before
    assert written.samefile(linked), 'linked, not copied'
    shutil.rmtree(killed)
    for record in output['tensors'].values():
        assert mp2_of(resumed / record['folder']) == pytest.approx(record['mp2_full'], abs=1e-8)
    assert list(output['tensors']) == ['0', '1', '2', '3']


def test_one_damaged_snapshot_file_costs_that_snapshot_alone(tmp_path: Path) -> None:
    images = [hydrogen(0.75), hydrogen(0.8)]
    first = job(tmp_path / 'first', *images)
    whole = run(first)
    good, bad = ((first / 'checkpoint' / f'snapshot_0000{number}.json') for number in range(2))
    written = good.read_text()
    bad.write_text(bad.read_text()[:20])
    second = job(tmp_path / 'second', *images, previous=first)
    output = run(second)
    assert (output['final'], output['tensors'].keys()) == (True, whole['tensors'].keys())
    assert len(output['remarks']) == 1
    assert output['remarks'][0].startswith('snapshot_00001.json of the checkpoint is damaged')
    assert (second / 'checkpoint' / good.name).read_text() == written


def test_tensors_that_are_gone_are_made_again(tmp_path: Path) -> None:
    first = job(tmp_path / 'first', lithium_hydride())
    run(first)
    elements = first / 'frames' / '0000' / 'CoulombVertex.elements'
    elements.write_bytes(elements.read_bytes()[:-16])
    second = job(tmp_path / 'second', lithium_hydride(), previous=first)
    record = run(second)['tensors']['0']
    assert mp2_of(second / record['folder']) == pytest.approx(record['mp2_full'], abs=1e-8)


def test_tensors_on_another_file_system_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = job(tmp_path / 'first', lithium_hydride())
    run(first)
    second = job(tmp_path / 'second', lithium_hydride(), previous=first)

    def refuse(*_: Any) -> None:
        raise OSError('Invalid cross-device link')

    monkeypatch.setattr(integrals.os, 'link', refuse)
    monkeypatch.setattr(integrals, 'hartree_fock', refuse)
    record = run(second)['tensors']['0']
    shutil.rmtree(first)
    assert mp2_of(second / record['folder']) == pytest.approx(record['mp2_full'], abs=1e-8)


def test_tensors_of_other_settings_are_not_taken_over(tmp_path: Path) -> None:
    first = job(tmp_path / 'first', lithium_hydride())
    before = run(first)['tensors']['0']
    second = job(tmp_path / 'second', lithium_hydride(), previous=first, exp_to_discard=0.2)
    assert run(second)['tensors']['0']['mp2_full'] != before['mp2_full']


def test_a_job_out_of_time_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = job(tmp_path, lithium_hydride(), lithium_hydride(0.1))
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        output = run(folder)
    assert (output['final'], output['reason'], list(output['tensors'])) == (False, 'walltime', ['0'])
    assert Snapshots.load(folder / 'labelled.npz').labels['HF'].labelled.tolist() == [True, False]


def test_a_structure_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    folder = job(tmp_path, hydrogen(0.75), hydrogen(1e-6), hydrogen(0.8), basis='gth-dzvp')
    output = run(folder)
    assert output['final']
    assert list(output['tensors']) == ['0', '2']
    (failure,) = output['failures']
    assert (failure['snapshot'], failure['methods']) == (1, ['HF'])
    assert 'linearly dependent' in failure['reason']
    assert sorted(path.name for path in (folder / 'frames').iterdir()) == ['0000', '0002']


@pytest.mark.parametrize(
    ('atoms', 'changes', 'named'),
    [
        (Atoms('Li', cell=3.5 * np.eye(3), pbc=True), {}, '3 valence electrons'),
        (lithium_hydride(0.1), {'max_cycle': 1}, 'HF did not converge within 1 cycles'),
        (Atoms('He', cell=4 * np.eye(3), pbc=True), {}, 'no virtual orbitals'),
    ],
)
def test_a_structure_without_integrals_says_why(
    tmp_path: Path, atoms: Atoms, changes: dict[str, Any], named: str
) -> None:
    output = run(job(tmp_path, atoms, **changes))
    assert output['final']
    assert output['tensors'] == {}
    assert named in output['failures'][0]['reason']


def test_more_natural_orbitals_than_the_basis_has_are_refused_with_their_number(tmp_path: Path) -> None:
    output = run(job(tmp_path, hydrogen(0.8), basis='gth-dzvp', natural_orbitals_per_occupied=10))
    assert 'asks for 10 virtual orbitals' in output['message']
    assert 'the basis has only 9' in output['message']


def test_full_disk_is_said_and_what_was_finished_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = integrals.write_coulomb_vertex

    def write(folder: Path, *arguments: Any) -> None:
        if '0001' in folder.name:
            raise OSError(errno.ENOSPC, 'No space left on device')
        original(folder, *arguments)

    monkeypatch.setattr(integrals, 'write_coulomb_vertex', write)
    folder = job(tmp_path, hydrogen(0.75), hydrogen(0.8))
    output = run(folder)
    assert 'snapshot 1' in output['message']
    assert 'No space left' in output['message']
    assert list(output['tensors']) == ['0']
    assert (output_of(folder)['final'], output['reason']) == (False, 'resources')


@pytest.mark.parametrize(
    ('change', 'named'),
    [({'name': 'abacus'}, 'abacus'), ({'kpoints': [2, 2, 2]}, 'kpoints')],
)
def test_senseless_engine_is_named(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    assert named in run(job(tmp_path, hydrogen(0.8), **change))['message']


def test_without_a_label_asked_for_there_is_none(tmp_path: Path) -> None:
    run(job(tmp_path, hydrogen(0.8), label_hf=False))
    assert Snapshots.load(tmp_path / 'labelled.npz').methods == ()


def test_a_metal_is_named_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyscf_engine, 'SMALLEST_GAP_EV', 1e3)
    output = run(job(tmp_path, lithium_hydride()))
    (failure,) = output['failures']
    assert 'a metal' in failure['reason']
    assert output['tensors'] == {}
