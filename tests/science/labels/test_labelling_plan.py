"""Which method labels which frame."""

from aiida_mlcc.science.labels.labelling_plan import costliest, in_one_job, plan_batches, selections_of, with_cheaper

COMMON = {'kind': 'random', 'n': 3, 'seed': 1}


def test_a_method_takes_its_own_selection_or_the_common_one():
    selection = {**COMMON, 'per_method': {'HF': {'kind': 'all'}}}
    assert selections_of(['HF', 'MP2'], selection) == {'HF': {'kind': 'all'}, 'MP2': COMMON}


def test_no_selection_per_method_may_be_written_as_nothing():
    assert selections_of(['HF'], {**COMMON, 'per_method': None}) == {'HF': COMMON}


def test_cheaper_methods_get_the_frames_of_the_costlier_ones_and_not_the_other_way():
    chosen = {'CCSD(T)': [5, 2], 'HF': [1], 'MP2': []}
    assert with_cheaper(chosen) == {'CCSD(T)': [2, 5], 'HF': [1, 2, 5], 'MP2': [2, 5]}


def test_frames_that_lack_the_same_methods_go_together_the_costliest_first():
    lacking = {'HF': [0, 1, 2, 3], 'CCSD': [3, 1], 'MP2': [0, 1, 3]}
    groups = in_one_job(lacking)
    assert list(groups.items()) == [(('HF', 'MP2', 'CCSD'), [1, 3]), (('HF', 'MP2'), [0]), (('HF',), [2])]


def test_cost_follows_the_table_of_methods():
    assert costliest(['CCSD', 'HF', 'MP2']) == 'CCSD'


def test_batches_hold_at_most_so_many_frames_of_the_same_methods():
    lacking = {'HF': [0, 1, 2, 3, 4, 5], 'CCSD': [0, 1, 2]}
    assert plan_batches(lacking, 2, pilot=False) == [
        (['HF', 'CCSD'], [0, 1]),
        (['HF', 'CCSD'], [2]),
        (['HF'], [3, 4]),
        (['HF'], [5]),
    ]


def test_batches_are_as_long_as_each_other():
    found = plan_batches({'HF': list(range(12))}, 8, pilot=False)
    assert [len(frames) for _, frames in found] == [6, 6]
    assert [frame for _, frames in found for frame in frames] == list(range(12))


def test_pilot_is_one_frame_of_the_costliest_methods():
    lacking = {'HF': [0, 1, 2, 3], 'CCSD': [1, 2, 3]}
    assert plan_batches(lacking, 4, pilot=True) == [
        (['HF', 'CCSD'], [1]),
        (['HF', 'CCSD'], [2, 3]),
        (['HF'], [0]),
    ]


def test_pilot_of_one_frame_is_all_there_is():
    assert plan_batches({'CCSD': [7]}, 4, pilot=True) == [(['CCSD'], [7])]


def test_nothing_lacking_needs_no_batch():
    assert plan_batches({'CCSD': []}, 4, pilot=True) == []
