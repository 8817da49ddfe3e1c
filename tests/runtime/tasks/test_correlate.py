"""Correlated energies held to Cc4s' reference, and jobs that are killed or hold a structure that fails."""

from __future__ import annotations

import errno
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.units import Hartree

from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.pyscf import engine as pyscf_engine
from aiida_mlcc.runtime.pyscf.correlated_energies import CorrelatedEnergies, CoupledCluster, correlated_energies
from aiida_mlcc.runtime.pyscf.settings import PyscfCorrelation
from aiida_mlcc.runtime.tasks import correlate
from aiida_mlcc.science.labels.snapshots import Snapshots
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

METHODS = ['HF', 'MP2', 'CCSD', 'CCSD(T)']
SETTINGS = PyscfCorrelation.of(ENGINE)

# Cc4s gives these MP2, CCSD and (T) from the same integrals to 1e-8 Hartree. Positions in Å, energies in Hartree.
LITHIUM_HYDRIDE = Atoms(
    'LiHLiHLiHLiH',
    cell=4.017 * np.eye(3),
    positions=[
        [0.002514604421867866, -0.0026420972658260378, 0.012808453008865642],
        [2.010598002343061, -0.010713387463222219, 0.007231901098189695],
        [0.026080000902602745, 2.027441619262585, 1.9944252952838604],
        [1.983191570579079, 1.9960345107492532, 2.009326519586945],
        [1.9619993845072234, -0.004375833278650915, 1.9835817810549388],
        [-0.014645347094069033, -0.010885179657146199, 2.002173996872617],
        [2.016732610727483, 2.0293502673888537, -0.0025706932588806853],
        [0.027329269410993718, 1.995196106530268, 0.007030201401860395],
    ],
    pbc=True,
)
LITHIUM_HYDRIDE_ENERGIES = {
    'hf': -31.847820421538344,
    'mp2': -0.03727734085687076,
    'ccsd': -0.0413760469612397,
    'triples': -1.833459994307798e-07,
}
DIAMOND = Atoms(
    'C8',
    cell=3.561 * np.eye(3),
    positions=[
        [0.002514604421867866, -0.0026420972658260378, 0.012808453008865642],
        [0.8923480023430608, 0.8795366125367777, 0.8974819010981897],
        [0.026080000902602745, 1.7994416192625848, 1.7664252952838602],
        [0.8649415705790789, 2.6582845107492528, 2.671576519586945],
        [1.7339993845072232, -0.004375833278650915, 1.7555817810549386],
        [2.656104652905931, 0.8793648203428538, 2.6644239968726167],
        [1.7887326107274826, 1.8013502673888535, -0.0025706932588806853],
        [2.698079269410994, 2.6574461065302675, 0.8972802014018604],
    ],
    pbc=True,
)
DIAMOND_ENERGIES = {
    'hf': -43.542920480659895,
    'mp2': -0.347521259080923,
    'ccsd': -0.3110680424414779,
    'triples': -0.002692631159518879,
}


def job(folder: Path, *images: Atoms, checkpoint_of: Path | None = None, **engine: Any) -> Path:
    write_snapshots(folder, 'snapshots.npz', *images)
    content = {
        'task': 'correlate',
        'snapshots': 'snapshots.npz',
        'methods': METHODS,
        'engine': {'name': 'pyscf', **ENGINE, **engine},
    }
    return write_job(folder, content, checkpoint_of)


def labelled(folder: Path) -> Snapshots:
    return Snapshots.load(folder / 'labelled.npz')


@pytest.mark.parametrize(
    ('atoms', 'reference'),
    [
        pytest.param(LITHIUM_HYDRIDE, LITHIUM_HYDRIDE_ENERGIES, id='lithium hydride'),
        pytest.param(DIAMOND, DIAMOND_ENERGIES, id='diamond', marks=pytest.mark.nightly),
    ],
)
def test_energies_are_those_of_the_reference(atoms: Atoms, reference: dict[str, float]) -> None:
    found = correlated_energies(atoms, SETTINGS, METHODS)
    assert found.missing == {}
    for name, energy in reference.items():
        assert found.contributions[name] / Hartree == pytest.approx(energy, abs=1e-6), name


def test_only_what_was_asked_for_is_computed() -> None:
    assert set(correlated_energies(lithium_hydride(), SETTINGS, ['HF']).contributions) == {'hf'}
    assert set(correlated_energies(lithium_hydride(), SETTINGS, ['MP2']).contributions) == {'hf', 'mp2'}
    assert set(correlated_energies(lithium_hydride(), SETTINGS, ['CCSD']).contributions) == {'hf', 'ccsd'}


def test_the_core_hamiltonian_is_integrated_once_for_all_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyscf.pbc.df import GDF

    integrals, integrate = [], GDF.get_pp

    def get_pp(*arguments: Any, **named: Any) -> Any:
        integrals.append(integrate(*arguments, **named))
        return integrals[-1]

    monkeypatch.setattr(GDF, 'get_pp', get_pp)
    assert len(correlated_energies(lithium_hydride(), SETTINGS, METHODS).contributions) == 4
    assert len(integrals) == 1


def test_labels_add_up_from_their_contributions(tmp_path: Path) -> None:
    folder = job(tmp_path, lithium_hydride(), lithium_hydride(0.1))
    output = run(folder)
    assert output['final']
    assert output['n_labelled'] == dict.fromkeys(METHODS, 2)
    result = labelled(folder)
    label = result.labels['CCSD(T)']
    assert np.allclose(label.energies, sum(label.contributions[name] for name in ('hf', 'ccsd', 'triples')))
    assert np.allclose(result.labels['MP2'].contributions['hf'], result.labels['HF'].energies)
    assert label.source['pseudo'] == 'gth-hf-rev'
    assert label.forces is None


@pytest.mark.nightly
def test_a_killed_job_is_resumed_without_computing_anything_twice(tmp_path: Path) -> None:
    images = [lithium_hydride(0.03 * number) for number in range(4)]
    killed = job(tmp_path / 'killed', *images)
    second = killed / 'checkpoint' / 'snapshot_00001.json'
    assert interrupt(killed, second.exists) == -signal.SIGKILL
    assert not (killed / 'output.json').exists()
    resumed = job(tmp_path / 'resumed', *images, checkpoint_of=killed)
    finished = sorted((resumed / 'checkpoint').glob('snapshot_*.json'))
    before = {path.name: path.stat().st_mtime_ns for path in finished}
    assert run(resumed)['n_labelled']['CCSD(T)'] == 4
    assert {name: (resumed / 'checkpoint' / name).stat().st_mtime_ns for name in before} == before
    whole = job(tmp_path / 'whole', *images)
    run(whole)
    assert np.allclose(
        labelled(resumed).labels['CCSD(T)'].energies, labelled(whole).labels['CCSD(T)'].energies, rtol=0, atol=1e-6
    )


def test_a_job_out_of_time_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = job(tmp_path, lithium_hydride(), lithium_hydride(0.1))
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        output = run(folder)
    assert (output['final'], output['reason'], output['failures']) == (False, 'walltime', [])
    assert labelled(folder).labels['MP2'].labelled.tolist() == [True, False]


def test_results_for_other_settings_are_not_taken_over(tmp_path: Path) -> None:
    first = job(tmp_path / 'first', lithium_hydride())
    run(first)
    second = job(tmp_path / 'second', lithium_hydride(), checkpoint_of=first, exp_to_discard=0.2)
    run(second)
    assert labelled(first).labels['HF'].energies != labelled(second).labels['HF'].energies


def test_a_structure_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    folder = job(tmp_path, hydrogen(0.75), hydrogen(1e-6), hydrogen(0.8))
    output = run(folder)
    assert output['final']
    assert [failure['snapshot'] for failure in output['failures']] == [1]
    assert 'linearly dependent' in output['failures'][0]['reason']
    assert labelled(folder).labels['CCSD'].labelled.tolist() == [True, False, True]


def test_where_all_fail_there_are_no_labels_but_reasons(tmp_path: Path) -> None:
    odd = Atoms('Li', cell=3.5 * np.eye(3), pbc=True)
    folder = job(tmp_path, odd)
    output = run(folder)
    assert '3 valence electrons' in output['failures'][0]['reason']
    assert labelled(folder).methods == ()


def test_ccsd_that_does_not_converge_costs_ccsd_and_triples_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = CoupledCluster.__init__
    monkeypatch.setattr(CoupledCluster, '__init__', lambda self, mean_field, max_cycle: original(self, mean_field, 2))
    folder = job(tmp_path, lithium_hydride(0.1))
    output = run(folder)
    assert output['failures'] == [
        {'snapshot': 0, 'methods': ['CCSD', 'CCSD(T)'], 'reason': 'CCSD did not converge within 2 iterations'}
    ]
    assert labelled(folder).methods == ('HF', 'MP2')


def test_hartree_fock_that_does_not_converge_is_an_error_of_the_structure() -> None:
    with pytest.raises(EngineError, match='HF did not converge'):
        correlated_energies(lithium_hydride(), PyscfCorrelation.of({**ENGINE, 'max_cycle': 1}), METHODS)


@pytest.mark.parametrize(
    ('change', 'named'),
    [({'methods': ['CCSDT']}, 'CCSDT'), ({'methods': []}, 'no method'), ({'engine': {'name': 'abacus'}}, 'abacus')],
)
def test_senseless_input_is_named(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    folder = job(tmp_path, lithium_hydride())
    content = json.loads((folder / 'input.json').read_text())
    (folder / 'input.json').write_text(json.dumps({**content, **change}))
    run(folder)
    assert named in output_of(folder)['message']


def test_a_metal_is_named_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyscf_engine, 'SMALLEST_GAP_EV', 1e3)
    output = run(job(tmp_path, lithium_hydride()))
    (failure,) = output['failures']
    assert 'a metal' in failure['reason']
    assert failure['methods'] == METHODS


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the engine give -1 eV at once, and note the bond of each structure that it was asked for."""
    asked: list[float] = []

    def energies(atoms: Atoms, settings: Any, methods: Any) -> CorrelatedEnergies:
        asked.append(round(float(atoms.get_distance(0, 1)), 2))
        return CorrelatedEnergies({'hf': -1.0, 'mp2': 0.0, 'ccsd': 0.0, 'triples': 0.0})

    monkeypatch.setattr(correlate, 'run_of', lambda table, name: energies)
    return asked


SIX = [hydrogen(0.70 + 0.01 * number) for number in range(6)]


@pytest.mark.parametrize(
    'content',
    [
        '',
        '{"identity"',
        '[]',
        '"text"',
        '{"identity": IDENTITY}',
        '{"identity": IDENTITY, "error": null, "missing": {}, "contributions": {"hf": "minus one"}}',
    ],
    ids=['empty', 'cut', 'list', 'text', 'lacks', 'no number'],
)
def test_one_bad_snapshot_file_costs_that_snapshot_alone(tmp_path: Path, made_up: list[float], content: str) -> None:
    first = job(tmp_path / 'first', *SIX)
    run(first)
    bad = first / 'checkpoint' / 'snapshot_00002.json'
    identity = json.loads(bad.read_text())['identity']
    bad.write_text(content.replace('IDENTITY', json.dumps(identity)))
    made_up.clear()
    output = run(job(tmp_path / 'second', *SIX, checkpoint_of=first))
    assert output['n_labelled']['CCSD(T)'] == 6
    assert made_up == [0.72]
    assert output['remarks'][0].startswith('snapshot_00002.json of the checkpoint is damaged')


@pytest.mark.parametrize('error', [MemoryError(), OSError(errno.ENOSPC, 'No space left on device')])
def test_a_full_memory_or_disk_is_not_a_result_of_the_snapshot(
    tmp_path: Path, made_up: list[float], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    works = correlate.run_of('energies', 'pyscf')

    def fails(atoms: Atoms, settings: Any, methods: Any) -> CorrelatedEnergies:
        if len(made_up) == 3:
            with pyscf_engine.failures_in_a_sentence('ccsd'):
                raise error
        return works(atoms, settings, methods)

    with monkeypatch.context() as patch:
        patch.setattr(correlate, 'run_of', lambda table, name: fails)
        folder = job(tmp_path / 'full', *SIX)
        output = run(folder)
    assert (output['reason'], output['n_labelled']['HF']) == ('resources', 3)
    assert labelled(folder).labels['HF'].labelled.sum() == 3
    assert run(job(tmp_path / 'room', *SIX, checkpoint_of=folder))['n_labelled']['HF'] == 6
    assert len(made_up) == 6
