"""Meshes of k-points of the engine PySCF: which are refused, and which labels go together."""

from __future__ import annotations

from typing import Any

import pytest
from ase.build import bulk

from aiida_mlcc.engines.cc4s.point import label_source
from aiida_mlcc.engines.cc4s.settings import PyscfCc4s
from aiida_mlcc.engines.pyscf import PyscfEnergies, PyscfEngine, refuse_cell
from aiida_mlcc.engines.table import correlation_kind
from aiida_mlcc.runtime.pyscf.settings import PyscfCorrelation, PyscfForces
from aiida_mlcc.science.labels.merging import made_with

CRYSTAL = bulk('LiH', 'rocksalt', a=4.017, cubic=True)
WITH_MESH = {'hf_kpoints': [2, 2, 2]}


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'method': 'PBE', 'kpoints': [2, 2, 2]}, 'no forces of PBE on a mesh of k-points'),
        ({'method': 'LDA', 'kpoints': [1, 1, 1]}, None),
        ({'method': 'HF', 'kpoints': [2, 2, 2]}, None),
        ({'method': 'HF', 'kpoints': [2, 2, 1]}, 'less symmetry than the cell'),
    ],
)
def test_forces_that_cannot_be_are_refused_before_a_job(changed: dict[str, Any], reason: str | None) -> None:
    engine = PyscfEngine({**PyscfForces.defaults(), **changed})
    found = engine.refuse_crystal(CRYSTAL) or engine.refuse_electrons(CRYSTAL)
    assert found is None if reason is None else reason in (found or '')


@pytest.mark.parametrize(
    ('mesh', 'reason'), [(None, None), ([2, 2, 2], None), ([2, 2, 1], 'less symmetry than the cell')]
)
def test_mesh_of_displaced_atoms_has_to_have_the_symmetry_of_the_lattice(mesh: Any, reason: str | None) -> None:
    atoms = CRYSTAL.copy()
    atoms.rattle(0.05, seed=1)
    found = refuse_cell(PyscfCorrelation.of({**PyscfCorrelation.defaults(), 'hf_kpoints': mesh}), atoms)
    assert found is None if reason is None else reason in (found or '')


@pytest.mark.parametrize(
    ('settings', 'name'), [(PyscfForces, 'kpoints'), (PyscfCorrelation, 'hf_kpoints'), (PyscfCc4s, 'hf_kpoints')]
)
@pytest.mark.parametrize('mesh', [[0, 2, 2], [2, 2], [-1, 1, 1], [2.0, 2, 2], 2])
def test_what_is_not_a_mesh_is_refused(settings: Any, name: str, mesh: Any) -> None:
    reason = settings.refuse({**settings.defaults(), name: mesh})
    assert f'`{name}` is ' in (reason or '')


def test_a_mesh_of_the_correlation_is_refused_with_the_setting_that_there_is() -> None:
    reason = PyscfCorrelation.refuse({**PyscfCorrelation.defaults(), 'kpoints': [2, 2, 2]})
    assert 'leave out `kpoints`' in (reason or '')
    assert '`hf_kpoints`' in (reason or '')


@pytest.mark.parametrize('name', ['pyscf', 'pyscf+cc4s'])
def test_labels_with_a_mesh_and_without_do_not_go_together(name: str) -> None:
    engine = correlation_kind(name)
    at_gamma = engine.settings_class.defaults()
    before = {key: value for key, value in engine(at_gamma).source().items() if key != 'hf_kpoints'}
    on_mesh = engine({**at_gamma, **WITH_MESH}).source()
    assert made_with(before, engine(at_gamma).source()), 'labels from before there was a choice'
    assert made_with(before, engine({**at_gamma, 'hf_kpoints': [1, 1, 1]}).source())
    assert not made_with(on_mesh, engine(at_gamma).source())
    assert not made_with(before, engine({**at_gamma, **WITH_MESH}).source())


def test_labels_of_cc4s_say_nothing_of_a_mesh_that_they_have_not() -> None:
    settings = PyscfCc4s.defaults()
    assert 'hf_kpoints' not in label_source(settings)
    assert label_source({**settings, **WITH_MESH})['hf_kpoints'] == [2, 2, 2]


@pytest.mark.parametrize(('mesh', 'said'), [(None, 'Γ'), ([2, 2, 2], [2, 2, 2])])
def test_new_structures_take_the_mesh_of_the_labels(mesh: Any, said: Any) -> None:
    settings = {**PyscfForces.defaults(), 'method': 'HF', 'kpoints': mesh}
    source = PyscfEngine(settings).source()
    assert source['kpoints'] == said
    like = PyscfEngine.like('HF', source, {})
    assert like['kpoints'] == mesh
    assert PyscfEngine.refuse_other_settings(settings, like) is None
    other = {**settings, 'kpoints': [3, 3, 3]}
    assert '`base_engine.kpoints` is [3, 3, 3]' in (PyscfEngine.refuse_other_settings(other, like) or '')


@pytest.mark.parametrize(('basis', 'mesh', 'seconds'), [('gth-dzvp', None, 4.02), ('gth-dzvp', [2, 1, 1], 8.01)])
def test_hartree_fock_takes_what_it_took_to_a_factor_of_two(basis: str, mesh: Any, seconds: float) -> None:
    """CPU seconds of the primitive cell of LiH on one core, by PySCF alone."""
    settings = {**PyscfCorrelation.defaults(), 'basis': basis, 'hf_kpoints': mesh}
    cost = PyscfEnergies(settings).energy_cost(['Li', 'H'], ['HF'])
    assert cost is not None
    assert 0.5 < 3600 * cost.core_hours / seconds < 2


def test_factors_on_disk_grow_with_the_pairs_of_k_points() -> None:
    settings = {**PyscfCorrelation.defaults(), 'basis': 'gth-dzvp'}
    costs = [
        PyscfEnergies({**settings, 'hf_kpoints': [n] * 3}).energy_cost(['Li', 'F'] * 4, ['HF', 'CCSD(T)'])
        for n in (1, 2)
    ]
    # Real and a triangle at Γ; complex and all of it for 36 pairs of 8 points.
    assert costs[1].disk_gb / costs[0].disk_gb == pytest.approx(4 * 36)
    assert costs[1].memory_gb >= costs[0].memory_gb
