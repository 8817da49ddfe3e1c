"""What jobs cost together, and what the rest of a campaign will cost."""

from datetime import datetime, timedelta

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.schedulers.datastructures import JobInfo

from aiida_mlcc.engines.cost import add_costs, cost_of, forecast
from aiida_mlcc.jobs.wall_time import wall_seconds
from aiida_mlcc.parsers.parse_raw.cc4s_outcome import RecordedRun, summarise
from tests.cc4s_records import CHECKED, RECORDED_RUNS
from tests.vasp_outputs import outcar

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


KILLED_STEPS_SECONDS = 0.597217640 + 0.000594466 + 2.371136404 + 0.000104976 + 7.657516465 + 0.816208083 + 81.590184421
KILLED_PROGRESS_SECONDS = 0 + 4 + 4
"""Of `bn8-killed-in-triples`, which ran on one rank with two threads."""


@pytest.fixture
def slurm(aiida_profile, tmp_path):
    """A computer with Slurm, of which nothing but its records is there."""
    return orm.Computer(
        label=f'slurm-{tmp_path.name}',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.slurm',
        workdir=str(tmp_path),
    ).store()


@pytest.fixture
def killed(slurm):
    """Give a job that was killed in (T) with its summary, and what the scheduler knows of it."""

    def job_of(accounting=None, polled=None, computer=slurm):
        job = orm.CalcJobNode(computer=computer)
        job.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
        if accounting is not None:
            job.set_detailed_job_info({'retval': 0, 'stdout': accounting, 'stderr': ''})
        if polled is not None:
            job.set_last_job_info(JobInfo({'job_id': '1', **polled}))
        job.store()
        folder = RECORDED_RUNS / 'bn8-killed-in-triples'
        run = RecordedRun(['Read'] * 8, CHECKED, '', (folder / 'cc4s.stdout').read_text())
        summary = orm.Dict(summarise(run))
        summary.base.links.add_incoming(job, LinkType.CREATE, 'summary')
        summary.store()
        return job

    return job_of


def test_job_killed_in_the_triples_is_charged_at_least_what_it_printed(killed):
    cost = cost_of([killed()])
    least = 2 * (KILLED_STEPS_SECONDS + KILLED_PROGRESS_SECONDS) / 3600
    assert cost['core_hours'] == pytest.approx(least)
    assert cost['n_jobs_of_unknown_cost'] == 1, 'steps that ended are not all that it cost'


HEAD = 'Account|AllocCPUS|Elapsed|ElapsedRaw|JobID|State|'
BATCH = '\nproject|2|00:00:10|10|17.batch|CANCELLED|\n'


@pytest.mark.parametrize(
    ('known', 'seconds'),
    [
        ({'accounting': f'{HEAD}\nproject|2|1-01:00:00|90000|17|TIMEOUT|{BATCH}'}, 90000),
        ({'accounting': f'{HEAD.replace("ElapsedRaw", "Eligible")}\np|2|1-01:00:01|x|17|TIMEOUT|{BATCH}'}, 90001),
        ({'polled': {'wallclock_time_seconds': 7200}}, 7200),
        ({'accounting': '', 'polled': {'wallclock_time_seconds': 7200}}, 7200),
        (
            {
                'polled': {
                    'dispatch_time': datetime(2026, 1, 1),
                    'finish_time': datetime(2026, 1, 1) + timedelta(hours=3),
                    'wallclock_time_seconds': 7200,
                }
            },
            10800,
        ),
    ],
)
def test_job_that_died_is_charged_the_wall_time_of_the_scheduler(killed, known, seconds):
    cost = cost_of([killed(**known)])
    assert cost['core_hours'] == pytest.approx(2 * seconds / 3600, rel=0.05)
    assert cost['n_jobs_of_unknown_cost'] == 0


def test_cpu_time_of_a_shell_is_no_wall_time(killed, aiida_localhost):
    assert aiida_localhost.scheduler_type == 'core.direct'
    job = killed(polled={'wallclock_time_seconds': 1}, computer=aiida_localhost)
    assert wall_seconds(job) is None
    assert cost_of([job])['n_jobs_of_unknown_cost'] == 1


@pytest.mark.parametrize('polled', [None, {'wallclock_time_seconds': 3600}])
def test_vasp_job_that_was_killed_costs_its_steps_or_its_wall_time(slurm, polled):
    job = orm.CalcJobNode(computer=slurm)
    if polled is not None:
        job.set_last_job_info(JobInfo({'job_id': '1', **polled}))
    job.store()
    loops = (
        '      LOOP:  cpu time   29.0: real time   30.0\n'
        '      LOOP:  cpu time   29.0: real time   30.0\n'
        '     LOOP+:  cpu time   70.0: real time   72.0\n'
        '      LOOP:  cpu time   17.0: real time   18.0\n'
    )
    retrieved = orm.FolderData()
    retrieved.base.repository.put_object_from_bytes((outcar([2], killed=True) + loops).encode(), 'OUTCAR')
    retrieved.base.links.add_incoming(job, LinkType.CREATE, 'retrieved')
    retrieved.store()
    cost = cost_of([job])
    seconds = 72.0 + 18.0 if polled is None else 3600
    assert cost['core_hours'] == pytest.approx(8 * seconds / 3600), 'on four ranks with two threads'
    assert cost['n_jobs_of_unknown_cost'] == (polled is None)


def test_job_without_any_file_costs_its_wall_time_on_what_it_was_given(slurm):
    job = orm.CalcJobNode(computer=slurm)
    job.set_option('resources', {'num_machines': 2, 'num_mpiprocs_per_machine': 3})
    job.set_last_job_info(JobInfo({'job_id': '1', 'wallclock_time_seconds': 1800}))
    cost = cost_of([job.store()])
    assert (cost['core_hours'], cost['n_jobs_of_unknown_cost']) == (3.0, 0)
