"""What jobs cost together, and what the rest of a campaign will cost."""

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_mlcc.engines.cost import add_costs, cost_of, forecast

NOTHING = {'core_hours': 0.0, 'n_jobs': 0, 'n_jobs_of_unknown_cost': 0, 'largest_memory_gb': None}


def cost(core_hours):
    return {**NOTHING, 'core_hours': core_hours}


def test_no_cost_is_nothing():
    assert add_costs([]) == NOTHING


def test_costs_add_up_but_for_the_memory_which_is_the_largest():
    first = {'core_hours': 1.5, 'n_jobs': 2, 'n_jobs_of_unknown_cost': 1, 'largest_memory_gb': 3.0}
    second = {'core_hours': 0.5, 'n_jobs': 1, 'n_jobs_of_unknown_cost': 0, 'largest_memory_gb': None}
    together = {'core_hours': 2.0, 'n_jobs': 3, 'n_jobs_of_unknown_cost': 1, 'largest_memory_gb': 3.0}
    assert add_costs([first, second]) == together


def test_frames_to_come_cost_what_those_before_cost_on_average():
    finished = [(['HF', 'CCSD'], 1, cost(4.0)), (['HF', 'CCSD'], 3, cost(8.0)), (['HF'], 2, cost(0.2))]
    assert forecast(finished, [(['HF', 'CCSD'], [5, 6]), (['HF'], [7])]) == pytest.approx(2 * 3.0 + 0.1)


def test_methods_of_which_nothing_is_finished_cost_as_much_as_the_costliest():
    finished = [(['HF', 'CCSD'], 1, cost(4.0)), (['HF'], 1, cost(0.1))]
    assert forecast(finished, [(['HF', 'MP2'], [1, 2])]) == pytest.approx(8.0)


def test_without_anything_finished_nothing_is_forecast():
    assert forecast([], [(['HF'], [1])]) == 0.0
    assert forecast([(['HF'], 1, cost(1.0))], []) == 0.0


@pytest.fixture
def tree(aiida_profile, aiida_localhost):
    """A workflow that calls a job and another workflow, which calls two jobs."""
    resources = {'num_machines': 2, 'num_mpiprocs_per_machine': 3}
    top, below = orm.WorkChainNode().store(), orm.WorkChainNode()
    below.base.links.add_incoming(top, LinkType.CALL_WORK, 'below')
    below.store()
    jobs = []
    summaries = [{'core_hours': 2.0, 'memory_gb': 1.5}, {'wall_seconds': 1800.0}, None]
    for number, (caller, summary) in enumerate(zip((top, below, below), summaries, strict=True)):
        job = orm.CalcJobNode(computer=aiida_localhost)
        job.set_option('resources', resources)
        job.base.links.add_incoming(caller, LinkType.CALL_CALC, f'job_{number}')
        jobs.append(job.store())
        if summary is not None:
            output = orm.Dict(summary)
            output.base.links.add_incoming(job, LinkType.CREATE, 'summary')
            output.store()
    return top, jobs


def test_jobs_at_every_depth_count_by_what_they_say_or_by_cores_and_time(tree):
    top, _ = tree
    expected = {'core_hours': 2.0 + 6 * 0.5, 'n_jobs': 3, 'n_jobs_of_unknown_cost': 1, 'largest_memory_gb': 1.5}
    assert cost_of([top]) == expected


def test_job_is_its_own_cost(tree):
    _, jobs = tree
    assert cost_of([jobs[0]])['core_hours'] == 2.0


def test_jobs_from_the_cache_cost_nothing(tree):
    top, jobs = tree
    jobs[0].base.extras.set('_aiida_cached_from', 'another')
    assert cost_of([top])['core_hours'] == 3.0


def test_workflow_without_jobs_costs_nothing(aiida_profile):
    assert cost_of([orm.WorkChainNode().store()]) == NOTHING
