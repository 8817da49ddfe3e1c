"""What is to be trained, before anything is."""

from aiida_mlcc.workflows.training.members import plan_trainings


def names(*args, **kwargs) -> list[str]:
    return [training.name for training in plan_trainings('LDA', ['HF', 'CCSD(T)'], [1, 2], 'mace', *args, **kwargs)]


def test_networks_are_one_job_a_method_and_member_and_force_constants_one_for_all():
    bases = ['base_lda_seed_1', 'base_lda_seed_2']
    assert names('force-constants') == [*bases, 'delta_force_constants']
    assert names('readout') == [*bases, 'delta_readout_seed_1', 'delta_readout_seed_2']
    assert len(names('mace')) == 2 + 4


def test_readout_waits_for_the_base_of_its_member():
    needs = {training.name: training.needs for training in plan_trainings('LDA', ['HF'], [1, 2], 'mace', 'readout')}
    assert needs['delta_readout_seed_2'] == 'base_lda_seed_2'


def test_what_is_compared_and_the_control_are_optional():
    planned = plan_trainings('PBE', ['HF'], [1], 'mace', 'force-constants', ['readout', 'mace'], control=True)
    assert {training.name for training in planned if training.optional} == {
        'delta_readout_seed_1',
        'delta_mace_hf_seed_1',
        'control_pbe_seed_1',
    }
