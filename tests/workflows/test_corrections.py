"""Corrections that a label's source names: an energy that lacks one is not a label."""

import numpy as np
import pytest
from aiida import orm

from aiida_mlcc.calculations.functions.label_point import label_point
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.table import correlation_engine
from aiida_mlcc.workflows.labelling.selections import refuse_methods
from tests.workflows.energies import helium

VASP = {
    'name': 'vasp+cc4s',
    'gamma_only': False,
    'natural_orbitals_per_occupied': 10,
    'encut': 400.0,
    'encutgw': 150.0,
    'ediff': 1e-6,
    'nelm': 60,
    'prec': 'Accurate',
    'ismear': 0,
    'sigma': 0.01,
    'energy': 'free',
    'hf_kpoints': [3, 3, 3],
    'hf_encut': 400.0,
    'potential_family': 'PBE.64',
    'potential_mapping': {'He': 'He'},
    'incar': {},
    'cc4s': {'basis_set_correction': {}, 'finite_size_correction': {}},
}
PLAIN = {'mp2': -1.0, 'ccsd': -1.25, 'triples': -0.125}
CORRECTED = {**PLAIN, 'mp2_basis_set': -0.5, 'ccsd_basis_set': -0.0625, 'ccsd_finite_size': -0.03125}
ALL = ['HF', 'MP2', 'CCSD', 'CCSD(T)']


def label(energies, engine=VASP) -> dict[str, float]:
    node = label_point(
        SnapshotsData(helium(1)),
        orm.Int(0),
        orm.List(ALL),
        orm.Dict(correlation_engine(engine).source()),
        science_hash(label_point),
        hf_energy=orm.Float(-8.0),
        energies=orm.Dict(energies),
    )
    return {method: float(found.energies[0]) for method, found in node.get_snapshots().labels.items()}


def test_corrections_are_added_each_to_its_methods(aiida_profile) -> None:
    assert label(CORRECTED) == {'HF': -8.0, 'MP2': -9.5, 'CCSD': -9.34375, 'CCSD(T)': -9.46875}


@pytest.mark.parametrize(
    ('lost', 'kept'),
    [
        (('ccsd_finite_size',), {'HF', 'MP2'}),
        (('mp2_basis_set', 'ccsd_basis_set', 'ccsd_finite_size', 'ccsd', 'triples'), {'HF'}),
        (('triples',), {'HF', 'MP2', 'CCSD'}),
    ],
)
def test_energy_without_a_correction_that_its_source_names_is_no_label(aiida_profile, lost, kept) -> None:
    found = label({name: value for name, value in CORRECTED.items() if name not in lost})
    assert set(found) == kept


def test_without_corrections_in_the_settings_none_is_needed(aiida_profile) -> None:
    found = label(PLAIN, {**VASP, 'cc4s': {}})
    assert found['CCSD(T)'] == pytest.approx(-9.375)
    assert np.isfinite(found['MP2'])


def test_second_order_of_frames_without_coupled_cluster_cannot_be_corrected() -> None:
    chosen = {'kind': 'optimal', 'n': 25, 'seed': 1}
    mixed = {**chosen, 'per_method': {'HF': {'kind': 'all'}, 'MP2': {'kind': 'all'}}}
    reason = refuse_methods(VASP, ALL, mixed)
    assert reason is not None
    assert 'give MP2 the selection of CCSD' in reason
    assert refuse_methods(VASP, ALL, chosen) is None
    assert refuse_methods({**VASP, 'cc4s': {}}, ALL, mixed) is None
    assert refuse_methods(VASP, ['HF', 'MP2'], chosen) is not None
