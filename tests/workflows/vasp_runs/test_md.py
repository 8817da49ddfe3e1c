"""VaspMdWorkChain through mock-vasp: the seam between two jobs, with made-up dynamics."""

import io

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase import Atoms, units

from aiida_mlcc.calculations.functions.vasp_velocities import draw_velocities, hand_over_velocities
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.vasp.dynamics import VaspMdWorkChain
from aiida_mlcc.engines.vasp.incar import random_seed
from aiida_mlcc.science.dataset.vasp_files.contcar import parse_contcar
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.workflows.sampling.dft_md import DFTMDWorkChain
from tests.vasp_outputs import outcar, poscar, vasprun
from tests.workflows.vasp_runs.settings import ELECTRONS, ENGINE

STEP_FS = 2.0
MOVE = np.array([[-0.03, 0, 0], [0.0, 0.05, 0.01]])
"""What each atom moves in a step, Å: the first one crosses the cell's boundary."""

PARAMETERS = {
    'ensemble': 'langevin',
    'n_steps': 6,
    'time_step_fs': STEP_FS,
    'friction_per_ps': 10.0,
    'temperature_start_K': 0.0,
    'temperature_end_K': 300.0,
    'initial_temperature_K': 0.0,
    'equilibration_steps': 0,
    'record_every': 1,
    'record': 'snapshots',
    'max_lag_steps': None,
    'checkpoint_every': 5,
    'dtype': 'float64',
}


def crystal_atoms():
    return Atoms('LiF', positions=[[0.0, 0, 0], [2.0, 2.0, 2.0]], cell=[4.0, 4.0, 4.0], pbc=True)


def frame(number):
    """The structure after `number` moves, wrapped as VASP writes it."""
    atoms = crystal_atoms()
    atoms.positions += number * MOVE
    atoms.wrap()
    return atoms


def tags_of(first, count, begin, end, seed=11):
    return {
        **ELECTRONS,
        'IBRION': 0,
        'MDALGO': 3,
        'ISIF': 2,
        'NBLOCK': 1,
        'NSW': count,
        'POTIM': STEP_FS,
        'TEBEG': begin,
        'TEEND': end,
        'LANGEVIN_GAMMA': [10.0, 10.0],
        'RANDOM_SEED': random_seed(seed, first),
    }


def velocities():
    return MOVE / STEP_FS


def register(registry, first, planned, made, begin, end, n_electronic=None, contcar=None):
    """Register the job that begins after `first` steps: it makes `made` of `planned` steps."""
    frames = [frame(number) for number in range(first, first + made)]
    counts = n_electronic or [5] * made
    killed = made < planned
    outputs = {
        'vasprun.xml': vasprun(
            frames,
            [-10.0 - number for number in range(first, first + made)],
            [np.full((2, 3), float(number)) for number in range(first, first + made)],
            counts,
            nelm=9,
            nsw=planned,
            killed=killed,
        ),
        'OUTCAR': outcar([*counts, *([2] if killed else [])], nelm=9, nsw=planned, ibrion=0, killed=killed),
        'CONTCAR': contcar if contcar is not None else poscar(frame(first + made), velocities()),
    }
    start = poscar(frame(first), velocities()) if first else poscar(frame(0))
    registry.add(f'segment-{first}', tags_of(first, planned, begin, end), start, [1, 1, 1], outputs)


def inputs(where, **changed):
    start = SnapshotsData(Snapshots.from_atoms([crystal_atoms()]))
    return {'start': start, 'engine': ENGINE, 'parameters': PARAMETERS, 'seed': 11, 'vasp': where, **changed}


def test_a_killed_job_is_continued_with_velocities_temperature_and_the_steps_left(where, registry):
    # mock-vasp knows the second job only with the velocities of CONTCAR, NSW = 2 and TEBEG = 4/6 of 300 K.
    register(registry, 0, planned=6, made=4, begin=0.0, end=300.0, n_electronic=[5, 9, 5, 5])
    register(registry, 4, planned=2, made=2, begin=200.0, end=300.0)
    outputs, node = run_get_node(VaspMdWorkChain, **inputs(where))
    assert node.is_finished_ok, node.exit_message
    snapshots = outputs['trajectory'].get_snapshots()
    kept = [0, 2, 3, 4, 5]
    assert outputs['summary'].get_dict() == {
        'steps': [number + 1 for number in kept],
        'unconverged_steps': [2],
        'n_segments': 2,
        'steps_done': 6,
    }
    unwrapped = np.array([crystal_atoms().positions + number * MOVE for number in kept])
    np.testing.assert_allclose(snapshots.positions, unwrapped, atol=1e-9)
    label = snapshots.labels['PBE']
    np.testing.assert_allclose(label.energies, [-10.0 - number for number in kept])
    np.testing.assert_allclose(label.forces[:, 0, 0], kept)
    assert label.source['engine'] == 'vasp'
    jobs = [child for child in node.called if isinstance(child, orm.CalcJobNode)]
    assert len(jobs) == 2
    assert jobs[1].inputs.poscar.get_content() == jobs[0].outputs.retrieved.get_object_content('CONTCAR')


@pytest.mark.nightly
def test_segments_of_a_given_length_through_dft_md(where, registry):
    register(registry, 0, planned=2, made=2, begin=0.0, end=150.0)
    register(registry, 2, planned=2, made=2, begin=150.0, end=300.0)
    structure = orm.StructureData(ase=crystal_atoms()).store()
    parameters = {**PARAMETERS, 'n_steps': 4, 'record_every': 2}
    overrides = {
        'engine': ENGINE,
        'md': {'parameters': parameters},
        'seed': 11,
        'vasp': {'segment_steps': 2, 'options': where['options'].get_dict()},
    }
    builder = DFTMDWorkChain.get_builder_from_protocol(where['code'], structure, 'fast', overrides)
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    snapshots = outputs['snapshots'].get_snapshots()
    np.testing.assert_allclose(snapshots.labels['PBE'].energies, [-11.0, -13.0])
    assert {link.link_label for link in node.base.links.get_outgoing()} >= {'build_supercell', 'md', 'snapshots'}


@pytest.mark.nightly
def test_a_job_that_cannot_be_continued_leaves_its_frames(where, registry):
    register(registry, 0, planned=6, made=3, begin=0.0, end=300.0, contcar=poscar(frame(3)))
    outputs, node = run_get_node(VaspMdWorkChain, **inputs(where))
    assert node.exit_status == 410
    assert '3 of 6 steps' in node.exit_message
    assert 'no velocities' in node.exit_message
    assert outputs['trajectory'].n_frames == 3


@pytest.mark.nightly
def test_jobs_that_make_no_step_are_tried_twice_and_then_given_up(where):
    outputs, node = run_get_node(VaspMdWorkChain, **inputs(where))
    assert node.exit_status == 310
    assert 'trajectory' not in outputs


@pytest.mark.parametrize(('moved', 'reason'), [(0, 'one time step'), (1, None), (2, 'one time step')])
def test_contcar_is_handed_over_only_where_it_follows_the_last_step(aiida_profile, moved, reason):
    folder = orm.FolderData()
    run = vasprun([frame(0), frame(1)], [0.0, 0.0], [np.zeros((2, 3))] * 2, [3, 3], killed=True)
    folder.put_object_from_filelike(io.BytesIO(run.encode()), 'vasprun.xml')
    text = poscar(frame(1 + moved), velocities())
    folder.put_object_from_filelike(io.BytesIO(text.encode()), 'CONTCAR')
    _, node = hand_over_velocities.run_get_node(folder, orm.Float(STEP_FS), science_hash(hand_over_velocities))
    if reason is None:
        assert node.is_finished_ok, node.exit_message
        assert node.outputs.result.get_content() == text
    else:
        assert reason in node.exit_message


def test_drawn_velocities_are_thermal_without_drift_and_sorted_by_species(aiida_profile):
    atoms = Atoms('LiF' * 200, positions=np.arange(1200.0).reshape(400, 3) % 7.3, cell=[8, 8, 8], pbc=True)
    start = SnapshotsData(Snapshots.from_atoms([atoms]))
    text = draw_velocities(start, orm.Float(300.0), orm.Int(5), science_hash(draw_velocities)).get_content()
    assert text.splitlines()[5:7] == ['Li F', '200 200']
    found = parse_contcar(text, 1.0)[1] / units.fs
    masses = np.sort(atoms.get_masses())
    np.testing.assert_allclose(masses @ found, 0, atol=1e-6)
    kinetic = 0.5 * (masses[:, None] * found**2).sum()
    assert kinetic / (1.5 * 400 * units.kB) == pytest.approx(300.0, rel=0.1)
    again = draw_velocities(start, orm.Float(300.0), orm.Int(5), science_hash(draw_velocities)).get_content()
    assert again == text


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'ensemble': 'nve'}, 'is `langevin` and records `snapshots`'),
        ({'temperature_start_K': 100.0}, 'give the same for both'),
        ({'n_steps': 0}, '`n_steps` is 0, but must be at least 1'),
    ],
)
def test_a_dynamics_that_vasp_is_not_asked_for_is_refused(where, changed, reason):
    with pytest.raises(ValueError, match=reason):
        run_get_node(VaspMdWorkChain, **inputs(where, parameters={**PARAMETERS, **changed}))


def test_vasp_without_its_code_and_a_code_that_is_not_vasp_are_refused(where, python):
    structure = orm.StructureData(ase=crystal_atoms()).store()
    with pytest.raises(ValueError, match='is not VASP'):
        DFTMDWorkChain.get_builder_from_protocol(python, structure, 'fast', {'engine': ENGINE})
    builder = DFTMDWorkChain.get_builder_from_protocol(where['code'], structure, 'fast', {'engine': ENGINE})
    builder.vasp = {}
    with pytest.raises(ValueError, match=r'but `vasp\.code` is missing'):
        run_get_node(builder)
