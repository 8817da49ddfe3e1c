"""VaspLabelsWorkChain through mock-vasp, with made-up energies."""

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.vasp.labels import VaspLabelsWorkChain
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.vasp_outputs import poscar, single_point_outputs
from tests.workflows.vasp_runs.settings import ELECTRONS, ENGINE

TAGS = {**ELECTRONS, 'IBRION': -1, 'NSW': 0}
SORTED = [0, 2, 1, 3]


def frames(count=3):
    """Cells whose species alternate, so that VASP's order is another one."""
    images = []
    for number in range(count):
        sites = [[0, 0, 0.01 * number], [2, 0, 0], [4, 0.02 * number, 0], [6, 0, 0]]
        images.append(Atoms('LiFLiF', positions=sites, cell=[8, 4, 4], pbc=True))
    return images


def forces_of(number):
    return np.arange(12.0).reshape(4, 3) + 100 * number


def register(registry, number, tags=TAGS, **more):
    atoms = frames()[number]
    ordered = atoms[SORTED]
    outputs = single_point_outputs(ordered, -10.0 - number, forces_of(number)[SORTED], **more)
    registry.add(f'frame-{number}', tags, poscar(ordered), [1, 1, 1], outputs)


def inputs(where, **overrides):
    snapshots = SnapshotsData(Snapshots.from_atoms(frames()))
    given = {'snapshots': snapshots, 'engine': ENGINE, 'vasp': where, 'max_concurrent': 2}
    return {**given, **overrides}


def test_labels_come_in_the_order_of_the_snapshots_and_failed_points_are_named(where, registry):
    register(registry, 0, nelm=9)
    register(registry, 1, nelm=9, n_electronic=9)
    outputs, node = run_get_node(VaspLabelsWorkChain, **inputs(where))
    assert node.is_finished_ok, node.exit_message
    label = outputs['snapshots'].get_snapshots().labels['PBE']
    assert label.labelled.tolist() == [True, False, False]
    assert label.energies[0] == pytest.approx(-10.0)
    np.testing.assert_allclose(label.forces[0], forces_of(0))
    assert label.source['energy'] == 'free'
    assert label.source['version'] == 'VASP 6.4.2'
    failed = outputs['failures']['failed']
    assert [entry['snapshot'] for entry in failed] == [1, 2]
    assert 'converged' in failed[0]['reason']


@pytest.mark.nightly
def test_hartree_fock_and_the_energy_that_is_asked_for(where, registry):
    tags = {name: value for name, value in TAGS.items() if name != 'GGA'}
    exchange = {'LHFCALC': True, 'AEXX': 1.0, 'ALDAC': 0.0, 'AGGAC': 0.0, 'ALGO': 'All'}
    register(registry, 1, {**tags, **exchange}, nelm=9)
    engine = {**ENGINE, 'method': 'HF', 'algo': 'All', 'energy': 'sigma_to_zero'}
    outputs, node = run_get_node(VaspLabelsWorkChain, **inputs(where, engine=engine, frames=[1]))
    assert node.is_finished_ok, node.exit_message
    label = outputs['snapshots'].get_snapshots().labels['HF']
    assert label.labelled.tolist() == [False, True, False]
    assert label.energies[1] == pytest.approx(-11.0 + 0.1)


def test_nothing_labelled_is_a_failure_with_its_reason(where, registry):
    outputs, node = run_get_node(VaspLabelsWorkChain, **inputs(where, frames=[2]))
    assert node.exit_status == 310
    assert [entry['snapshot'] for entry in outputs['failures']['failed']] == [2]


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'frames': [0, 3]}, '`frames` names 3, but the snapshots are 0 to 2'),
        ({'frames': []}, '`frames` names no frame'),
        ({'frames': [1, 1]}, 'names a frame twice'),
        ({'engine': {**ENGINE, 'potential_mapping': {'Li': 'Li'}}}, 'names no potential for F'),
        ({'engine': {**ENGINE, 'potential_family': 'PBE.64'}}, "no potentials from the family 'PBE.64'"),
        ({'engine': {**ENGINE, 'method': 'B3LYP'}}, "`method` is 'B3LYP': choose from LDA, PBE, HF"),
        ({'engine': {**ENGINE, 'method': 'HF', 'algo': 'Fast'}}, 'has no exchange'),
        ({'engine': {**ENGINE, 'kpoints': [1, 1]}}, 'three whole numbers'),
        ({'engine': {**ENGINE, 'incar': {'NSW': 3}}}, 'NSW is set by the other settings'),
        ({'engine': {**ENGINE, 'incar': {'NKORE': 3}}}, 'unknown INCAR tag NKORE'),
    ],
)
def test_bad_input_is_refused_at_submission(where, changed, reason):
    with pytest.raises(ValueError, match=reason):
        run_get_node(VaspLabelsWorkChain, **inputs(where, **changed))


def test_a_code_that_is_not_vasp_is_refused(where, python):
    with pytest.raises(ValueError, match='is not VASP'):
        run_get_node(VaspLabelsWorkChain, **inputs({**where, 'code': python}))


def test_a_frame_that_has_the_label_already_is_refused(where):
    n_jobs = orm.QueryBuilder().append(orm.CalcJobNode).count()
    labelled = Snapshots.from_atoms(frames())
    labelled = labelled.with_label('PBE', Label(np.array([1.0, np.nan, np.nan])))
    with pytest.raises(ValueError, match='snapshot 0 already has a PBE label'):
        run_get_node(VaspLabelsWorkChain, **inputs(where, snapshots=SnapshotsData(labelled)))
    assert orm.QueryBuilder().append(orm.CalcJobNode).count() == n_jobs
