"""What ReferenceWorkChain says where displacements have no forces."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiida.common import AttributeDict

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.displacements import Displacements, displaced_cells
from aiida_mlcc.science.labels.snapshots import Label
from aiida_mlcc.workflows.sampling.reference import why_incomplete
from tests.crystals import rocksalt_cube

FAILED = [{'snapshot': 1, 'reason': 'SCF did not converge'}]


def ended(
    energies: list[float] | None = None, failed: list[dict[str, Any]] | None = None, message: str | None = None
) -> Any:
    """A process with labels of PBE, or without any, that has ended."""
    outputs = AttributeDict()
    if energies is not None:
        frames = displaced_cells(rocksalt_cube(), 1, Displacements())
        known = np.resize(np.array(energies), frames.n_frames)
        label = Label(known, np.zeros(frames.positions.shape))
        outputs.snapshots = SnapshotsData(frames.with_label('PBE', label))
        outputs.failures = {'failed': failed or []}
    return SimpleNamespace(outputs=outputs, exit_message=message, process_state='excepted')


@pytest.mark.parametrize(
    ('job', 'method', 'reason'),
    [
        ({'energies': [-1.0]}, 'PBE', None),
        ({'energies': [-1.0], 'failed': FAILED}, 'PBE', 'displacement 1: SCF did not converge'),
        ({'energies': [-1.0, np.nan]}, 'PBE', 'displacement 1 has no PBE label'),
        (
            {'energies': [-1.0, np.nan], 'message': 'out of time'},
            'PBE',
            'displacement 1 has no PBE label: out of time',
        ),
        ({'energies': [-1.0]}, 'LDA', 'displacement 0 has no LDA label'),
        ({'message': 'the node broke'}, 'PBE', 'the node broke'),
        ({}, 'PBE', 'the job ended as excepted'),
    ],
    ids=['complete', 'failed', 'unlabelled', 'unlabelled with a message', 'other method', 'message', 'nothing'],
)
def test_the_reason_names_the_displacement(aiida_profile, job: Any, method: str, reason: str | None) -> None:
    assert why_incomplete(ended(**job), method) == reason
