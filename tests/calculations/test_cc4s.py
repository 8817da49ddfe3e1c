"""Cc4s jobs: what is written, linked, copied and refused, and one from start to end with a stand-in for Cc4s."""

import stat

import pytest
import yaml
from aiida import orm
from aiida.common.folders import SandboxFolder
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from ase.units import Hartree

from aiida_mlcc.calculations.cc4s import Cc4sCalculation, check_source
from aiida_mlcc.calculations.cc4s_input import refuse_parameters, render, tensor_names
from tests.cc4s_records import RECORDED_RUNS, STDOUT, out_yaml, write_tensors

CCSD_T = {'ccsd': {}, 'triples': {}}
ALL = {**CCSD_T, 'basis_set_correction': {}, 'finite_size_correction': {}}


def normalised(text):
    """Return what a ``cc4s.in`` reads and computes, whatever it calls its intermediates."""
    steps = yaml.safe_load(text)
    files = {step['out']['destination']: step['in']['fileName'] for step in steps if step['name'] == 'Read'}
    rest = [step for step in steps if step['name'] != 'Read']
    defaults = {'checkpointAtPercentage': 1.0, 'interpolationGridSize': 20}
    computed = [
        (step['name'], {key: files.get(str(v), v) for key, v in step['in'].items() if defaults.get(key) != v})
        for step in rest
    ]
    return set(files.values()), computed


@pytest.mark.parametrize(
    ('name', 'parameters'),
    [
        ('c8-szv-ok-2ranks', {'ccsd': {'max_iterations': 20}, 'triples': {}}),
        ('lih8-dzvp-ccsd-not-converged', {'ccsd': {'max_iterations': 2}}),
    ],
)
def test_input_is_that_of_the_real_run(name, parameters):
    assert normalised(render(parameters)) == normalised((RECORDED_RUNS / name / 'cc4s.in').read_text())


@pytest.mark.parametrize(
    ('name', 'parameters'),
    [
        ('upstream-h2o-dz', {'ccsd': {'max_iterations': 20}, 'triples': {}}),
        ('upstream-h2o-fno-qz', {'ccsd': {'max_iterations': 50}, 'triples': {}, 'basis_set_correction': {}}),
        ('upstream-r-bn-gamma', {**ALL, 'triples': {'star': True}}),
        ('upstream-r-bn-shifted', {**ALL, 'triples': {'star': True}}),
    ],
)
def test_input_is_that_of_the_authors_of_cc4s(upstream_cc4s_runs, name, parameters):
    assert normalised(render(parameters)) == normalised((upstream_cc4s_runs / name / 'cc4s.in').read_text())


def test_settings_carry_the_names_that_cc4s_has():
    ccsd = {
        'max_iterations': 40,
        'energy_convergence': 1e-6,
        'amplitudes_convergence': 1e-5,
        'integrals_slice_size': 50,
        'level_shift': 1,
        'mixer': {'type': 'linear', 'ratio': 0.5},
    }
    parameters = {'ccsd': ccsd, 'finite_size_correction': {'interpolation_grid_size': 10}}
    steps = {step['name']: step for step in yaml.safe_load(render(parameters))}
    symbols = ('slicedEigenEnergies', 'coulombIntegrals', 'slicedCoulombVertex')
    written = {key: value for key, value in steps['CoupledCluster']['in'].items() if key not in symbols}
    assert written == {
        'method': 'Ccsd',
        'integralsSliceSize': 50,
        'maxIterations': 40,
        'energyConvergence': 1e-6,
        'amplitudesConvergence': 1e-5,
        'levelShift': 1.0,
        'mixer': {'type': 'LinearMixer', 'ratio': 0.5},
    }
    assert steps['FiniteSizeCorrection']['in']['interpolationGridSize'] == 10
    assert 'PerturbativeTriples' not in steps


def test_reference_algorithm_of_the_triples_is_another_step():
    names = [step['name'] for step in yaml.safe_load(render({'ccsd': {}, 'triples': {'algorithm': 'reference'}}))]
    assert names[-1] == 'PerturbativeTriplesReference'


@pytest.mark.parametrize(('shift', 'n_steps'), [(0.0, 0), (0.3, 1)])
@pytest.mark.parametrize('more', [{}, {'triples': {}}])
def test_level_shift_brings_a_second_order_step_of_its_own(shift, n_steps, more):
    # The first energy of CCSD is K²/(Δ + shift), summed: with a shift not that of second order, which has to be there.
    names = [step['name'] for step in yaml.safe_load(render({'ccsd': {'level_shift': shift}, **more}))]
    assert names.count('SecondOrderPerturbationTheory') == n_steps
    with_mp2 = [step['name'] for step in yaml.safe_load(render({'mp2': {}, 'ccsd': {'level_shift': shift}, **more}))]
    assert with_mp2.count('SecondOrderPerturbationTheory') == 1


def test_second_order_alone_solves_no_amplitudes():
    names = [step['name'] for step in yaml.safe_load(render({'mp2': {}}))]
    assert names[-1] == 'SecondOrderPerturbationTheory'
    assert 'CoupledCluster' not in names


@pytest.mark.parametrize('value', [1e-8, 2.5e-7, 1e-5, 1, 0.3, 1e22])
def test_every_real_number_has_a_decimal_point(value):
    # Cc4s takes a number without one for an integer, and 1e-08 for none at all.
    text = render({'ccsd': {'level_shift': value, 'energy_convergence': value}})
    for key in ('levelShift', 'energyConvergence'):
        (written,) = [line.split(': ')[1] for line in text.splitlines() if line.strip().startswith(f'{key}:')]
        assert '.' in written
        assert float(written) == value


def test_input_has_the_same_bytes_whatever_the_order_of_its_parameters():
    there = {'triples': {}, 'ccsd': {'level_shift': 0.5, 'max_iterations': 9}}
    back = {'ccsd': {'max_iterations': 9, 'level_shift': 0.5}, 'triples': {}}
    assert render(there) == render(back)


@pytest.mark.parametrize(
    ('parameters', 'word'),
    [
        ({'ccsd': {}, 'ccsdt': {}}, 'triples'),
        ({}, 'nothing to calculate'),
        ({'triples': {}}, 'ccsd'),
        ({'mp2': {}, 'triples': {}}, 'amplitudes'),
        ({'basis_set_correction': {}}, 'ccsd'),
        ({'ccsd': True}, 'mapping'),
        ({'ccsd': {'maxIterations': 3}}, 'max_iterations'),
        ({'ccsd': {'max_iterations': 1.5}}, 'whole number'),
        ({'ccsd': {'max_iterations': True}}, 'whole number'),
        ({'ccsd': {'max_iterations': 1}}, 'at least 2'),
        ({'ccsd': {'energy_convergence': 0}}, 'above 0'),
        ({'ccsd': {'level_shift': -1.0}}, 'at least 0'),
        ({'ccsd': {'mixer': {'type': 'broyden'}}}, 'diis'),
        ({'ccsd': {'mixer': {'ratio': 0.5}}}, 'max_residua'),
        ({'ccsd': {'mixer': {'type': 'linear', 'max_residua': 3}}}, 'ratio'),
        ({'ccsd': {}, 'triples': {'algorithm': 'fast'}}, 'reference'),
        ({'ccsd': {}, 'triples': {'star': 1}}, 'true or false'),
        ({'ccsd': {}, 'basis_set_correction': {'x': 1}}, 'nothing to set'),
    ],
)
def test_wrong_parameters_are_refused_in_a_sentence(parameters, word):
    assert word in refuse_parameters(parameters)


def test_right_parameters_are_not_refused():
    assert refuse_parameters({**ALL, 'mp2': {}, 'ccsd': {'mixer': {'max_residua': 3}}}) is None


def test_each_correction_reads_its_tensors():
    basic = ['EigenEnergies', 'CoulombVertex']
    assert tensor_names(CCSD_T) == basic
    assert tensor_names({'ccsd': {}, 'triples': {'star': True}}) == [*basic, 'Mp2PairEnergies']
    assert sorted(tensor_names(ALL)) == sorted(
        [
            *basic,
            'CoulombVertexSingularVectors',
            'GridVectors',
            'CoulombPotential',
            'DeltaIntegralsHH',
            'DeltaIntegralsPPHH',
            'Mp2PairEnergies',
        ]
    )


@pytest.fixture
def cc4s(aiida_profile, aiida_localhost, tmp_path):
    """A code that says what a real Cc4s said in a run with these steps, and counts how often it ran."""
    (tmp_path / 'stdout').write_text(STDOUT)
    (tmp_path / 'yaml').write_text(out_yaml())
    script = tmp_path / 'cc4s.sh'
    script.write_text(
        '#!/bin/bash\n[ "$1 $2" = "-i cc4s.in" ] && [ -e cc4s.in ] || exit 2\n'
        f'echo ran >> {tmp_path}/runs\ncat {tmp_path}/stdout\ncp {tmp_path}/yaml cc4s.out.yaml\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return orm.InstalledCode(
        label='cc4s', computer=aiida_localhost, filepath_executable=str(script), default_calc_job_plugin='mlcc.cc4s'
    ).store()


@pytest.fixture
def remote(cc4s, tmp_path):
    """Tensors where the code runs."""
    write_tensors(tmp_path / 'work' / 'tensors', corrections=True)
    return orm.RemoteData(computer=cc4s.computer, remote_path=str(tmp_path / 'work')).store()


@pytest.fixture
def prepare():
    """Return the job's instructions and its input file."""

    def prepare_job(**inputs):
        process = instantiate_process(get_manager().get_runner(), Cc4sCalculation, **inputs)
        with SandboxFolder() as folder:
            calc_info = process.prepare_for_submission(folder)
            assert folder.get_content_list() == ['cc4s.in']
            with folder.open('cc4s.in') as handle:
                return calc_info, handle.read()

    return prepare_job


FILES = ['EigenEnergies.yaml', 'EigenEnergies.elements', 'CoulombVertex.yaml', 'CoulombVertex.elements']


def test_remote_tensors_are_linked_to_by_default(cc4s, remote, prepare):
    calc_info, text = prepare(code=cc4s, parameters=CCSD_T, tensors=remote, tensors_path='tensors')
    origin = f'{remote.get_remote_path()}/tensors'
    expected = [(cc4s.computer.uuid, f'{origin}/{file}', file) for file in FILES]
    assert calc_info.remote_symlink_list == expected
    assert calc_info.remote_copy_list == []
    assert [entry[2] for entry in calc_info.local_copy_list] == ['cc4s_check.py']
    assert text == render(CCSD_T)
    assert 'cc4s_check.py EigenEnergies CoulombVertex ' in calc_info.prepend_text


def test_remote_tensors_are_copied_where_asked(cc4s, remote, prepare):
    calc_info, _ = prepare(code=cc4s, parameters={'ccsd': {}}, tensors=remote, copy_tensors=True)
    assert [entry[2] for entry in calc_info.remote_copy_list] == FILES
    assert calc_info.remote_copy_list[0][1] == f'{remote.get_remote_path()}/EigenEnergies.yaml'
    assert calc_info.remote_symlink_list == []


def test_stored_tensors_are_uploaded(cc4s, prepare, tmp_path):
    folder = orm.FolderData(tree=str(write_tensors(tmp_path / 'deep' / 'down').parent)).store()
    calc_info, _ = prepare(code=cc4s, parameters=CCSD_T, tensors=folder, tensors_path='down')
    assert calc_info.local_copy_list[1:] == [(folder.uuid, f'down/{file}', file) for file in FILES]
    assert calc_info.remote_symlink_list == calc_info.remote_copy_list == []


def test_checkpoint_of_the_triples_is_taken_over(cc4s, remote, prepare):
    parent = orm.RemoteData(computer=cc4s.computer, remote_path='/scratch/before').store()
    calc_info, _ = prepare(code=cc4s, parameters=CCSD_T, tensors=remote, parent_folder=parent)
    copied = (cc4s.computer.uuid, '/scratch/before/atrip-checkpoint.yaml', 'atrip-checkpoint.yaml')
    assert calc_info.remote_copy_list == [copied]


def test_amplitudes_of_the_parent_are_linked_to_and_its_checkpoint_is_left_unless_asked_for(cc4s, remote, prepare):
    parent = orm.RemoteData(computer=cc4s.computer, remote_path='/scratch/before').store()
    names = [f'Amplitudes3.{part}' for part in ('yaml', 'components.ph.elements', 'components.pphh.elements')]
    for checkpoint in (False, True):
        restart = {'read': 'Amplitudes3', 'converged': True, 'checkpoint': checkpoint}
        calc_info, _ = prepare(
            code=cc4s, parameters={**CCSD_T, 'restart': restart}, tensors=remote, parent_folder=parent
        )
        linked = [(cc4s.computer.uuid, f'/scratch/before/{name}', name) for name in names]
        assert [entry for entry in calc_info.remote_symlink_list if 'Amplitudes' in entry[2]] == linked
        assert [entry[2] for entry in calc_info.remote_copy_list] == ['atrip-checkpoint.yaml'] * checkpoint


@pytest.mark.parametrize(
    ('name', 'parameters'),
    [
        ('bn8-ccsd-stopped-and-written', {'ccsd': {'max_iterations': 6}, 'restart': {'write': 'Amplitudes'}}),
        ('bn8-ccsd-continued-from-amplitudes', {'ccsd': {}, 'restart': {'read': 'Amplitudes'}}),
        ('bn8-triples-continued', {**CCSD_T, 'restart': {'read': 'Amplitudes'}}),
        (
            'lih8-szv-triples-from-amplitudes',
            {
                'ccsd': {},
                'triples': {'algorithm': 'reference'},
                'restart': {'read': 'Amplitudes2', 'converged': True},
            },
        ),
    ],
)
def test_input_of_a_part_is_that_of_the_recorded_one_and_its_energy_of_second_order(name, parameters):
    ours, theirs = (normalised(text) for text in (render(parameters), (RECORDED_RUNS / name / 'cc4s.in').read_text()))
    if 'read' in parameters['restart']:
        assert [step for step, _ in ours[1]].count('SecondOrderPerturbationTheory') == 1
    drop = 'SecondOrderPerturbationTheory'
    assert [step for step in ours[1] if step[0] != drop] == [step for step in theirs[1] if step[0] != drop]
    assert ours[0] == theirs[0]


def test_restart_without_a_parent_or_from_one_with_other_tensors_is_refused(cc4s, remote, tmp_path):
    restart = {'ccsd': {}, 'restart': {'read': 'Amplitudes1'}}
    given = {'code': cc4s, 'parameters': restart, 'tensors': remote}
    assert '`parent_folder` is missing' in refused(given)
    job = orm.CalcJobNode(computer=cc4s.computer, process_type=Cc4sCalculation.build_process_type())
    other = orm.RemoteData(computer=cc4s.computer, remote_path=str(tmp_path)).store()
    job.base.links.add_incoming(other, LinkType.INPUT_CALC, 'tensors')
    job.store()
    parent = orm.RemoteData(computer=cc4s.computer, remote_path='/scratch/before')
    parent.base.links.add_incoming(job, LinkType.CREATE, 'remote_folder')
    parent.store()
    assert 'amplitudes are those of another calculation' in refused({**given, 'parent_folder': parent})
    assert '`restart.write` is' in refuse_parameters({'ccsd': {}, 'restart': {'read': 'A', 'write': 'A'}})


def test_runs_under_mpi_unless_told_otherwise():
    assert Cc4sCalculation.spec().inputs['metadata']['options']['withmpi'].default is True


def test_check_is_an_input_of_fixed_name_and_stored_once(aiida_profile):
    first = check_source().store()
    assert first.filename == 'cc4s_check.py'
    assert check_source().uuid == first.uuid


def refused(inputs):
    with pytest.raises(ValueError, match=r'.') as caught:
        instantiate_process(get_manager().get_runner(), Cc4sCalculation, **inputs)
    return str(caught.value)


def test_code_that_was_set_up_for_another_plugin_is_refused(cc4s, remote):
    other = orm.InstalledCode(
        label='vasp', computer=cc4s.computer, filepath_executable='/bin/vasp', default_calc_job_plugin='vasp.vasp'
    ).store()
    message = refused({'code': other, 'parameters': CCSD_T, 'tensors': remote})
    assert 'vasp.vasp' in message
    assert 'mlcc.cc4s' in message


@pytest.mark.parametrize('copied', [True, False])
def test_tensors_on_another_computer_are_refused(cc4s, aiida_computer_local, copied):
    elsewhere = orm.RemoteData(computer=aiida_computer_local(label='elsewhere'), remote_path='/x').store()
    message = refused({'code': cc4s, 'parameters': CCSD_T, 'tensors': elsewhere, 'copy_tensors': copied})
    assert 'elsewhere' in message
    assert 'FolderData' in message


def test_stored_tensors_that_lack_a_file_are_refused(cc4s, tmp_path):
    folder = orm.FolderData(tree=str(write_tensors(tmp_path / 'basic'))).store()
    message = refused({'code': cc4s, 'parameters': ALL, 'tensors': folder})
    assert 'CoulombVertexSingularVectors.yaml' in message
    assert "'deep'" in refused({'code': cc4s, 'parameters': CCSD_T, 'tensors': folder, 'tensors_path': 'deep'})


@pytest.mark.parametrize('path', ['/absolute', '../out'])
def test_path_out_of_the_tensors_is_refused(cc4s, remote, path):
    assert path in refused({'code': cc4s, 'parameters': CCSD_T, 'tensors': remote, 'tensors_path': path})


OPTIONS = {'options': {'withmpi': False}}


def runs(tmp_path):
    path = tmp_path / 'runs'
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize('copied', [True, False])
def test_job_from_start_to_end(cc4s, remote, tmp_path, copied):
    inputs = {'tensors': remote, 'tensors_path': 'tensors', 'copy_tensors': copied, 'metadata': OPTIONS}
    outputs, node = run_get_node(Cc4sCalculation, code=cc4s, parameters=CCSD_T, **inputs)
    assert node.is_finished_ok, node.exit_message
    assert outputs['energies'].get_dict() == pytest.approx(
        {'mp2': -0.4 * Hartree, 'ccsd': -0.35 * Hartree, 'triples': -0.02 * Hartree}
    )
    assert outputs['summary']['tensors_checked']
    assert runs(tmp_path) == 1


def test_job_under_mpi(cc4s, remote):
    cc4s.computer.set_mpirun_command(['env', 'RANKS={tot_num_mpiprocs}'])
    options = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 4}}
    inputs = {'tensors': remote, 'tensors_path': 'tensors', 'metadata': {'options': options}}
    _, node = run_get_node(Cc4sCalculation, code=cc4s, parameters=CCSD_T, **inputs)
    assert node.is_finished_ok, node.exit_message
    script = node.base.repository.get_object_content('_aiidasubmit.sh')
    assert "'env' 'RANKS=4'" in script


@pytest.mark.parametrize('copied', [True, False])
def test_cc4s_does_not_start_where_a_remote_file_is_missing(cc4s, remote, tmp_path, copied):
    (tmp_path / 'work/tensors/CoulombVertex.elements').unlink()
    inputs = {'tensors': remote, 'tensors_path': 'tensors', 'copy_tensors': copied, 'metadata': OPTIONS}
    outputs, node = run_get_node(Cc4sCalculation, code=cc4s, parameters=CCSD_T, **inputs)
    assert node.exit_status == 210
    assert 'CoulombVertex.elements' in node.exit_message
    assert 'energies' not in outputs
    assert runs(tmp_path) == 0


def test_cc4s_does_not_start_on_a_truncated_vertex(cc4s, remote, tmp_path):
    vertex = tmp_path / 'work/tensors/CoulombVertex.elements'
    vertex.write_bytes(vertex.read_bytes()[:-8])
    inputs = {'tensors': remote, 'tensors_path': 'tensors', 'metadata': OPTIONS}
    _, node = run_get_node(Cc4sCalculation, code=cc4s, parameters=CCSD_T, **inputs)
    assert node.exit_status == 211
    assert 'truncated' in node.exit_message
    assert runs(tmp_path) == 0


def test_stored_tensors_from_start_to_end(cc4s, tmp_path):
    folder = orm.FolderData(tree=str(write_tensors(tmp_path / 'stored'))).store()
    _, node = run_get_node(Cc4sCalculation, code=cc4s, parameters=CCSD_T, tensors=folder, metadata=OPTIONS)
    assert node.is_finished_ok, node.exit_message
