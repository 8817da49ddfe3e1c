"""The smallest insulating crystal that makes sense, its builder, and what a labelling did."""

from __future__ import annotations

import numpy as np

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain

ENGINE = {'basis': 'gth-dzv', 'exp_to_discard': None}
FORCES = {**ENGINE, 'ke_cutoff': 200.0}
"""For a density functional: the mesh that PySCF takes of itself has eight times the points, for 1e-5 eV."""


def helium(n_frames: int = 3) -> Snapshots:
    """Two helium atoms in one cell, at a growing distance."""
    cells = np.array([np.diag([2.6, 2.6, 5.2])] * n_frames)
    return Snapshots(('He', 'He'), cells, np.array([[[0, 0, 0], [0, 0, 2.4 + 0.1 * f]] for f in range(n_frames)]))


def builder_of(python, snapshots, selection=None, **overrides):
    """A random selection of all snapshots, unless `selection` says otherwise."""
    settings = {
        'methods': ['HF', 'MP2', 'CCSD'],
        'selection': selection or {'kind': 'random', 'n': snapshots.n_frames},
        'engine': ENGINE,
        'batch_size': 2,
    }
    return CCEnergiesWorkChain.get_builder_from_protocol(
        python, SnapshotsData(snapshots), 'fast', {**settings, **overrides}
    )


def jobs_of(node) -> list[tuple[list[str], int]]:
    """Methods and number of frames of every job that ran."""
    jobs = [process for process in node.called_descendants if process.process_label == 'CorrelateCalculation']
    return [(job.inputs.methods.get_list(), job.inputs.snapshots.n_frames) for job in sorted(jobs, key=lambda j: j.pk)]


def labelled_frames(outputs) -> dict[str, list[int]]:
    snapshots = outputs['snapshots'].get_snapshots()
    return {method: label.labelled.nonzero()[0].tolist() for method, label in snapshots.labels.items()}
