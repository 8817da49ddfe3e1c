"""Which frames a network learns from, and the constants that it leaves to the force field."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_mlcc.runtime.task import JobError
from aiida_mlcc.runtime.training_data import (
    Target,
    labelled_frames,
    minimum_norm_constants,
    per_atom_constant,
    rescaling_error,
)
from aiida_mlcc.science.snapshots import Label
from tests.runtime.alloy import labelled

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


def test_training_and_held_out_frames_share_none() -> None:
    data = labelled_frames(labelled(15), Target(**BASE), 0.2, 3)
    assert sorted([*data.train, *data.valid]) == list(range(15))


@pytest.mark.parametrize(
    ('target', 'sentence'),
    [
        ({'method': 'HF', 'minus': 'LDA', 'forces': True}, 'set forces to false'),
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
