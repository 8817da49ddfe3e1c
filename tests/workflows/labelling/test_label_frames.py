"""What a labelling in batches learns of its cost, step by step, without running a job."""

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.table import correlation_engine
from aiida_mlcc.workflows.labelling.label_frames import LabelFramesWorkChain
from tests.workflows.energies import builder_of, helium

HOURS = 2.0


@pytest.fixture
def labelling(python):
    """Three frames in batches of one with a budget, of which none has been submitted."""
    given = builder_of(python, helium(3), methods=['HF'], batch_size=1)._inputs(prune=True)
    inputs = {name: value for name, value in given.items() if name in LabelFramesWorkChain.spec().inputs}
    frames, budget = orm.Dict({'HF': [0, 1, 2]}), orm.Float(100.0)
    process = instantiate_process(
        get_manager().get_runner(), LabelFramesWorkChain, **{**inputs, 'frames': frames, 'max_core_hours': budget}
    )
    process.plan_batches()
    return process


def finish_next_batch(process, computer, cached: tuple[bool, ...], name: str | None = None) -> None:
    """Let the next batch be labelled by jobs of which some come from the cache; each took two core hours once."""
    methods, frames = process.ctx.batches.pop(0)
    name = name or f'batch_{frames[0]:03d}'
    batch = orm.WorkChainNode()
    batch.set_process_state('finished')
    batch.set_exit_status(0)
    batch.store()
    for number, from_cache in enumerate(cached):
        job = orm.CalcJobNode(computer=computer)
        job.base.links.add_incoming(batch, LinkType.CALL_CALC, f'job_{number}')
        job.store()
        summary = orm.Dict({'core_hours': HOURS})
        summary.base.links.add_incoming(job, LinkType.CREATE, 'summary')
        summary.store()
        if from_cache:
            job.base.extras.set('_aiida_cached_from', 'another')
    labelled = SnapshotsData(helium(1)).store()
    labelled.base.links.add_incoming(batch, LinkType.RETURN, 'labelled')
    process.ctx.running[name], process.ctx[name] = (methods, frames), batch
    process.collect_batches()
    process.judge_cost()


def test_batch_from_the_cache_tells_nothing_of_what_the_others_cost(labelling, python):
    finish_next_batch(labelling, python.computer, (True,))
    assert labelling.ctx.forecasts == []
    finish_next_batch(labelling, python.computer, (False,))
    (forecast,) = labelling.ctx.forecasts
    assert forecast['n_left'] == 1
    assert forecast['core_hours_to_come'] == pytest.approx(HOURS)


def test_batch_from_the_cache_in_part_is_the_least_that_others_cost_until_one_ran_anew(labelling, python):
    finish_next_batch(labelling, python.computer, (True, False))
    assert labelling.ctx.forecasts[-1]['core_hours_to_come'] == pytest.approx(2 * HOURS)
    finish_next_batch(labelling, python.computer, (False, False))
    assert labelling.ctx.forecasts[-1]['core_hours_to_come'] == pytest.approx(2 * HOURS), 'one batch of two jobs'


def test_budget_holds_where_every_batch_comes_from_the_cache_in_part(labelling, python):
    labelling.ctx.costs.append(
        {'core_hours': 99.0, 'n_jobs': 1, 'n_jobs_of_unknown_cost': 0, 'largest_memory_gb': None}
    )
    finish_next_batch(labelling, python.computer, (True, False))
    assert labelling.ctx.batches == []
    assert len(labelling.ctx.left_out) == 2


def test_budget_that_failed_points_used_up_ends_the_campaign(labelling, python):
    labelling.ctx.costs.append(
        {'core_hours': 101.0, 'n_jobs': 1, 'n_jobs_of_unknown_cost': 0, 'largest_memory_gb': None}
    )
    finish_next_batch(labelling, python.computer, ())
    assert labelling.ctx.batches == []
    assert len(labelling.ctx.left_out) == 2


def test_place_of_a_batch_that_ended_is_filled_while_another_one_runs(labelling, python, monkeypatch):
    started = []

    def submit_batch(name, snapshots, methods):
        started.append(name)
        return orm.WorkChainNode().store()

    monkeypatch.setattr(labelling, 'submit_batch', submit_batch)
    labelling.ctx.n_places, labelling.ctx.telling = 2, [(['HF'], 1, {'core_hours': HOURS})]
    assert set(labelling.fill_places()) == {'batch_000', 'batch_001'}
    running = dict(labelling.ctx.running)
    left = labelling.ctx.batches
    # The second one ends; of the first there is no more than a placeholder.
    labelling.ctx.batch_000, labelling.ctx.batches = 'waiting', [running['batch_001']]
    finish_next_batch(labelling, python.computer, (False,), name='batch_001')
    assert list(labelling.ctx.running) == ['batch_000']
    labelling.ctx.batches = left
    assert set(labelling.fill_places()) == {'batch_000', 'batch_002'}
    assert started == ['batch_000', 'batch_001', 'batch_002']


def test_snapshots_with_jobs_of_their_own_take_a_place_each(labelling, monkeypatch):
    monkeypatch.setattr(type(correlation_engine(labelling.inputs.engine)), 'shares_jobs', False)
    labelling.plan_batches()
    sizes = [len(frames) for _, frames in labelling.ctx.batches]
    assert sizes == [1] * 3
    assert labelling.ctx.n_places == labelling.inputs.batch_size.value * labelling.inputs.max_concurrent.value
