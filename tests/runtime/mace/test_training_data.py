"""Which frames a network learns from, and the constants that it leaves to the force field."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_mlcc.runtime.mace.training_data import (
    Target,
    frame_weights,
    labelled_frames,
    minimum_norm_constants,
    per_atom_constant,
    rescaling_error,
)
from aiida_mlcc.runtime.task import JobError
from aiida_mlcc.science.labels.snapshots import Label
from tests.runtime.mace.alloy import labelled

BASE = {'method': 'LDA', 'minus': None, 'forces': True}


def test_frames_without_the_labels_are_left_out() -> None:
    snapshots = labelled(12)
    forces = snapshots.labels['LDA'].forces.copy()
    forces[3, 0, 0] = np.nan
    energies = snapshots.labels['LDA'].energies.copy()
    energies[7] = np.nan
    holes = snapshots.with_label('LDA', Label(energies, forces))
    base = labelled_frames(holes, Target('LDA'), 0.2, 0)
    assert (base.snapshots.n_frames, len(base.train), len(base.valid)) == (10, 8, 2)
    assert labelled_frames(holes, Target('HF', 'LDA', False), 0.2, 0).snapshots.n_frames == 11


def test_the_difference_of_two_methods_with_forces_has_their_difference_as_forces() -> None:
    snapshots = labelled(8)
    label = snapshots.labels['LDA']
    hf = Label(label.energies + 1.0, 0.9 * label.forces)
    data = labelled_frames(snapshots.with_label('HF', hf), Target('HF', 'LDA', True), 0.2, 0)
    assert np.allclose(data.forces, -0.1 * label.forces, rtol=0, atol=1e-12)


def test_weights_of_frames_fall_with_the_square_of_their_forces() -> None:
    snapshots = labelled(8)
    label = snapshots.labels['LDA']
    doubled = label.forces * np.where(np.arange(8) == 3, 2.0, 1.0)[:, None, None]
    before, after = (
        frame_weights(
            labelled_frames(snapshots.with_label('LDA', Label(label.energies, forces)), Target('LDA'), 0.2, 0),
            'inverse-force',
        )
        for forces in (label.forces, doubled)
    )
    assert (after[3] / after[5]) / (before[3] / before[5]) == pytest.approx(0.25)


def test_weights_have_mean_one_over_the_training_frames() -> None:
    data = labelled_frames(labelled(12), Target('LDA'), 0.3, 1)
    for kind in ('uniform', 'inverse-force'):
        assert frame_weights(data, kind)[data.train].mean() == pytest.approx(1.0)


def test_energies_alone_cannot_be_weighted_by_forces() -> None:
    data = labelled_frames(labelled(8), Target('LDA', None, False), 0.2, 0)
    with pytest.raises(JobError, match='choose uniform'):
        frame_weights(data, 'inverse-force')


def test_training_and_held_out_frames_share_none() -> None:
    data = labelled_frames(labelled(15), Target(**BASE), 0.2, 3)
    assert sorted([*data.train, *data.valid]) == list(range(15))


@pytest.mark.parametrize(
    ('target', 'sentence'),
    [
        ({'method': 'HF', 'minus': 'LDA', 'forces': True}, 'HF labels have no forces: set forces to false'),
        ({'method': 'HF', 'minus': None, 'forces': True}, 'HF labels have no forces'),
        ({'method': 'CCSD', 'minus': 'LDA', 'forces': False}, 'no CCSD labels here'),
    ],
)
def test_a_target_that_cannot_be_learnt_is_refused(target: dict[str, Any], sentence: str) -> None:
    with pytest.raises((JobError, ValueError), match=sentence):
        labelled_frames(labelled(12), Target(**target), 0.2, 0)


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(JobError, match='only 3 of 3 frames carry energies and forces of LDA'):
        labelled_frames(labelled(3), Target(**BASE), 0.2, 0)


def test_the_constants_of_the_base_are_those_of_smallest_norm() -> None:
    data = labelled_frames(labelled(12), Target(**BASE), 0.2, 0)
    constants = minimum_norm_constants(data)
    mean = data.energies[data.train].mean()
    assert 3 * constants['Cu'] + constants['Au'] == pytest.approx(mean)
    # By Lagrange: of all constants with this sum the shortest are proportional to the counts 3 and 1.
    assert constants['Cu'] == pytest.approx(3 * constants['Au'])


def test_the_constant_of_a_delta_is_the_same_for_every_atom() -> None:
    data = labelled_frames(labelled(12), Target('HF', 'LDA', False), 0.2, 0)
    constants = per_atom_constant(data)
    assert constants['Cu'] == constants['Au'] == pytest.approx(data.energies[data.train].mean() / 4)


def test_rescaling_is_exact_where_delta_is_a_multiple() -> None:
    snapshots = labelled(12)
    energies = snapshots.labels['LDA'].energies
    data = labelled_frames(snapshots.with_label('HF', Label(1.1 * energies + 2.0)), Target('HF', 'LDA', False), 0.2, 0)
    assert rescaling_error(data, energies) == pytest.approx(0.0, abs=1e-9)
