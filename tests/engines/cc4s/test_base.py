"""The remedies of a Cc4s job that failed, handler by handler without running it, and all of it with a stand-in."""

import stat

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ExitCode, run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from ase.units import Hartree

from aiida_mlcc.calculations.cc4s import Cc4sCalculation
from aiida_mlcc.calculations.cc4s_input import render
from aiida_mlcc.engines.cc4s.base import Cc4sBaseWorkChain
from tests.cc4s_records import (
    BANNER,
    CONVERGED,
    CRASH,
    ITERATIONS,
    NOT_CONVERGED,
    STDOUT,
    TRIPLES_BEGUN,
    out_yaml,
    write_tensors,
)

CODES = Cc4sCalculation.exit_codes
ENERGIES = {'mp2': -1.0, 'ccsd': -2.0}


@pytest.fixture
def cc4s(aiida_profile, aiida_localhost, tmp_path):
    """A code that plays run N of `tmp_path`, and the last one ever after, and counts its runs."""
    script = tmp_path / 'cc4s.sh'
    script.write_text(
        f'#!/bin/bash\nR={tmp_path}\necho ran >> $R/runs\nN=$(wc -l < $R/runs)\n'
        'while [ ! -e $R/$N.stdout ]; do N=$((N - 1)); done\ncp cc4s.in $R/$(wc -l < $R/runs).in\n'
        'cat $R/$N.stdout\n[ -e $R/$N.yaml ] && cp $R/$N.yaml cc4s.out.yaml\nexit 0\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return orm.InstalledCode(label='cc4s', computer=aiida_localhost, filepath_executable=str(script)).store()


@pytest.fixture
def inputs(cc4s, tmp_path):
    """The inputs of a job."""
    folder = write_tensors(tmp_path / 'tensors')
    tensors = orm.RemoteData(computer=cc4s.computer, remote_path=str(folder)).store()
    parameters = orm.Dict({'ccsd': {}, 'triples': {}})
    return {'code': cc4s, 'parameters': parameters, 'tensors': tensors}


@pytest.fixture
def set_up(inputs):
    """Make a WorkChain that has been set up, and no more."""

    def make(parameters=None, options=None, **limits):
        job = dict(inputs)
        if parameters is not None:
            job['parameters'] = orm.Dict(parameters)
        if options is not None:
            job['metadata'] = {'options': options}
        process = instantiate_process(get_manager().get_runner(), Cc4sBaseWorkChain, cc4s=job, **limits)
        process.setup()
        process.ctx.children = []
        return process

    return make


@pytest.fixture
def inspect(cc4s):
    """Let a WorkChain inspect a job with these outputs, and return why it ends, or None.

    The job ended with an exit code, or, where that is a word, in this state.
    """

    def inspect_job(process, code, summary=None, energies=None, options=None, message='It failed.', parameters=None):
        node = orm.CalcJobNode(computer=cc4s.computer, process_type=Cc4sCalculation.build_process_type())
        node.set_process_label('Cc4sCalculation')
        if isinstance(code, str):
            node.set_process_state(code)
        else:
            node.set_process_state('finished')
            node.set_exit_status(code.status)
            node.set_exit_message(message)
        defaults = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 2}, 'max_wallclock_seconds': 3600}
        for name, value in {**defaults, **(options or {})}.items():
            node.set_option(name, value)
        if parameters is not None:
            node.base.links.add_incoming(parameters, link_type=LinkType.INPUT_CALC, link_label='parameters')
        node.store()
        outputs = {'remote_folder': orm.RemoteData(computer=cc4s.computer, remote_path='/scratch/job')}
        if summary is not None:
            outputs['summary'] = orm.Dict(summary)
        if energies is not None:
            outputs['energies'] = orm.Dict(energies)
        for label, output in outputs.items():
            output.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label=label)
            output.store()
        process.ctx.iteration += 1
        process.ctx.children.append(node)
        considered = process.node.base.extras.get('considered_handlers', [])
        process.node.base.extras.set('considered_handlers', [*considered, []])
        verdict = process.inspect_process()
        return verdict if verdict is not None and verdict.status else None

    return inspect_job


def settings(process, part='ccsd'):
    """Return the settings that the next job would have."""
    return process.ctx.inputs.parameters.get_dict()[part]


SLOW = {'residuals': [0.3, 0.01, 0.001], 'energy_unit_hartree': 1.0}
DIVERGING = {'residuals': [0.3, 0.01, 5.0], 'energy_unit_hartree': 1.0}


def test_slow_convergence_gets_iterations_then_a_smaller_diis_space_then_a_level_shift(set_up, inspect):
    process = set_up({'ccsd': {'max_iterations': 20, 'mixer': {'max_residua': 5}}})
    assert inspect(process, CODES.ERROR_NOT_CONVERGED, SLOW) is None
    assert settings(process)['max_iterations'] == 40
    assert settings(process)['mixer'] == {'type': 'diis', 'max_residua': 5}
    assert inspect(process, CODES.ERROR_NOT_CONVERGED, SLOW) is None
    assert settings(process)['mixer']['max_residua'] == 2
    assert settings(process)['level_shift'] == 0.0
    assert inspect(process, CODES.ERROR_NOT_CONVERGED, SLOW) is None
    assert settings(process)['level_shift'] == pytest.approx(0.3)
    verdict = inspect(process, CODES.ERROR_NOT_CONVERGED, SLOW, {'mp2': -1.0})
    assert verdict.status == Cc4sBaseWorkChain.exit_codes.ERROR_NOT_CONVERGED.status == 420
    assert 'a level shift' in verdict.message
    assert process.outputs['energies'].get_dict() == {'mp2': -1.0}


@pytest.mark.parametrize('residuals', [[0.3, 0.01, 5.0], [0.3, 0.01, None], [None]])
def test_divergence_is_not_given_more_iterations(set_up, inspect, residuals):
    process = set_up()
    assert inspect(process, CODES.ERROR_NOT_CONVERGED, {**DIVERGING, 'residuals': residuals}) is None
    assert settings(process)['max_iterations'] == 30
    assert settings(process)['mixer']['max_residua'] == 2


def test_level_shift_is_in_the_unit_of_the_orbital_energies(set_up, inspect):
    process = set_up({'ccsd': {'mixer': {'type': 'linear'}}})
    summary = {**DIVERGING, 'energy_unit_hartree': 1 / Hartree}
    assert inspect(process, CODES.ERROR_NOT_CONVERGED, summary) is None
    assert settings(process)['level_shift'] == pytest.approx(0.3 * Hartree)


def test_second_divergence_with_a_level_shift_ends(set_up, inspect):
    process = set_up({'ccsd': {'level_shift': 0.2, 'mixer': {'max_residua': 2}}})
    verdict = inspect(process, CODES.ERROR_NOT_CONVERGED, DIVERGING)
    assert verdict.status == 420
    assert 'nothing' in verdict.message


@pytest.mark.parametrize('code', [CODES.ERROR_OUT_OF_WALLTIME, CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME])
def test_walltime_is_doubled_up_to_its_limit(set_up, inspect, code):
    process = set_up(max_wallclock_seconds=10000)
    assert inspect(process, code, {}, options={'max_wallclock_seconds': 3600}) is None
    assert process.ctx.inputs.metadata.options.max_wallclock_seconds == 7200
    assert inspect(process, code, {}, options={'max_wallclock_seconds': 7200}) is None
    assert process.ctx.inputs.metadata.options.max_wallclock_seconds == 10000
    verdict = inspect(process, code, {}, ENERGIES, options={'max_wallclock_seconds': 10000})
    assert verdict.status == 400
    assert process.outputs['energies'].get_dict() == ENERGIES


def test_walltime_is_not_raised_unasked(set_up, inspect):
    verdict = inspect(set_up(), CODES.ERROR_OUT_OF_WALLTIME, {})
    assert verdict.status == 400
    assert 'max_wallclock_seconds' in verdict.message


@pytest.mark.parametrize('code', [CODES.ERROR_OUT_OF_WALLTIME, CODES.ERROR_INTERRUPTED])
def test_triples_go_on_from_their_checkpoint_as_long_as_they_come_further(set_up, inspect, code):
    process = set_up()
    assert inspect(process, code, {'triples_percent': 10}) is None
    assert process.ctx.inputs.parent_folder.get_remote_path() == '/scratch/job'
    assert inspect(process, code, {'triples_percent': 60}) is None
    if code is CODES.ERROR_OUT_OF_WALLTIME:
        assert inspect(process, code, {'triples_percent': 60}, ENERGIES).status == 400
    else:
        assert inspect(process, code, {'triples_percent': 60}, ENERGIES).status == 410
    assert process.outputs['energies'].get_dict() == ENERGIES


def test_checkpoint_tells_how_far_the_triples_came_where_their_last_lines_were_lost(set_up, inspect):
    process = set_up()
    for iterations in (40, 90):
        lost = {'triples_percent': 0, 'triples_iterations': iterations}
        assert inspect(process, CODES.ERROR_INTERRUPTED, lost) is None
        assert process.ctx.inputs.parameters['restart'] == {'checkpoint': True}
        assert process.ctx.inputs.parent_folder.get_remote_path() == '/scratch/job'
    # No further than before, for the second time in a row.
    assert inspect(process, CODES.ERROR_INTERRUPTED, lost, ENERGIES).status == 410


def test_triples_that_had_not_begun_have_no_checkpoint(set_up, inspect):
    process = set_up()
    assert inspect(process, CODES.ERROR_INTERRUPTED, {}) is None
    assert 'parent_folder' not in process.ctx.inputs


@pytest.mark.parametrize('code', [CODES.ERROR_OUT_OF_MEMORY, CODES.ERROR_SCHEDULER_OUT_OF_MEMORY])
def test_memory_is_saved_by_smaller_slices_and_then_more_machines(set_up, inspect, code):
    process = set_up({'ccsd': {'integrals_slice_size': 60}}, max_machines=3)
    assert inspect(process, code, {}) is None
    assert settings(process)['integrals_slice_size'] == 30
    assert inspect(process, code, {}) is None
    assert settings(process)['integrals_slice_size'] == 25
    resources = {'num_machines': 2, 'num_mpiprocs_per_machine': 4, 'tot_num_mpiprocs': 8}
    assert inspect(process, code, {}, options={'resources': resources}) is None
    assert process.ctx.inputs.metadata.options.resources == {'num_machines': 3, 'num_mpiprocs_per_machine': 4}
    verdict = inspect(process, code, {}, {'mp2': -1.0}, options={'resources': {**resources, 'num_machines': 3}})
    assert verdict.status == 411
    assert process.outputs['energies'].get_dict() == {'mp2': -1.0}


@pytest.mark.parametrize('step', ['PerturbativeTriples', 'PerturbativeTriplesReference'])
def test_memory_of_the_triples_is_not_in_the_slices(set_up, inspect, step):
    verdict = inspect(set_up(), CODES.ERROR_OUT_OF_MEMORY, {'last_step': step}, ENERGIES)
    assert verdict.status == 411
    assert 'max_machines' in verdict.message


def test_more_machines_forget_the_checkpoint_of_fewer_ranks(set_up, inspect):
    process = set_up(max_machines=2)
    assert inspect(process, CODES.ERROR_OUT_OF_WALLTIME, {'triples_percent': 10}) is None
    in_triples = {'triples_percent': 20, 'last_step': 'PerturbativeTriples'}
    assert inspect(process, CODES.ERROR_OUT_OF_MEMORY, in_triples) is None
    assert 'parent_folder' not in process.ctx.inputs
    assert process.ctx.inputs.metadata.options.resources.num_machines == 2


def test_crash_of_the_triples_is_answered_with_the_reference_algorithm_once(set_up, inspect):
    process = set_up()
    summary = {'n_occupied': 8, 'n_virtual': 4, 'triples_percent': 0}
    assert inspect(process, CODES.ERROR_TRIPLES_FAILED, summary, ENERGIES) is None
    assert settings(process, 'triples')['algorithm'] == 'reference'
    verdict = inspect(process, CODES.ERROR_TRIPLES_FAILED, summary, ENERGIES)
    assert verdict.status == 430
    assert 'was tried' in verdict.message
    assert process.outputs['energies'].get_dict() == ENERGIES


def test_reference_algorithm_is_not_tried_where_its_amplitudes_are_too_large(set_up, inspect):
    # 64 atoms of LiH as in the article: (128 · 1280)³ amplitudes of 8 bytes are 3.3e7 GB.
    summary = {'n_occupied': 128, 'n_virtual': 1280, 'triples_percent': 0}
    process = set_up()
    verdict = inspect(process, CODES.ERROR_TRIPLES_FAILED, summary, ENERGIES)
    assert verdict.status == 430
    assert '3.28e+07 GB' in verdict.message
    assert process.outputs['energies'].get_dict() == ENERGIES


@pytest.mark.parametrize('code', [CODES.ERROR_INTERRUPTED, CODES.ERROR_SCHEDULER_NODE_FAILURE])
def test_job_that_broke_off_runs_once_more_and_not_twice(set_up, inspect, code):
    process = set_up()
    assert inspect(process, code, {}) is None
    assert inspect(process, code, {}, {'mp2': -1.0}).status == 410
    assert process.outputs['energies'].get_dict() == {'mp2': -1.0}


def test_break_after_another_remedy_is_a_first_one(set_up, inspect):
    process = set_up()
    assert inspect(process, CODES.ERROR_INTERRUPTED, {}) is None
    assert inspect(process, CODES.ERROR_NOT_CONVERGED, SLOW) is None
    assert inspect(process, CODES.ERROR_INTERRUPTED, {}) is None


@pytest.mark.parametrize(
    'code',
    [CODES.ERROR_MISSING_TENSOR, CODES.ERROR_INCONSISTENT_TENSORS, CODES.ERROR_UNKNOWN_METHOD, CODES.ERROR_NO_OUTPUT],
)
def test_what_no_repetition_helps_is_told_and_not_repeated(set_up, inspect, code):
    verdict = inspect(set_up(), code, {}, message='CoulombVertex.elements is truncated.')
    assert verdict.status == Cc4sBaseWorkChain.exit_codes.ERROR_JOB_FAILED.status == 310
    assert verdict.message == 'CoulombVertex.elements is truncated.'


def test_energies_of_the_job_that_came_furthest_are_kept(set_up, inspect):
    process = set_up()
    summary = {'n_occupied': 8, 'n_virtual': 4, 'last_step': 'PerturbativeTriplesReference'}
    assert inspect(process, CODES.ERROR_TRIPLES_FAILED, summary, ENERGIES) is None
    assert inspect(process, CODES.ERROR_OUT_OF_MEMORY, summary, {'mp2': -1.0}).status == 411
    assert process.outputs['energies'].get_dict() == ENERGIES


def test_last_job_that_is_allowed_leaves_its_energies(set_up, inspect):
    process = set_up(max_iterations=orm.Int(1))
    verdict = inspect(process, CODES.ERROR_NOT_CONVERGED, SLOW, {'mp2': -1.0})
    assert verdict.status == Cc4sBaseWorkChain.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED.status == 401
    assert process.outputs['energies'].get_dict() == {'mp2': -1.0}


@pytest.mark.parametrize(('state', 'status'), [('excepted', 301), ('killed', 302)])
def test_job_that_aiida_lost_takes_no_energies_of_earlier_ones_along(set_up, inspect, state, status):
    process = set_up()
    assert inspect(process, CODES.ERROR_TRIPLES_FAILED, {'n_occupied': 8, 'n_virtual': 4}, ENERGIES) is None
    assert 'energies' not in process.outputs
    assert inspect(process, state).status == status
    assert process.outputs['energies'].get_dict() == ENERGIES
    assert process.outputs['summary'].get_dict() == {'n_occupied': 8, 'n_virtual': 4}


def test_first_job_that_aiida_lost_leaves_nothing(set_up, inspect):
    process = set_up()
    assert inspect(process, 'killed').status == 302
    assert not process.outputs


def test_energies_are_kept_where_the_handlers_are_switched_off(set_up, inspect):
    off = {name: {'enabled': False} for name in ('help_convergence', 'give_the_reason')}
    process = set_up(handler_overrides=orm.Dict(off))
    assert inspect(process, CODES.ERROR_NOT_CONVERGED, SLOW, {'mp2': -1.0}).status == 402
    assert process.outputs['energies'].get_dict() == {'mp2': -1.0}


def test_success_is_not_touched(set_up, inspect):
    process = set_up()
    assert inspect(process, ExitCode(0), SLOW, ENERGIES) is None
    assert process.ctx.is_finished


STRETCHES = {'ccsd': {'stretch': 6, 'max_iterations': 15}, 'triples': {}, 'finite_size_correction': {}}
STRETCH = {'residuals': [0.3, 0.1], 'iterations': 6, 'amplitudes_written': True, 'energy_unit_hartree': 1.0}
NOT_YET, DONE = {**STRETCH, 'converged': False}, {**STRETCH, 'iterations': 4, 'converged': True}


@pytest.fixture
def written(inspect):
    """Let a WorkChain inspect a job that wrote its amplitudes, as its parameters said."""

    def inspect_job(process, code, summary, energies=None):
        job = process.ctx.inputs.parameters.store()
        return inspect(process, code, summary, energies, parameters=job)

    return inspect_job


def parameters_of(process):
    return process.ctx.inputs.parameters.get_dict()


def test_ccsd_goes_on_from_its_amplitudes_stretch_by_stretch_and_ends_with_the_triples(set_up, written):
    process = set_up(STRETCHES)
    first = parameters_of(process)
    assert set(first) == {'ccsd', 'restart'}, '(T) never runs on amplitudes that may not converge'
    assert (first['ccsd']['max_iterations'], first['restart']) == (6, {'write': 'Amplitudes1'})
    assert process.ctx.inputs.metadata.disable_cache
    assert written(process, CODES.ERROR_NOT_CONVERGED, NOT_YET) is None
    second = parameters_of(process)
    assert second['restart'] == {'read': 'Amplitudes1', 'converged': False, 'write': 'Amplitudes2'}
    assert process.ctx.inputs.parent_folder.get_remote_path() == '/scratch/job'
    assert written(process, CODES.ERROR_NOT_CONVERGED, NOT_YET) is None
    assert parameters_of(process)['ccsd']['max_iterations'] == 3, 'what is left of 15'
    assert written(process, ExitCode(0), DONE, ENERGIES) is None
    last = parameters_of(process)
    assert last['restart'] == {'read': 'Amplitudes3', 'converged': True}
    assert {'triples', 'finite_size_correction'} <= set(last)
    assert not process.ctx.is_finished
    assert written(process, ExitCode(0), {}, ENERGIES) is None
    assert process.ctx.is_finished


@pytest.mark.parametrize('code', [CODES.ERROR_INTERRUPTED, CODES.ERROR_OUT_OF_WALLTIME])
def test_killed_stretch_repeats_itself_alone(set_up, written, code):
    process = set_up(STRETCHES)
    assert written(process, CODES.ERROR_NOT_CONVERGED, NOT_YET) is None
    before = parameters_of(process)
    assert written(process, code, {'residuals': [0.1] * 4, 'iterations': 4}) is None
    after = parameters_of(process)
    assert after['restart'] == before['restart']
    expected = 6 if code is CODES.ERROR_INTERRUPTED else 3
    assert after['ccsd']['max_iterations'] == expected, 'what did not fit into the wall time is made shorter'


def test_killed_triples_go_on_from_checkpoint_and_amplitudes_without_ccsd(set_up, written):
    process = set_up(STRETCHES)
    assert written(process, ExitCode(0), DONE, ENERGIES) is None
    assert written(process, CODES.ERROR_INTERRUPTED, {'triples_percent': 20}, ENERGIES) is None
    restart = {'read': 'Amplitudes1', 'converged': True, 'checkpoint': True}
    assert parameters_of(process)['restart'] == restart
    text = render(parameters_of(process))
    assert 'maxIterations: 0' in text
    # Out of memory: on more machines there is no checkpoint, but there are amplitudes.
    assert written(process, CODES.ERROR_TRIPLES_FAILED, {'n_occupied': 2, 'n_virtual': 3}, ENERGIES) is None
    assert parameters_of(process)['restart'] == {'read': 'Amplitudes1', 'converged': True}


def test_iterations_that_are_used_up_are_more_from_the_same_amplitudes(set_up, written):
    process = set_up({'ccsd': {'stretch': 6, 'max_iterations': 6}, 'triples': {}})
    assert written(process, CODES.ERROR_NOT_CONVERGED, NOT_YET) is None
    assert process.ctx.tried == ['more iterations']
    assert parameters_of(process)['restart']['read'] == 'Amplitudes1'
    assert parameters_of(process)['ccsd']['max_iterations'] == 6


def test_amplitudes_that_diverge_are_left(set_up, written):
    process = set_up(STRETCHES)
    assert written(process, CODES.ERROR_NOT_CONVERGED, NOT_YET) is None
    diverging = {**NOT_YET, 'residuals': [0.3, 0.01, 5.0]}
    assert written(process, CODES.ERROR_NOT_CONVERGED, diverging) is None
    assert 'read' not in parameters_of(process)['restart']
    assert 'parent_folder' not in process.ctx.inputs
    assert settings(process)['mixer']['max_residua'] == 2


def test_ccsd_alone_ends_with_the_stretch_that_converges(set_up, written):
    process = set_up({'ccsd': {'stretch': 6}})
    assert written(process, ExitCode(0), DONE, ENERGIES) is None
    assert process.ctx.is_finished


def play(tmp_path, *runs):
    """Lay out what the stand-in plays, run by run."""
    for number, (stdout, output) in enumerate(runs, 1):
        (tmp_path / f'{number}.stdout').write_text(stdout)
        if output is not None:
            (tmp_path / f'{number}.yaml').write_text(output)


IN_CCSD = BANNER + ITERATIONS
CRASHED = IN_CCSD + CONVERGED + TRIPLES_BEGUN + CRASH
OPTIONS = {'options': {'withmpi': False}}


@pytest.mark.nightly
def test_chain_of_remedies_ends_with_the_energies(inputs, tmp_path):
    play(
        tmp_path,
        (IN_CCSD + NOT_CONVERGED, out_yaml(converged=False, triples=False)),
        (CRASHED, out_yaml(n_steps=6)),
        (STDOUT, out_yaml()),
    )
    outputs, node = run_get_node(Cc4sBaseWorkChain, cc4s={**inputs, 'metadata': OPTIONS})
    assert node.is_finished_ok, node.exit_message
    assert outputs['energies']['triples'] == pytest.approx(-0.02 * Hartree)
    assert 'maxIterations: 30' in (tmp_path / '1.in').read_text()
    assert 'maxIterations: 60' in (tmp_path / '2.in').read_text()
    assert 'name: PerturbativeTriplesReference' in (tmp_path / '3.in').read_text()
    labels = [entry.link_label for entry in node.base.links.get_outgoing(link_type=LinkType.CALL_CALC).all()]
    assert labels == ['iteration_01', 'iteration_02', 'iteration_03']


@pytest.mark.nightly
def test_chain_that_never_succeeds_ends_and_keeps_ccsd(inputs, tmp_path):
    play(tmp_path, (CRASHED, out_yaml(n_steps=6)))
    outputs, node = run_get_node(Cc4sBaseWorkChain, cc4s={**inputs, 'metadata': OPTIONS})
    assert node.exit_status == 430
    assert set(outputs['energies'].get_dict()) == {'mp2', 'ccsd'}
    assert len((tmp_path / 'runs').read_text().splitlines()) == 2
