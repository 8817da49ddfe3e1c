"""From a dispersion back to the energies: those that made it, and no others."""

import pytest

from aiida_mlcc.report.provenance.trace import curves_of, trace
from tests.graphs import LABELLED, N_FRAMES, SEEDS


def test_a_dispersion_leads_to_its_own_energies_and_those_of_its_base(run):
    found = trace(run.dispersion['CCSD(T)'])
    assert found.methods == ['CCSD(T)', 'LDA'] or found.methods == ['LDA', 'CCSD(T)']
    assert found.seeds == sorted(SEEDS)
    assert found.training_sets == [run.snapshots.uuid]
    by_method = {m: [e for e in found.energies if e.method == m] for m in found.methods}
    assert [e.snapshot for e in by_method['CCSD(T)']] == list(LABELLED)
    assert [e.snapshot for e in by_method['LDA']] == list(range(N_FRAMES))


def test_each_energy_is_the_stored_one_and_names_its_job(run):
    for energy in trace(run.dispersion['CCSD(T)']).energies:
        assert energy.energy_eV == pytest.approx(run.energies[energy.method][energy.snapshot])
        job = run.correlate if energy.method == 'CCSD(T)' else run.md
        assert energy.calculation == job.uuid


def test_the_base_alone_needs_no_wave_function_energies(run):
    assert {e.method for e in trace(run.dispersion['LDA']).energies} == {'LDA'}


def test_a_run_has_a_curve_a_method(run):
    assert list(curves_of(run.master)) == ['LDA', 'HF', 'CCSD(T)']
