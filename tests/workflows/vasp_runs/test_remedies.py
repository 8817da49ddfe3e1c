"""The remedies for a step of VASP that failed, handler by handler, without running it."""

import pytest
from aiida import orm
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida_vasp.calcs.vasp import VaspCalculation
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.vasp.integrals import VaspIntegralsWorkChain
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.workflows.vasp_runs.settings import ENGINE
from tests.workflows.vasp_runs.steps import vasp_job

ATOMS = Atoms('LiF', positions=[[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True)
SETTINGS = {
    **{name: value for name, value in ENGINE.items() if name not in ('method', 'algo', 'kpoints')},
    'gamma_only': True,
    'natural_orbitals_per_occupied': 3,
    'encutgw': 200.0,
    'hf_kpoints': [3, 3, 3],
    'hf_encut': 350.0,
    'incar': {'NCORE': 4, 'KPAR': 3},
}
CODES = VaspCalculation.exit_codes
OUT_OF_TIME = 'slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n'
OUT_OF_MEMORY = 'slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.0.\n'
BAD_SYMMETRY = ' VERY BAD NEWS! internal error in subroutine IBZKPT:\n Reciprocal lattice and k-lattice differ\n'


@pytest.fixture
def set_up(potentials, aiida_localhost):
    """Make a WorkChain that has taken its structure, and no more."""

    def make(settings=None, **vasp):
        code = {'computer': aiida_localhost, 'default_calc_job_plugin': 'vasp.vasp'}
        codes = {
            name: orm.InstalledCode(label=program, filepath_executable=f'/opt/bin/{program}', **code).store()
            for name, program in (('code', 'gam'), ('code_kpoints', 'std'))
        }
        options = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 4}, 'max_wallclock_seconds': 3600}
        process = instantiate_process(
            get_manager().get_runner(),
            VaspIntegralsWorkChain,
            snapshots=SnapshotsData(Snapshots.from_atoms([ATOMS])),
            engine=orm.Dict({**SETTINGS, **(settings or {})}),
            vasp={**codes, 'options': orm.Dict(options), **vasp},
        )
        process.take_finished_steps()
        return process

    return make


@pytest.fixture
def inspect(aiida_localhost, tmp_path):
    """Let a WorkChain inspect a job of a step, and return why it ends, or None."""

    def inspect_job(process, step, **how):
        job = vasp_job(aiida_localhost, tmp_path, step, atoms=ATOMS, engine=process.inputs.engine.get_dict(), **how)
        process.ctx[step] = job
        process.ctx.running[step] = [step, job.pk]
        process.inspect_steps()
        return process.ctx.failure

    return inspect_job


def tags(process, step):
    """Return the INCAR that the next job of a step would have."""
    return process.job(step, step)['parameters'].get_dict()


def options(process, step):
    """Return the scheduler options that the next job of a step would have."""
    return process.job(step, step)['metadata']['options']


def folder(process, step):
    """Return where the next job of a step would take its orbitals from."""
    return process.job(step, step)['restart_folder'].get_remote_path()


@pytest.mark.parametrize(
    'how', [{'status': CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME.status}, {'killed': True, 'printed': OUT_OF_TIME}]
)
def test_step_out_of_time_gets_twice_as_much_up_to_the_limit(set_up, inspect, how):
    process = set_up(max_wallclock_seconds=orm.Int(5000))
    assert inspect(process, 'dft', **how) is None
    assert options(process, 'dft')['max_wallclock_seconds'] == 5000
    assert options(process, 'mesh_dft')['max_wallclock_seconds'] == 3600
    status, message = inspect(process, 'dft', options={'max_wallclock_seconds': 5000}, **how)
    assert status == 311
    assert 'raise `vasp.max_wallclock_seconds`' in message


def test_time_is_not_raised_unasked(set_up, inspect):
    status, message = inspect(set_up(), 'dft', killed=True, printed=OUT_OF_TIME)
    assert (status, 'Give it more time' in message) == (311, True)


def test_memory_is_spared_by_one_group_of_kpoints_and_then_by_more_machines(set_up, inspect):
    process = set_up(max_machines=orm.Int(3))
    short = {'killed': True, 'printed': OUT_OF_MEMORY}
    assert tags(process, 'mesh_dft')['KPAR'] == 3
    assert inspect(process, 'mesh_dft', **short) is None
    assert tags(process, 'mesh_dft')['KPAR'] == 1
    assert options(process, 'mesh_dft')['resources']['num_machines'] == 1
    assert inspect(process, 'mesh_dft', tags={'KPAR': 1}, **short) is None
    assert options(process, 'mesh_dft')['resources'] == {'num_machines': 2, 'num_mpiprocs_per_machine': 4}
    three = {'resources': {'num_machines': 3, 'num_mpiprocs_per_machine': 4}}
    status, message = inspect(process, 'mesh_dft', tags={'KPAR': 1}, options=three, **short)
    assert (status, 'raise `vasp.max_machines`' in message) == (318, True)


def test_total_number_of_ranks_does_not_outlive_another_number_of_machines(set_up, inspect):
    process = set_up(max_machines=orm.Int(2))
    given = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 4, 'tot_num_mpiprocs': 4}}
    assert inspect(process, 'dft', killed=True, printed=OUT_OF_MEMORY, options=given) is None
    assert options(process, 'dft')['resources'] == {'num_machines': 2, 'num_mpiprocs_per_machine': 4}


def test_electrons_that_do_not_converge_go_on_from_their_orbitals_and_then_by_another_algorithm(set_up, inspect):
    process = set_up()
    assert inspect(process, 'dft') is None
    assert inspect(process, 'hartree_fock', n_electronic=9) is None
    first = process.ctx.children[-1].outputs.remote_folder.get_remote_path()
    assert folder(process, 'hartree_fock') == first
    assert tags(process, 'hartree_fock')['ALGO'] == 'All'
    assert inspect(process, 'hartree_fock', n_electronic=9) is None
    assert folder(process, 'hartree_fock') != first
    assert {tag: tags(process, 'hartree_fock')[tag] for tag in ('ALGO', 'TIME')} == {'ALGO': 'Damped', 'TIME': 0.4}
    status, message = inspect(process, 'hartree_fock', n_electronic=9)
    assert status == 312
    assert message == (
        'The step `hartree_fock` failed: the electrons did not converge in 9 steps. Tried: more electronic steps, '
        'another algorithm.'
    )


def test_first_step_that_goes_on_reads_its_orbitals(set_up, inspect):
    process = set_up()
    assert inspect(process, 'dft', n_electronic=9) is None
    assert tags(process, 'dft')['ISTART'] == 1


def test_step_that_keeps_no_orbitals_is_given_more_electronic_steps(set_up, inspect):
    process = set_up()
    assert inspect(process, 'mesh_dft') is None
    orbitals = folder(process, 'mesh_hartree_fock')
    assert inspect(process, 'mesh_hartree_fock', n_electronic=9, files=[]) is None
    assert tags(process, 'mesh_hartree_fock')['NELM'] == 18
    assert folder(process, 'mesh_hartree_fock') == orbitals


def test_without_symmetry_the_mesh_begins_anew_as_its_kpoints_are_others(set_up, inspect):
    process = set_up()
    assert inspect(process, 'mesh_dft') is None
    assert inspect(process, 'mesh_hartree_fock', killed=True, printed=BAD_SYMMETRY) is None
    assert 'mesh_dft' not in process.ctx.done
    assert tags(process, 'mesh_dft')['ISYM'] == -1
    assert 'restart_folder' not in process.job('mesh_dft', 'mesh_dft')
    assert inspect(process, 'mesh_dft') is None
    assert tags(process, 'mesh_hartree_fock')['ISYM'] == -1
    again = {'killed': True, 'printed': BAD_SYMMETRY, 'tags': {'ISYM': -1}}
    assert inspect(process, 'mesh_hartree_fock', **again) is None
    assert 'mesh_dft' in process.ctx.done
    assert tags(process, 'mesh_hartree_fock')['SYMPREC'] == 1e-8
    assert inspect(process, 'mesh_hartree_fock', **again)[0] == 319


def test_symmetry_at_gamma_is_off_and_its_precision_is_all_that_is_left(set_up, inspect):
    process = set_up()
    assert inspect(process, 'dft', killed=True, printed=BAD_SYMMETRY) is None
    assert tags(process, 'dft')['SYMPREC'] == 1e-8
    assert inspect(process, 'dft', killed=True, printed=BAD_SYMMETRY)[0] == 311


@pytest.mark.parametrize('how', [{'killed': True}, {'status': CODES.ERROR_SCHEDULER_NODE_FAILURE.status}])
def test_job_that_broke_off_is_run_once_more(set_up, inspect, how):
    process = set_up()
    assert inspect(process, 'dft', **how) is None
    status, message = inspect(process, 'dft', **how)
    assert (status, 'It was tried twice' in message) == (311, True)


def test_step_that_left_its_file_out_is_not_tried_again(set_up, inspect):
    process = set_up()
    status, message = inspect(process, 'pair_energies', files=['WAVECAR', 'Mp2PairEnergies.yaml'])
    assert (status, 'left no Mp2PairEnergies.elements' in message) == (314, True)


@pytest.mark.nightly
def test_last_step_has_to_leave_every_tensor_that_the_corrections_need(set_up, inspect):
    """Cc4s user manual: what CoupledCluster, BasisSetCorrection and FiniteSizeCorrection read."""
    names = (
        *('EigenEnergies', 'CoulombVertex', 'CoulombVertexSingularVectors', 'GridVectors', 'CoulombPotential'),
        *('DeltaIntegralsHH', 'DeltaIntegralsPPHH', 'Mp2PairEnergies'),
    )
    files = [f'{name}.{ending}' for name in names for ending in ('yaml', 'elements')]
    assert inspect(set_up(), 'dump', files=files) is None
    for lost in files:
        status, message = inspect(set_up(), 'dump', files=[name for name in files if name != lost])
        assert (status, f'left no {lost}' in message) == (317, True)


def test_after_a_failure_nothing_is_submitted_and_what_runs_is_waited_for(set_up, inspect):
    process = set_up()
    assert inspect(process, 'dft', program='complex')[0] == 323
    process.ctx.running['mesh_dft'] = ['mesh_dft', process.ctx.children[-1].pk]
    assert process.steps_left()
    assert list(process.run_next_steps()) == ['mesh_dft']
    process.ctx.running.clear()
    assert not process.steps_left()


def test_each_step_has_its_own_options_over_those_of_all(set_up):
    process = set_up(step_options=orm.Dict({'mesh_dft': {'resources': {'num_machines': 8}, 'queue_name': 'large'}}))
    assert options(process, 'mesh_dft') == {
        'resources': {'num_machines': 8, 'num_mpiprocs_per_machine': 4},
        'max_wallclock_seconds': 3600,
        'queue_name': 'large',
    }
    assert options(process, 'dft')['resources']['num_machines'] == 1


@pytest.mark.parametrize(
    ('given', 'reason'), [({'mp2': {}}, 'there is no step `mp2`'), ({'dft': 4}, 'options of the step `dft` are 4')]
)
def test_options_of_no_step_are_refused(set_up, given, reason):
    with pytest.raises(ValueError, match=reason):
        set_up(step_options=orm.Dict(given))
