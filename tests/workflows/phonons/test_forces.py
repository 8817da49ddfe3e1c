"""Which calculators share a job, and that a checkpoint keeps it."""

from aiida.orm.utils.serialize import deserialize_unsafe, serialize

from aiida_mlcc.workflows.phonons.forces import SHARED, PhononForces, alternatives_of

INPUTS = {
    'force_fields': {'seed_1': 'one', 'seed_2': 'two'},
    'alternatives': {'readout': {'seed_1': 'another one', 'seed_2': 'another two'}},
}


class Ended:
    """A job that ended, well or not."""

    def __init__(self, well: bool) -> None:
        self.is_finished_ok = well


def test_members_at_the_same_places_share_a_job_with_all_alternatives():
    plan = PhononForces.of(INPUTS, [])
    assert plan.geometries == {SHARED: ['seed_1', 'seed_2']}
    assert set(plan.calculators(SHARED, INPUTS)['force_fields'].values()) == {
        'one',
        'two',
        'another one',
        'another two',
    }
    assert plan.label(SHARED) == 'forces'


def test_members_at_places_of_their_own_have_a_job_each_with_their_alternatives():
    plan = PhononForces.of(INPUTS, ['seed_1', 'seed_2'])
    assert plan.calculators('seed_2', INPUTS)['force_fields'] == {'seed_2': 'two', 'readout_of_seed_2': 'another two'}


def test_alternatives_can_be_left_out():
    plan = PhononForces.of(INPUTS, ['seed_1', 'seed_2'], left_out=['readout_of_seed_1'])
    assert set(alternatives_of(INPUTS)) == {'readout_of_seed_1', 'readout_of_seed_2'}
    assert set(plan.calculators('seed_1', INPUTS)['force_fields']) == {'seed_1'}
    assert set(plan.calculators('seed_2', INPUTS)['force_fields']) == {'seed_2', 'readout_of_seed_2'}


def test_a_job_that_alternatives_may_have_spoilt_is_tried_again_without_them():
    plan = PhononForces.of(INPUTS, ['seed_1', 'seed_2'])
    assert not plan.accept('seed_1', Ended(well=False))
    assert plan.waiting == ['seed_1', 'seed_2']
    assert set(plan.calculators('seed_1', INPUTS)['force_fields']) == {'seed_1'}
    assert plan.label('seed_1') == 'forces_seed_1_without_alternatives'
    assert plan.accept('seed_1', Ended(well=False)), 'there is nothing left to do without'
    assert plan.accept('seed_2', Ended(well=True))
    assert plan.waiting == []


def test_an_engine_is_alone():
    plan = PhononForces.of({'engine': 'LDA'}, [])
    assert plan.geometries == {SHARED: ['engine']}
    assert plan.alternatives_in(SHARED) == []


def test_a_checkpoint_keeps_the_plan():
    plan = PhononForces.of(INPUTS, ['seed_1', 'seed_2'])
    plan.accept('seed_1', Ended(well=False))
    assert deserialize_unsafe(serialize(plan)) == plan
