"""Correlation of one engine on the Hartree–Fock energies of another, as a step of the provenance graph."""

from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from ase.build import bulk

from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.functions.replace_hartree_fock import replace_hartree_fock
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.report.provenance.label_jobs import LabelJobs, is_source
from aiida_mlcc.science.labels.merging import label_by_contributions
from aiida_mlcc.science.labels.snapshots import Label, Snapshots


def job_that_made(node: SnapshotsData, computer: orm.Computer) -> orm.CalcJobNode:
    """Store a job with a set of snapshots as its output."""
    job = orm.CalcJobNode(computer=computer).store()
    node.base.links.add_incoming(job, link_type=LinkType.CREATE, link_label='labelled')
    node.store()
    return job


@pytest.fixture
def frames(aiida_profile) -> Snapshots:
    return Snapshots.from_atoms([bulk('LiH', 'rocksalt', a=4.0)])


def correlated(frames: Snapshots) -> SnapshotsData:
    parts = {'hf': np.array([-10.0]), 'mp2': np.array([-1.0])}
    return SnapshotsData(label_by_contributions(frames, ['MP2'], parts, lambda _: {'engine': 'pyscf'}))


def plane_waves(frames: Snapshots) -> SnapshotsData:
    return SnapshotsData(frames.with_label('HF', Label(np.array([-20.0]), None, {'engine': 'quantumespresso'})))


def test_each_part_leads_to_the_job_that_computed_it(frames: Snapshots, aiida_localhost: Any) -> None:
    correlation, hartree_fock = correlated(frames), plane_waves(frames)
    jobs = [job_that_made(node, aiida_localhost) for node in (correlation, hartree_fock)]
    found = replace_hartree_fock(correlation, hartree_fock, orm.Str(''))
    assert found.get_snapshots().labels['MP2'].energies[0] == pytest.approx(-21.0)
    assert is_source(found)
    assert [LabelJobs(found).of(method, 0).uuid for method in ('MP2', 'HF')] == [job.uuid for job in jobs]


def test_parts_lead_to_their_jobs_also_after_they_were_merged_with_other_labels(
    frames: Snapshots, aiida_localhost: Any
) -> None:
    correlation, hartree_fock = correlated(frames), plane_waves(frames)
    jobs = [job_that_made(node, aiida_localhost) for node in (correlation, hartree_fock)]
    unlabelled, science = SnapshotsData(frames).store(), orm.Str('')
    merged = [merge_labels(unlabelled, science, batch=node) for node in (correlation, hartree_fock)]
    found = LabelJobs(replace_hartree_fock(*merged, science))
    assert [found.of(method, 0) for method in ('MP2', 'HF')] == jobs
    assert [found.hartree_fock_of(method, 0) for method in ('MP2', 'HF')] == [jobs[1], None]


def test_a_part_that_is_missing_is_said_in_a_sentence(frames: Snapshots) -> None:
    _, node = replace_hartree_fock.run_get_node(correlated(frames), correlated(frames), orm.Str(''))
    assert (node.exit_status, node.exit_message) == (
        400,
        'there is no HF energy to be taken: label the snapshots by HF first',
    )
