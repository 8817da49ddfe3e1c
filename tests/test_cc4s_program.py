"""The stand-in for Cc4s held to recorded runs of Cc4s, and to the package's own coupled cluster."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase import Atoms
from ase.units import Hartree

from aiida_mlcc.runtime.pyscf.correlated_energies import correlated_energies
from aiida_mlcc.runtime.pyscf.engine import hartree_fock
from aiida_mlcc.runtime.pyscf.settings import PyscfSettings
from aiida_mlcc.runtime.tasks.integrals import write_tensors
from tests.cc4s_records import RECORDED_RUNS
from tests.runtime.jobs import ENGINE, lithium_hydride

PROGRAM = Path(__file__).with_name('cc4s_program.py')
SETTINGS = PyscfSettings.of({**ENGINE, 'basis': 'gth-dzvp'})
METHODS = ['HF', 'MP2', 'CCSD', 'CCSD(T)']

CALCULATION = """
- {name: Read, in: {fileName: EigenEnergies.yaml}, out: {destination: EigenEnergies}}
- {name: Read, in: {fileName: CoulombVertex.yaml}, out: {destination: CoulombVertex}}
- {name: DefineHolesAndParticles, in: {eigenEnergies: EigenEnergies}, out: {slicedEigenEnergies: Sliced}}
- {name: SliceOperator, in: {slicedEigenEnergies: Sliced, operator: CoulombVertex}, out: {slicedOperator: Vertex}}
- {name: VertexCoulombIntegrals, in: {slicedCoulombVertex: Vertex}, out: {coulombIntegrals: Integrals}}
- name: CoupledCluster
  in:
    method: Ccsd
    slicedEigenEnergies: Sliced
    coulombIntegrals: Integrals
    slicedCoulombVertex: Vertex
    maxIterations: 30
    energyConvergence: 1.0E-9
    amplitudesConvergence: 1.0E-9
    mixer: {type: DiisMixer, maxResidua: 4}
  out: {amplitudes: Amplitudes}
- name: PerturbativeTriples
  in: {coulombIntegrals: Integrals, amplitudes: Amplitudes, slicedEigenEnergies: Sliced}
  out: {}
"""


@dataclass
class Result:
    """What one run printed and wrote."""

    code: int
    stdout: str
    report: dict[str, Any] | None

    def step(self, name: str) -> dict[str, Any]:
        assert self.report is not None, self.stdout
        return next(step['out'] for step in self.report['steps'].values() if step['name'] == name)

    @property
    def energies(self) -> dict[str, float]:
        ccsd = self.step('CoupledCluster')['energy']
        triples = self.step('PerturbativeTriples')['energy']
        return {'mp2': ccsd['secondOrder'], 'ccsd': ccsd['correlation'], 'triples': triples['correlation']}

    @property
    def iterations(self) -> list[tuple[float, float]]:
        """Energy and residuum of each iteration."""
        lines = re.findall(r'^ +\d+ +(-\d\.\d+e\S+) +\S+ +(\d\.\d+e\S+) ', self.stdout, re.MULTILINE)
        return [(float(energy), float(residuum)) for energy, residuum in lines]


def cc4s(folder: Path, *words: str) -> Result:
    done = subprocess.run([sys.executable, PROGRAM, *words], cwd=folder, capture_output=True, text=True)
    path = folder / 'cc4s.out.yaml'
    return Result(done.returncode, done.stdout, yaml.safe_load(path.read_text()) if path.exists() else None)


def copy_of(case: str, folder: Path) -> Path:
    """Copy the inputs of a recorded run, without its outputs."""
    for path in (RECORDED_RUNS / case).iterdir():
        if path.suffix in ('.yaml', '.elements', '.in') and path.name != 'cc4s.out.yaml':
            shutil.copyfile(path, folder / path.name)
    return folder


def recorded_run(case: str) -> Result:
    folder = RECORDED_RUNS / case
    report = yaml.safe_load((folder / 'cc4s.out.yaml').read_text())
    return Result(0, (folder / 'cc4s.stdout').read_text(), report)


@pytest.fixture(scope='module')
def tensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('tensors')
    write_tensors(hartree_fock(lithium_hydride(0.1), SETTINGS), None, folder / 'all')
    return folder / 'all'


def prepare(tensors: Path, folder: Path) -> Path:
    for path in tensors.iterdir():
        shutil.copyfile(path, folder / path.name)
    (folder / 'cc4s.in').write_text(CALCULATION)
    return folder


@pytest.fixture
def calculation(tensors: Path, tmp_path: Path) -> Path:
    return prepare(tensors, tmp_path)


@pytest.fixture(scope='module')
def canonical(tensors: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What is found from the tensors of all canonical orbitals."""
    return cc4s(prepare(tensors, tmp_path_factory.mktemp('canonical')))


def test_energies_and_iterations_are_those_that_cc4s_found_from_the_same_bytes(tmp_path: Path) -> None:
    case = 'lih8-szv-triples-crash'
    ours, theirs = cc4s(copy_of(case, tmp_path)), recorded_run(case)
    assert ours.code == 0
    reference = json.loads((RECORDED_RUNS / case / 'pyscf_reference.json').read_text())
    assert ours.energies['triples'] == pytest.approx(reference['t_corr_Eh'], abs=1e-9)
    for name in ('correlation', 'direct', 'exchange', 'secondOrder', 'unit'):
        expected = theirs.step('CoupledCluster')['energy'][name]
        assert ours.step('CoupledCluster')['energy'][name] == pytest.approx(expected, abs=1e-9), name
    assert len(ours.iterations) == len(theirs.iterations)
    for (energy, residuum), (their_energy, their_residuum) in zip(ours.iterations, theirs.iterations, strict=True):
        assert energy == pytest.approx(their_energy, abs=1e-9)
        assert residuum == pytest.approx(their_residuum, rel=0.05, abs=1e-8)


@pytest.mark.nightly
@pytest.mark.parametrize('case', ['lih8-dzvp-ok-2ranks', 'c8-szv-ok-2ranks'])
def test_tensors_we_write_give_the_energies_that_cc4s_found(case: str, tmp_path: Path) -> None:
    theirs = recorded_run(case)
    write_reference_tensors(case, tmp_path)
    ours = cc4s(tmp_path)
    # Hartree–Fock to 1e-9 leaves the orbitals, and with them MP2, uncertain by some 1e-8.
    assert ours.energies == pytest.approx(theirs.energies, abs=1e-7)
    assert len(ours.iterations) == len(theirs.iterations)


@pytest.mark.nightly
def test_ccsd_that_does_not_converge_ends_where_that_of_cc4s_ended(tmp_path: Path) -> None:
    case = 'lih8-dzvp-ccsd-not-converged'
    write_reference_tensors('lih8-dzvp-ok-2ranks', tmp_path)
    shutil.copyfile(RECORDED_RUNS / case / 'cc4s.in', tmp_path / 'cc4s.in')
    ours, theirs = cc4s(tmp_path), recorded_run(case)
    assert ours.code == 0
    found, expected = ours.step('CoupledCluster'), theirs.step('CoupledCluster')
    assert found['convergenceReached'] == expected['convergenceReached'] == 0
    assert found['energy'] == pytest.approx(expected['energy'], abs=1e-8)


def write_reference_tensors(case: str, folder: Path) -> None:
    reference = json.loads((RECORDED_RUNS / case / 'pyscf_reference.json').read_text())
    atoms = Atoms(reference['symbols'], cell=reference['cell_A'], positions=reference['positions_A'], pbc=True)
    settings = PyscfSettings.of({**ENGINE, 'basis': reference['basis']})
    write_tensors(hartree_fock(atoms, settings), None, folder / 'tensors')
    for path in (folder / 'tensors').iterdir():
        path.rename(folder / path.name)
    shutil.copyfile(RECORDED_RUNS / case / 'cc4s.in', folder / 'cc4s.in')


@pytest.mark.nightly
def test_energies_are_those_of_the_packages_own_coupled_cluster(calculation: Path) -> None:
    expected = correlated_energies(lithium_hydride(0.1), SETTINGS, METHODS).contributions
    found = cc4s(calculation).energies
    for name, energy in found.items():
        assert energy * Hartree == pytest.approx(expected[name], abs=1e-5), name


@pytest.mark.nightly
def test_all_natural_orbitals_give_the_energies_of_the_canonical_ones(calculation: Path, canonical: Result) -> None:
    write_tensors(hartree_fock(lithium_hydride(0.1), SETTINGS), 13 / 2, calculation / 'natural')
    for path in (calculation / 'natural').iterdir():
        shutil.copyfile(path, calculation / path.name)
    natural = cc4s(calculation)
    assert '13' in re.findall(r'Nv: (\d+)', natural.stdout)
    assert natural.energies == pytest.approx(canonical.energies, abs=1e-9)


def test_too_few_iterations_are_no_error_but_said(calculation: Path, canonical: Result) -> None:
    assert canonical.step('CoupledCluster')['convergenceReached'] == 1
    text = (calculation / 'cc4s.in').read_text()
    (calculation / 'cc4s.in').write_text(text.replace('maxIterations: 30', 'maxIterations: 2'))
    result = cc4s(calculation)
    assert result.code == 0
    assert result.step('CoupledCluster')['convergenceReached'] == 0
    assert 'convergence not reached' in result.stdout
    assert result.iterations == canonical.iterations[:2]


def test_elements_cut_short_are_read_as_if_nothing_were_wrong(calculation: Path, canonical: Result) -> None:
    elements = calculation / 'CoulombVertex.elements'
    elements.write_bytes(elements.read_bytes()[: elements.stat().st_size // 2])
    result = cc4s(calculation)
    assert result.code == 0
    assert result.energies['mp2'] != pytest.approx(canonical.energies['mp2'], abs=1e-3)


def test_missing_elements_end_the_run_before_it_starts(calculation: Path) -> None:
    (calculation / 'CoulombVertex.elements').unlink()
    result = cc4s(calculation)
    assert (result.code, result.report) == (1, None)
    assert "Failed to open file 'CoulombVertex.elements'" in result.stdout


def test_unknown_method_ends_the_run_before_it_starts(calculation: Path) -> None:
    text = (calculation / 'cc4s.in').read_text()
    (calculation / 'cc4s.in').write_text(text.replace('Ccsd', 'Ccsdtq'))
    result = cc4s(calculation)
    assert (result.code, result.report) == (1, None)
    assert "Unknown method: 'Ccsdtq'" in result.stdout


def test_dry_run_for_a_number_of_ranks_computes_nothing(calculation: Path) -> None:
    result = cc4s(calculation, '-d', '48')
    assert (result.code, result.report) == (0, None)
    assert 'Estimates provided for 48 ranks' in result.stdout
