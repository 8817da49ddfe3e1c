"""Labelling in rounds: until the frequencies are known well enough, and no frame twice."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.workflows.energies import builder_of, helium, jobs_of


@pytest.fixture
def crystal_of_helium(aiida_profile) -> orm.StructureData:
    """One atom in a box, of which the snapshots of :func:`chain` hold two."""
    return orm.StructureData(ase=Atoms('He', cell=np.diag([2.6, 2.6, 2.6]), pbc=True)).store()


def chain(n_frames: int) -> Snapshots:
    """Rattled supercells of two atoms, which carry DFT forces that nobody looks at."""
    positions = np.array([[0, 0, 0], [2.6, 0, 0]]) + 0.05 * np.random.default_rng(5).standard_normal((n_frames, 2, 3))
    cells = np.array([np.diag([5.2, 2.6, 2.6])] * n_frames)
    label = Label(np.zeros(n_frames), np.zeros((n_frames, 2, 3)), {'engine': 'none'})
    return Snapshots(('He', 'He'), cells, positions, {'LDA': label})


ROUNDS = {'target_sd_cm1': 2.5, 'qpoints': {'X': [0.5, 0.0, 0.0]}, 'first': 4, 'step': 2, 'most': 12}


@pytest.fixture
def certainty(monkeypatch) -> list[int]:
    """An estimate whose sd is 15 cm⁻¹ over the number of labels; the list of these numbers, as they are asked for."""
    asked = []

    def estimate(snapshots, primitive, base_method, method, qpoints, covariates, seed):
        n_labels = len(snapshots.labelled_by(base_method, method))
        asked.append(n_labels)
        modes = {'frequencies_cm1': [100.0, 200.0], 'sd_cm1': [0.0, 15 / n_labels]}
        return {'n_labels': n_labels, **{name: {label: values for label in qpoints} for name, values in modes.items()}}

    monkeypatch.setattr('aiida_mlcc.calculations.functions.estimate_frequencies.frequency_estimate', estimate)
    return asked


def in_rounds(python, crystal, snapshots, **rounds):
    builder = builder_of(python, snapshots, methods=['HF'], selection={'kind': 'random', 'n': 3}, batch_size=8)
    builder.structure = crystal
    builder.rounds = {**ROUNDS, **rounds}
    return builder


def test_rounds_end_when_the_target_is_met_and_label_no_frame_twice(python, crystal_of_helium, certainty):
    outputs, node = run_get_node(in_rounds(python, crystal_of_helium, chain(16)))
    assert node.is_finished_ok, node.exit_message
    assert certainty == [4, 6]
    assert jobs_of(node) == [(['HF'], 4), (['HF'], 2)]
    curve = outputs['learning_curve'].get_dict()
    assert [(entry['n_labels'], entry['method'], entry['met']) for entry in curve['rounds']] == [
        (4, 'HF', False),
        (6, 'HF', True),
    ]
    assert curve['rounds'][0]['sd_cm1']['X'] == [0.0, 3.75]
    assert curve['target_sd_cm1'] == 2.5


@pytest.mark.nightly
def test_rounds_end_when_the_most_frames_are_labelled(python, crystal_of_helium, certainty):
    outputs, node = run_get_node(in_rounds(python, crystal_of_helium, chain(8), target_sd_cm1=0.1, most=5))
    assert node.is_finished_ok, node.exit_message
    assert certainty == [4, 5]
    assert not outputs['learning_curve']['rounds'][-1]['met']


@pytest.mark.nightly
def test_all_rounds_share_one_budget(python, crystal_of_helium, certainty):
    builder = in_rounds(python, crystal_of_helium, chain(8), target_sd_cm1=0.1, most=5)
    builder.max_core_hours = 10.0
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    first, second = [n for n in sorted(node.called, key=lambda n: n.pk) if n.process_label == 'LabelFramesWorkChain']
    assert first.inputs.max_core_hours.value == 10.0
    spent = first.outputs.cost['core_hours']
    assert spent > 0
    assert second.inputs.max_core_hours.value == pytest.approx(10.0 - spent)
    assert outputs['cost']['core_hours'] == pytest.approx(spent + second.outputs.cost['core_hours'])


@pytest.mark.nightly
def test_round_that_gives_no_estimate_is_told_and_the_next_one_follows(python, crystal_of_helium, monkeypatch):
    def too_few(*_, **__):
        raise ValueError('3 labels are too few')

    monkeypatch.setattr('aiida_mlcc.calculations.functions.estimate_frequencies.frequency_estimate', too_few)
    outputs, node = run_get_node(in_rounds(python, crystal_of_helium, chain(4), first=2, step=1, most=3))
    assert node.is_finished_ok, node.exit_message
    assert [entry['reason'] for entry in outputs['learning_curve']['rounds']] == ['3 labels are too few'] * 2


@pytest.mark.parametrize(
    ('rounds', 'reason'),
    [
        ({'most': 3}, '`most` is 3, fewer than the 4'),
        ({'most': 17}, '17 frames asked for, of 3'),
        ({'qpoints': {}}, 'give at least one, such as GAMMA'),
        ({'qpoints': {'X': [0.5]}}, 'give three numbers'),
        ({'target_sd_cm1': 0}, 'must be above 0'),
        ({'stepp': 1}, 'unknown rounds setting `stepp`'),
    ],
)
def test_rounds_that_cannot_be_are_refused_at_submission(python, crystal_of_helium, rounds, reason):
    with pytest.raises(ValueError, match=reason):
        run_get_node(in_rounds(python, crystal_of_helium, helium(), **rounds))
