"""A rerun goes on from the steps of VASP that an earlier run finished, and refuses those of another calculation."""

from types import SimpleNamespace

import pytest
from aiida import orm
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from ase import Atoms

from aiida_mlcc.cli.known_labels import reuse_finished_jobs
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.cc4s.engine import Cc4sWithVasp
from aiida_mlcc.engines.cc4s.settings import VaspCc4s
from aiida_mlcc.engines.table import places_of_labels
from aiida_mlcc.engines.vasp.finished import find_finished_steps, refuse_finished_steps
from aiida_mlcc.engines.vasp.incar import STEPS
from aiida_mlcc.engines.vasp.integrals import VaspIntegralsWorkChain
from aiida_mlcc.engines.vasp.settings import VaspIntegrals
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.workflows.vasp_runs.settings import ENGINE
from tests.workflows.vasp_runs.steps import chain_until, vasp_job

FIRST = Atoms('FLi', positions=[[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True)
SECOND = Atoms('FLi', positions=[[0, 0, 0], [2, 2, 2.1]], cell=[4, 4, 4], pbc=True)
SETTINGS = {
    **{name: value for name, value in ENGINE.items() if name not in ('method', 'algo', 'kpoints')},
    'gamma_only': True,
    'natural_orbitals_per_occupied': 3,
    'encutgw': 200.0,
    'hf_kpoints': [3, 3, 3],
    'hf_encut': 350.0,
}
ELSEWHERE = Atoms('FLi', positions=[[0, 0, 0], [2, 2, 2.2]], cell=[4, 4, 4], pbc=True)
AGAIN = Atoms('FLi', positions=[[0, 0, 0], [2, 2, 2.3]], cell=[4, 4, 4], pbc=True)
TENSORS = [
    f'{name}.{ending}'
    for name in (
        *('EigenEnergies', 'CoulombVertex', 'CoulombVertexSingularVectors', 'GridVectors', 'CoulombPotential'),
        *('DeltaIntegralsHH', 'DeltaIntegralsPPHH'),
    )
    for ending in ('yaml', 'elements')
]
LEFT = ('WAVECAR', 'Mp2PairEnergies.yaml', 'Mp2PairEnergies.elements')


@pytest.fixture
def code(potentials, aiida_localhost):
    """VASP on this computer, which nobody runs."""

    def make(program):
        where = {'computer': aiida_localhost, 'default_calc_job_plugin': 'vasp.vasp'}
        return orm.InstalledCode(label=program, filepath_executable=f'/opt/bin/{program}', **where).store()

    return make


@pytest.fixture
def until(potentials, aiida_localhost, tmp_path):
    """Return the folder of a step after all steps before it, of the first structure."""

    def run(step, atoms=FIRST, **how):
        given = {'atoms': atoms, 'engine': SETTINGS, 'files': LEFT, **how}
        return chain_until(step, aiida_localhost, tmp_path, **given).outputs.remote_folder

    return run


@pytest.fixture
def start(code):
    """Make a WorkChain of the first structure that has looked at what is finished."""

    def make(**folders):
        process = instantiate_process(
            get_manager().get_runner(),
            VaspIntegralsWorkChain,
            snapshots=SnapshotsData(Snapshots.from_atoms([FIRST])),
            engine=orm.Dict(SETTINGS),
            vasp={'code': code('gam'), 'code_kpoints': code('std')},
            finished_steps=folders,
        )
        process.take_finished_steps()
        return process

    return make


def test_rerun_starts_after_the_last_step_that_is_finished(start, until):
    virtuals = until('virtuals')
    process = start(a=virtuals)
    assert list(process.ctx.done) == ['dft', 'hartree_fock', 'virtuals']
    next_job = process.job('pair_energies', 'pair_energies')
    assert next_job['restart_folder'].uuid == virtuals.uuid
    # 10 plane waves are 19 real orbitals.
    assert next_job['parameters']['NBANDS'] == 19


def test_steps_on_the_mesh_are_taken_beside_those_at_gamma(start, until):
    process = start(a=until('dft'), b=until('mesh_hartree_fock'))
    assert set(process.ctx.done) == {'dft', 'mesh_dft', 'mesh_hartree_fock'}


def test_mesh_goes_on_with_the_symmetry_of_the_orbitals_that_are_there(start, until):
    process = start(a=until('mesh_dft', tags={'ISYM': -1}))
    assert process.job('mesh_hartree_fock', 'mesh_hartree_fock')['parameters']['ISYM'] == -1


def test_of_folders_that_were_emptied_the_step_is_made_again(start, until):
    folder = until('virtuals')
    folder._clean()
    assert list(start(a=folder).ctx.done) == ['dft', 'hartree_fock']


def test_of_folders_whose_orbitals_are_gone_the_step_is_made_again(start, until, aiida_localhost, tmp_path):
    before = until('hartree_fock').creator
    without = vasp_job(aiida_localhost, tmp_path, 'virtuals', atoms=FIRST, engine=SETTINGS, files=[], before=before)
    assert list(start(a=without.outputs.remote_folder).ctx.done) == ['dft', 'hartree_fock']


def test_job_that_went_on_from_one_of_its_own_step_ended_it(start, until, aiida_localhost, tmp_path):
    how = {'atoms': FIRST, 'engine': SETTINGS}
    first = vasp_job(aiida_localhost, tmp_path, 'dft', n_electronic=9, **how)
    second = vasp_job(aiida_localhost, tmp_path, 'dft', before=first, tags={'ISTART': 1, 'ALGO': 'All'}, **how)
    process = start(a=second.outputs.remote_folder)
    assert process.ctx.done == {'dft': second.pk}


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'atoms': SECOND}, 'is of another structure than snapshot 0'),
        ({'engine': {**SETTINGS, 'encut': 300.0}}, 'was made with ENCUT = 300.0 in `dft`, but the settings give 400.0'),
        ({'engine': {**SETTINGS, 'incar': {'LREAL': 'Auto'}}}, 'was made with LREAL = Auto in `dft`'),
        ({'killed': True}, 'is of no use, since its step `dft` was not finished'),
        ({'program': 'complex'}, 'has other orbitals: `gamma_only` is true'),
    ],
)
def test_finished_steps_of_another_calculation_are_refused_at_submission(start, until, changed, reason):
    folder = until('dft', **changed)
    with pytest.raises(ValueError, match=f'`finished_steps.a`, RemoteData<{folder.pk}>, {reason}'):
        start(a=folder)


def test_another_kmesh_is_refused(start, until):
    with pytest.raises(
        ValueError, match=r'with the k-mesh \[2, 2, 2\] in `mesh_dft`, but the settings give \[3, 3, 3\]'
    ):
        start(a=until('mesh_dft', engine={**SETTINGS, 'hf_kpoints': [2, 2, 2]}))


def test_how_the_work_was_spread_and_how_it_converged_are_not_other_settings(start, until):
    spread = {**SETTINGS, 'nelm': 200, 'incar': {'NCORE': 8}}
    assert list(start(a=until('hartree_fock', engine=spread)).ctx.done) == ['dft', 'hartree_fock']


def test_folder_of_no_step_is_refused(start, aiida_localhost):
    folder = orm.RemoteData(computer=aiida_localhost, remote_path='/tmp').store()
    with pytest.raises(ValueError, match='is not the folder of a step of VASP towards Cc4s'):
        start(a=folder)


def test_campaign_gives_each_point_the_steps_of_its_own_structure(until, code):
    snapshots = [SnapshotsData(Snapshots.from_atoms([atoms])) for atoms in (FIRST, SECOND)]
    inputs = {'vasp': {'code': code('gam')}, 'engine': orm.Dict(SETTINGS), 'finished_steps': {'a': until('dft')}}
    engine = Cc4sWithVasp({**VaspCc4s.defaults(), **SETTINGS, 'name': 'vasp+cc4s'})
    of_points = [engine.batch(inputs, one, orm.List(['HF']))[1] for one in snapshots]
    assert [list(point.get('finished_steps', ())) for point in of_points] == [['a'], []]


def test_campaign_refuses_steps_of_a_structure_that_it_has_not(until, code):
    inputs = {'vasp': {'code': code('gam')}, 'finished_steps': {'a': until('dft', atoms=SECOND)}}
    snapshots = SnapshotsData(Snapshots.from_atoms([FIRST, FIRST]))
    assert 'of another structure than any of the snapshots' in (
        refuse_finished_steps(snapshots, VaspIntegrals.of(SETTINGS), inputs)
    )


def test_folders_of_earlier_runs_are_found(until):
    chain = orm.WorkChainNode(process_type='aiida.workflows:mlcc.vasp_integrals').store()
    folder = until('virtuals', caller=chain)
    until('dft', caller=chain, engine={**SETTINGS, 'encut': 300.0})
    until('dft', caller=chain, atoms=ELSEWHERE)
    found = find_finished_steps(SnapshotsData(Snapshots.from_atoms([SECOND, FIRST])), VaspIntegrals.of(SETTINGS))
    assert [node.uuid for node in found.values()] == [folder.uuid]


def test_chain_that_is_finished_hands_over_its_tensors_without_a_job(start, until):
    tensors = until('dump', files=(*LEFT, *TENSORS))
    process = start(a=tensors, b=until('mesh_hartree_fock'))
    assert not process.steps_left()
    assert process.hand_over_tensors() is None
    assert process.outputs['tensors'].uuid == tensors.uuid
    summary = process.outputs['summary'].get_dict()
    assert set(summary['steps_of_earlier_runs']) == set(STEPS)
    assert (summary['n_occupied'], summary['n_all_orbitals'], summary['n_orbitals']) == (4, 19, 16)
    assert summary['tensors'] == sorted((*TENSORS, *LEFT[1:]))


def test_rerun_on_the_command_line_looks_for_finished_steps(until, code):
    chain = orm.WorkChainNode(process_type='aiida.workflows:mlcc.vasp_integrals').store()
    folder = until('hartree_fock', caller=chain, atoms=AGAIN)
    engine = orm.Dict({**VaspCc4s.defaults(), **SETTINGS, 'name': 'vasp+cc4s'})
    builder = SimpleNamespace(cc_energies=SimpleNamespace(engine=engine))
    builder.get = lambda name, default: vars(builder.cc_energies)
    reuse_finished_jobs(builder, SnapshotsData(Snapshots.from_atoms([AGAIN])))
    assert [node.uuid for node in builder.cc_energies.finished_steps.values()] == [folder.uuid]


def test_what_is_for_the_steps_towards_cc4s_does_not_reach_single_points(code):
    inputs = {'vasp': {'code': code('gam'), 'step_options': orm.Dict({}), 'max_machines': orm.Int(2)}}
    assert list(places_of_labels(inputs)['vasp']) == ['code']
