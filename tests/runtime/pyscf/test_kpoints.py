"""PySCF on a mesh of k-points: against the Γ point of the supercell, and what labels say of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.units import Hartree

from aiida_mlcc.runtime.calculators import energy_and_forces
from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.pyscf import correlated_energies as correlated_module
from aiida_mlcc.runtime.pyscf.calculator import PyscfCalculator
from aiida_mlcc.runtime.pyscf.correlated_energies import correlated_energies
from aiida_mlcc.runtime.pyscf.density_extrapolation import DensityExtrapolation
from aiida_mlcc.runtime.pyscf.engine import check_ground_state, hartree_fock
from aiida_mlcc.runtime.pyscf.settings import PyscfCorrelation, PyscfForces, PyscfSettings
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.runtime.jobs import ENGINE, hydrogen, lithium_hydride, run, write_job, write_snapshots

HELIUM = Atoms('He', cell=2.2 * np.eye(3), pbc=True)
SETTINGS = PyscfCorrelation.of({**ENGINE, 'hf_kpoints': [2, 1, 1]})


def energy_per_cell(atoms: Atoms, mesh: tuple[int, int, int], **more: Any) -> float:
    """Energy of the supercell at the Γ point, Hartree a cell."""
    return float(hartree_fock(atoms.repeat(mesh), PyscfSettings.of({**ENGINE, **more})).e_tot) / int(np.prod(mesh))


@pytest.mark.parametrize(
    ('atoms', 'mesh'),
    [
        pytest.param(hydrogen(0.75), (2, 1, 1), id='hydrogen'),
        pytest.param(HELIUM, (2, 2, 2), id='helium', marks=pytest.mark.nightly),
        pytest.param(lithium_hydride(0.1), (2, 2, 2), id='lithium hydride', marks=pytest.mark.nightly),
    ],
)
def test_hartree_fock_on_a_mesh_is_that_of_the_supercell_at_the_gamma_point(
    atoms: Atoms, mesh: tuple[int, int, int]
) -> None:
    found = hartree_fock(atoms, SETTINGS, mesh=mesh).e_tot
    assert found == pytest.approx(energy_per_cell(atoms, mesh), abs=1e-6)
    assert abs(found - energy_per_cell(atoms, (1, 1, 1))) > 1e-4, 'the mesh matters'


def dft_energy(atoms: Atoms, **more: Any) -> float:
    settings = PyscfForces.of({**ENGINE, 'method': 'PBE', **more})
    return energy_and_forces(PyscfCalculator(settings), atoms, with_forces=False)[0]


@pytest.mark.nightly
def test_dft_on_a_mesh_is_that_of_the_supercell_at_the_gamma_point() -> None:
    atoms = hydrogen(0.75)
    found = dft_energy(atoms, kpoints=[2, 1, 1])
    assert found == pytest.approx(dft_energy(atoms.repeat((2, 1, 1))) / 2, abs=1e-5)
    assert abs(found - dft_energy(atoms)) > 1e-3, 'the mesh matters'


def test_hartree_fock_is_of_the_mesh_and_correlation_of_the_gamma_point(tmp_path: Path) -> None:
    atoms = hydrogen(0.75)
    write_snapshots(tmp_path, 'snapshots.npz', atoms)
    engine = {'name': 'pyscf', **ENGINE, 'hf_kpoints': [2, 1, 1]}
    content = {'task': 'correlate', 'snapshots': 'snapshots.npz', 'methods': ['HF', 'MP2'], 'engine': engine}
    run(write_job(tmp_path, content))
    labels = Snapshots.load(tmp_path / 'labelled.npz').labels
    at_gamma = correlated_energies(atoms, PyscfCorrelation.of(ENGINE), ['MP2']).contributions
    on_mesh = hartree_fock(atoms, SETTINGS, mesh=[2, 1, 1]).e_tot * Hartree
    assert labels['MP2'].contributions['mp2'][0] == pytest.approx(at_gamma['mp2'], abs=1e-6)
    assert labels['MP2'].energies[0] == pytest.approx(on_mesh + at_gamma['mp2'], abs=1e-6)
    assert labels['HF'].energies[0] == pytest.approx(on_mesh, abs=1e-6)
    assert (labels['MP2'].source['hf_kpoints'], labels['MP2'].source['kpoints']) == ([2, 1, 1], 'Γ')


def test_integrals_are_of_the_gamma_point_and_their_hartree_fock_energy_of_the_mesh(tmp_path: Path) -> None:
    atoms = hydrogen(0.75)
    write_snapshots(tmp_path, 'snapshots.npz', atoms)
    engine = {'name': 'pyscf', **ENGINE, 'natural_orbitals_per_occupied': None, 'hf_kpoints': [2, 1, 1]}
    content = {'task': 'integrals', 'snapshots': 'snapshots.npz', 'label_hf': True, 'engine': engine}
    tensors = run(write_job(tmp_path, content))['tensors']['0']
    at_gamma = correlated_energies(atoms, PyscfCorrelation.of(ENGINE), ['MP2']).contributions
    assert tensors['hf'] == pytest.approx(hartree_fock(atoms, SETTINGS, mesh=[2, 1, 1]).e_tot * Hartree, abs=1e-6)
    assert tensors['mp2_full'] == pytest.approx(at_gamma['mp2'], abs=1e-6)
    assert Snapshots.load(tmp_path / 'labelled.npz').labels['HF'].source['hf_kpoints'] == [2, 1, 1]


def test_where_the_gamma_point_fails_the_energy_of_the_mesh_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_at_gamma(atoms: Atoms, settings: Any, start: Any = None, mesh: Any = None) -> Any:
        if mesh is None:
            raise EngineError('HF finds a gap of 0.01 eV at Γ')
        return SimpleNamespace(e_tot=-1.0)

    monkeypatch.setattr(correlated_module, 'hartree_fock', fails_at_gamma)
    found = correlated_energies(hydrogen(0.75), SETTINGS, ['HF', 'MP2'])
    assert found.contributions == {'hf': -Hartree}
    assert found.missing == {'mp2': 'at the Γ point, HF finds a gap of 0.01 eV at Γ'}


@pytest.mark.parametrize('mesh', [None, [1, 1, 1]])
def test_labels_of_the_gamma_point_say_what_they_always_said(mesh: list[int] | None) -> None:
    for settings in (
        PyscfCorrelation.of({**ENGINE, 'hf_kpoints': mesh}),
        PyscfForces.of({**ENGINE, 'method': 'HF', 'kpoints': mesh}),
    ):
        source = settings.source('HF')
        assert source['kpoints'] == 'Γ'
        assert 'hf_kpoints' not in source


def test_labels_of_a_mesh_name_it() -> None:
    assert PyscfForces.of({**ENGINE, 'method': 'HF', 'kpoints': [2, 2, 2]}).source('HF')['kpoints'] == [2, 2, 2]


def test_forces_of_a_functional_on_a_mesh_are_refused() -> None:
    calculator = PyscfCalculator(PyscfForces.of({**ENGINE, 'method': 'PBE', 'kpoints': [2, 2, 2]}))
    with pytest.raises(EngineError, match='no forces of PBE on a mesh of k-points'):
        energy_and_forces(calculator, hydrogen(0.75))


def test_levels_that_overlap_between_k_points_are_a_metal() -> None:
    solid = SimpleNamespace(converged=True, cell=SimpleNamespace(nelectron=2))
    check_ground_state(SimpleNamespace(**{**vars(solid), 'mo_energy': [[-0.5, 0.3], [-0.4, 0.2]]}), 'HF')
    with pytest.raises(EngineError, match='eV between 2 k-points: a metal'):
        check_ground_state(SimpleNamespace(**{**vars(solid), 'mo_energy': [[-0.5, 0.0], [0.1, 0.3]]}), 'HF')


def test_a_density_matrix_of_a_mesh_comes_back() -> None:
    """It is a projector onto half of the functions, of a complex overlap at each of two points."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, 4, 4)) + 1j * rng.standard_normal((2, 4, 4))
    overlap = np.eye(4) + 0.05 * (noise + noise.conj().swapaxes(-1, -2))
    orbitals = np.linalg.inv(np.linalg.cholesky(overlap)).conj().swapaxes(-1, -2)[..., :2]
    density = 2 * orbitals @ orbitals.conj().swapaxes(-1, -2)
    memory = DensityExtrapolation()
    memory.remember(density, overlap)
    again = DensityExtrapolation()
    again.restore(memory.state())
    found = again.guess(overlap)
    assert found is not None
    assert np.allclose(found, density)
