"""From a dispersion back to the jobs of Cc4s and VASP, whose energies functions stored."""

from __future__ import annotations

import io
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from ase.build import bulk

from aiida_mlcc.calculations.functions.label_point import label_point
from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.functions.vasp_integrals_summary import vasp_integrals_summary
from aiida_mlcc.calculations.functions.vasp_labels import vasp_labels
from aiida_mlcc.calculations.functions.vasp_trajectory import vasp_trajectory
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.report.provenance.trace import Energy, trace
from aiida_mlcc.science.force_field import ForceField
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.crystals import springs
from tests.vasp_outputs import outcar, vasprun

pytestmark = pytest.mark.nightly

QUERY = Path(__file__).parents[3] / 'docs' / 'examples' / 'query.py'
SCIENCE, FREE = 'science', 'free'


@pytest.fixture
def computer(aiida_profile):
    label = 'label-jobs'
    if orm.QueryBuilder().append(orm.Computer, filters={'label': label}).count():
        return orm.load_computer(label)
    return orm.Computer(label, 'localhost', transport_type='core.local', scheduler_type='core.direct').store()


def images(count: int) -> list:
    """Frames of two atoms that move evenly."""
    atoms = bulk('LiH', 'rocksalt', a=4.0)
    return [_moved(atoms, 0.02 * number) for number in range(count)]


def _moved(atoms, by):
    image = atoms.copy()
    image.positions[1, 0] += by
    return image


def ran(computer, process_type: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> orm.CalcJobNode:
    """Store a job that made `outputs`."""
    node = orm.CalcJobNode(computer=computer, process_type=process_type)
    node.set_process_label(process_type.rsplit('.', 1)[-1])
    for name, data in inputs.items():
        node.base.links.add_incoming(data.store(), LinkType.INPUT_CALC, name)
    node.store()
    for name, data in outputs.items():
        data.base.links.add_incoming(node, LinkType.CREATE, name)
        data.store()
    return node


def retrieved(**files: str) -> orm.FolderData:
    folder = orm.FolderData()
    for name, content in files.items():
        folder.base.repository.put_object_from_filelike(io.BytesIO(content.encode()), name.replace('_', '.'))
    return folder


def vasp_job(computer, frames: list, energies: list[float]) -> orm.CalcJobNode:
    """Store a job of VASP that left these energies."""
    xml = vasprun(frames, energies, [np.zeros((2, 3))] * len(frames), [5] * len(frames))
    files = retrieved(vasprun_xml=xml, OUTCAR=outcar([5]))
    return ran(computer, 'aiida.calculations:vasp.vasp', {}, {'retrieved': files})


def curve_of(computer, labelled: SnapshotsData, method: str) -> orm.Data:
    """Return what stands for a dispersion whose force field was fitted to `labelled`."""
    field = springs(bulk('LiH', 'rocksalt', a=4.0))
    term = field.terms[0]
    term = type(term)(term.kind, term.settings, term.arrays, 1.0, {'method': method, 'seed': 1})
    force_field = ForceFieldData(ForceField((term,), {'Li': 0.0, 'H': 0.0}, method=method))
    given = {'snapshots': labelled, 'seed': orm.Int(1)}
    ran(computer, 'aiida.calculations:mlcc.fit', given, {'delta': force_field})
    curve = orm.Dict({'curve': 1})
    ran(computer, 'curves', {'force_field': force_field}, {'dispersion': curve})
    return curve


def traced(computer, labelled: SnapshotsData, method: str) -> dict[int, Energy]:
    """Return snapshot → energy behind a dispersion whose force field was fitted to `labelled`."""
    return {energy.snapshot: energy for energy in trace(curve_of(computer, labelled, method)).energies}


def cc4s_job(computer, hf: float, ccsd: float) -> orm.CalcJobNode:
    energies = orm.Dict({'hf': hf, 'ccsd': ccsd})
    return ran(computer, 'aiida.calculations:mlcc.cc4s', {}, {'energies': energies})


def points(computer, inputs_of) -> SnapshotsData:
    """Return two snapshots whose points were labelled one by one, merged."""
    snapshots = SnapshotsData(Snapshots.from_atoms(images(2))).store()
    source, methods = orm.Dict({'engine': 'made up'}), orm.List(['HF', 'CCSD'])
    labelled = {
        f'point_{frame}': label_point(
            snapshots, orm.Int(frame), methods, source, orm.Str(SCIENCE), **inputs_of(snapshots, frame)
        )
        for frame in range(2)
    }
    return merge_labels(snapshots, orm.Str(SCIENCE), **labelled)


def test_energies_of_cc4s_lead_to_its_job_and_hartree_fock_to_that_of_the_integrals(computer):
    written = orm.Dict({str(frame): {'hf': -10.0 - frame} for frame in range(2)})
    integrals = ran(computer, 'aiida.calculations:mlcc.integrals', {}, {'tensors': written})
    jobs = {frame: cc4s_job(computer, -10.0 - frame, -0.5) for frame in range(2)}
    labelled = points(computer, lambda _, frame: {'integrals': written, 'energies': jobs[frame].outputs.energies})
    found = traced(computer, labelled, 'CCSD')
    assert {snapshot: energy.calculation for snapshot, energy in found.items()} == {f: jobs[f].uuid for f in jobs}
    assert [found[frame].energy_eV for frame in range(2)] == pytest.approx([-10.5, -11.5])
    assert found[0].name == 'cc4s'
    assert {e.calculation for e in traced(computer, labelled, 'HF').values()} == {integrals.uuid}


def test_the_query_of_the_documentation_finds_energies_of_cc4s(computer, monkeypatch, capsys):
    jobs = {frame: cc4s_job(computer, -10.0, -0.5 - frame) for frame in range(2)}
    curve = curve_of(computer, points(computer, lambda _, frame: {'energies': jobs[frame].outputs.energies}), 'CCSD')
    monkeypatch.setattr(sys, 'argv', [str(QUERY), curve.uuid])
    runpy.run_path(str(QUERY))
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[1:] for line in told if line[0] == 'CCSD'] == [['-10.5000', 'eV'], ['-11.5000', 'eV']]


@pytest.mark.parametrize(
    ('steps', 'one'), [(('dft', 'hartree_fock'), 1), (('hartree_fock', 'dump', 'mesh_hartree_fock'), 2)]
)
def test_hartree_fock_by_vasp_leads_to_the_step_that_gave_the_energy(computer, steps, one):
    chains = {}

    def inputs_of(_, frame):
        jobs = [vasp_job(computer, images(2)[frame : frame + 1], [-10.0 - number]) for number, _ in enumerate(steps)]
        results = vasp_integrals_summary(
            orm.Dict({}),
            orm.Dict({}),
            orm.Str(FREE),
            orm.Str(SCIENCE),
            **{s: j.outputs.retrieved for s, j in zip(steps, jobs, strict=True)},
        )
        chains[frame] = jobs
        return {'hf_energy': results['hf_energy']}

    labelled = points(computer, inputs_of)
    found = traced(computer, labelled, 'HF')
    assert [found[frame].calculation for frame in range(2)] == [chains[frame][one].uuid for frame in range(2)]
    assert found[1].energy_eV == pytest.approx(-10.0 - one)


def test_single_points_of_vasp_lead_each_to_its_own_job(computer):
    """Twelve frames, of which 2 and 10 come in another order as words."""
    frames = images(12)
    snapshots = SnapshotsData(Snapshots.from_atoms(frames)).store()
    jobs = {number: vasp_job(computer, [frames[number]], [-20.0 - number]) for number in (10, 2)}
    labelled = vasp_labels(
        snapshots,
        orm.Str('LDA'),
        orm.Str(FREE),
        orm.Dict({'engine': 'vasp'}),
        orm.Str(SCIENCE),
        **{f'frame_{number}': job.outputs.retrieved for number, job in jobs.items()},
    )
    found = traced(computer, merge_labels(snapshots, orm.Str(SCIENCE), batch=labelled), 'LDA')
    assert {snapshot: energy.calculation for snapshot, energy in found.items()} == {n: j.uuid for n, j in jobs.items()}


def test_frames_of_a_dynamics_by_vasp_lead_to_the_job_that_made_their_step(computer):
    """Five steps in two jobs, the first step before the frames that are kept; of the first job the last one is void."""
    frames = images(5)
    jobs = [vasp_job(computer, frames[:4], [-1.0, -2.0, -3.0, 0.0]), vasp_job(computer, frames[3:], [-4.0, -5.0])]
    results = vasp_trajectory(
        SnapshotsData(Snapshots.from_atoms(frames[:1])),
        orm.Str('LDA'),
        orm.Str(FREE),
        orm.Dict({'engine': 'vasp'}),
        orm.Dict({'record_every': 1, 'equilibration_steps': 1}),
        orm.Dict({'segment_000': 3, 'segment_001': 2}),
        orm.Str(SCIENCE),
        **{f'segment_{number:03d}': job.outputs.retrieved for number, job in enumerate(jobs)},
    )
    found = traced(computer, results['trajectory'], 'LDA')
    assert [found[frame].energy_eV for frame in range(4)] == [-2.0, -3.0, -4.0, -5.0]
    assert [found[frame].calculation for frame in range(4)] == [jobs[n].uuid for n in (0, 0, 1, 1)]
