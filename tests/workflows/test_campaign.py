"""Campaigns in which points fail: what is finished is kept, and only what is missing is computed again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_mlcc.cli.known_labels import find_known_labels
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain
from tests.campaign import Campaign, helium
from tests.campaign_programs import ccsd_of, hf_energy_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def campaign(aiida_profile, aiida_localhost, tmp_path):
    return Campaign(tmp_path / 'state', aiida_localhost)


def labelled_by(outputs, method):
    return outputs['snapshots'].get_snapshots().labels[method].labelled.nonzero()[0].tolist()


def reasons_in(outputs):
    return {entry['snapshot']: entry['reason'] for entry in outputs['failures']['failed']}


@pytest.mark.nightly
def test_one_point_in_five_fails_and_a_rerun_computes_that_one_alone(campaign):
    campaign.break_points({3: 'triples-crash'})
    snapshots = helium(5)
    outputs, node = run_get_node(campaign.builder(snapshots))
    assert node.is_finished_ok, node.exit_message
    assert labelled_by(outputs, 'CCSD(T)') == [0, 1, 2, 4]
    assert labelled_by(outputs, 'CCSD') == [0, 1, 2, 3, 4], 'what a crash of (T) leaves is kept'
    (reason,) = reasons_in(outputs).values()
    assert '(T) crashed with signal 8 after CCSD had converged' in reason
    energies = outputs['snapshots'].get_snapshots().labels['CCSD']
    expected = [hf_energy_of(number) + ccsd_of(number) * 27.211386 - 0.1 for number in range(5)]
    assert energies.energies == pytest.approx(expected, abs=1e-5), 'each point has its own energy'

    campaign.break_points({})
    before = campaign.starts()
    again = campaign.builder(snapshots)
    again.known_labels = find_known_labels(again.snapshots)
    outputs, node = run_get_node(again)
    assert node.is_finished_ok, node.exit_message
    assert labelled_by(outputs, 'CCSD(T)') == [0, 1, 2, 3, 4]
    assert campaign.starts() == {**before, 3: before[3] + 1}
    assert not campaign.computed_again()


@pytest.mark.nightly
def test_too_few_labels_are_a_failure_that_keeps_what_there_is(campaign):
    campaign.break_points({1: 'no-integrals'})
    outputs, node = run_get_node(campaign.builder(helium(2), min_success_fraction=0.9, methods=['HF', 'CCSD']))
    assert node.exit_status == CCEnergiesWorkChain.exit_codes.ERROR_TOO_FEW_LABELLED.status
    assert 'Only 1 of 2 snapshots have a' in node.exit_message
    assert labelled_by(outputs, 'CCSD') == [0]
    assert reasons_in(outputs) == {1: 'HF did not converge within 50 cycles'}
    assert campaign.starts() == {0: 1}, 'without integrals Cc4s is not started'


@pytest.mark.nightly
def test_job_out_of_time_is_given_more_and_ends(campaign):
    campaign.break_points({0: 'out-of-time-once'})
    builder = campaign.builder(helium(1))
    builder.cc4s.metadata.options.max_wallclock_seconds = 60
    builder.cc4s.max_wallclock_seconds = 120
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert labelled_by(outputs, 'CCSD(T)') == [0]
    assert campaign.starts() == {0: 2}
    assert campaign.starts('integrals') == {0: 1}


@pytest.mark.nightly
def test_job_out_of_time_that_may_have_no_more_is_named(campaign):
    campaign.break_points({1: 'out-of-time-once'})
    outputs, node = run_get_node(campaign.builder(helium(2), methods=['HF', 'CCSD']))
    assert node.is_finished_ok, node.exit_message
    assert labelled_by(outputs, 'HF') == [0, 1]
    assert labelled_by(outputs, 'CCSD') == [0]
    assert 'Out of time in step CoupledCluster' in reasons_in(outputs)[1]
    assert campaign.starts() == {0: 1, 1: 1}


@pytest.mark.nightly
def test_truncated_vertex_never_reaches_cc4s(campaign):
    campaign.break_points({0: 'truncated-vertex'})
    _, node = run_get_node(campaign.builder(helium(1), methods=['MP2']))
    assert node.exit_status == CCEnergiesWorkChain.exit_codes.ERROR_NOTHING_LABELLED.status
    assert 'CoulombVertex.elements' in node.exit_message
    assert campaign.starts() == {}


TOO_LOW = {
    **{'n_occupied': 1, 'n_virtual': 1, 'real': True, 'gflops_per_core': 10.0, 'ranks': 1, 'disk_gb': 0.0},
    **{'memory_gb': 0.1, 'memory_gb_per_rank': 0.1, 'core_hours': {'CCSD': 0.001, 'CCSD(T)': 0.001}},
}
"""A forecast below what the point will take."""


@pytest.mark.nightly
def test_budget_below_the_forecast_of_one_point_stops_before_any(campaign):
    _, node = run_get_node(campaign.builder(helium(2), max_core_hours=0.1))
    assert node.exit_status == CCEnergiesWorkChain.exit_codes.ERROR_TOO_EXPENSIVE.status
    assert 'one point is forecast to take 3 core hours' in node.exit_message
    assert campaign.starts() == {}


@pytest.mark.nightly
def test_budget_that_the_first_point_exceeds_stops_there_and_keeps_its_label(campaign):
    builder = campaign.builder(helium(4), max_core_hours=0.1)
    builder.forecast = orm.Dict(TOO_LOW)
    outputs, node = run_get_node(builder)
    assert node.exit_status == CCEnergiesWorkChain.exit_codes.ERROR_TOO_EXPENSIVE.status
    assert '3 snapshots are left' in node.exit_message
    assert 'over the 0.1 of `max_core_hours`' in node.exit_message
    assert campaign.starts() == {0: 1}
    assert labelled_by(outputs, 'CCSD(T)') == [0]
    forecast = outputs['cost']['forecasts'][-1]
    assert forecast['n_left'] == 3
    assert forecast['core_hours_to_come'] == pytest.approx(3 * outputs['cost']['core_hours'])
    assert set(reasons_in(outputs)) == {1, 2, 3}


@pytest.mark.nightly
def test_budget_that_is_enough_is_no_obstacle(campaign):
    outputs, node = run_get_node(campaign.builder(helium(2), max_core_hours=10.0, methods=['HF', 'MP2']))
    assert node.is_finished_ok, node.exit_message
    assert labelled_by(outputs, 'MP2') == [0, 1]
    (forecast,) = outputs['cost']['forecasts']
    assert forecast['core_hours_spent'] + forecast['core_hours_to_come'] == pytest.approx(outputs['cost']['core_hours'])


@pytest.mark.nightly
def test_daemon_worker_that_is_killed_loses_no_point_and_repeats_none():
    options = ('--points', '4', '--failures', '0', '--batch-size', '2', '--max-concurrent', '1')
    command = [sys.executable, '-m', 'tests.benchmarks.campaign', *options, '--kill-worker-after', '1']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stderr
    campaign = json.loads(done.stdout)['campaign']
    assert campaign['worker_killed']
    assert campaign['exit_status'] == 0, campaign['exit_message']
    assert set(campaign['labelled'].values()) == {4}
    assert campaign['computed_again'] == []


@pytest.mark.nightly
def test_integrals_of_vasp_are_made_once(campaign):
    outputs, node = run_get_node(campaign.builder(helium(1), 'vasp+cc4s', methods=['HF', 'CCSD(T)']))
    assert node.is_finished_ok, node.exit_message
    assert labelled_by(outputs, 'CCSD(T)') == [0]
    assert campaign.events('vasp')[0].count('done') == 1
