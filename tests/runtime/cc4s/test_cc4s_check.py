"""The check of the tensors as the compute node runs it: a script of its own, with the standard library alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import aiida_mlcc
from aiida_mlcc.runtime.cc4s.cc4s_check import Problem, read_header
from tests.cc4s_records import N_FIELDS, N_STATES, RECORDED_RUNS, header, write_tensors

SCRIPT = Path(aiida_mlcc.__file__).parent / 'runtime/cc4s/cc4s_check.py'
BASIC = ('EigenEnergies', 'CoulombVertex')
CORRECTIONS = (
    'CoulombVertexSingularVectors',
    'GridVectors',
    'CoulombPotential',
    'DeltaIntegralsHH',
    'DeltaIntegralsPPHH',
    'Mp2PairEnergies',
)


def check(folder, *names):
    """Run the script as a job does and return its exit code and what it reports."""
    command = [sys.executable, '-I', '-S', str(SCRIPT), *(names or BASIC)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert 'Traceback' not in done.stderr, done.stderr
    return done.returncode, json.loads((folder / 'check.json').read_text())


def only_problem(folder, *names):
    """Return the one thing that is wrong."""
    exit_code, report = check(folder, *names)
    assert exit_code == 1
    assert not report['passed']
    (problem,) = report['problems']
    return problem


def test_tensors_that_belong_together_pass(tmp_path):
    exit_code, report = check(write_tensors(tmp_path, corrections=True), *BASIC, *CORRECTIONS)
    assert (exit_code, report['problems']) == (0, [])
    assert (report['n_occupied'], report['n_virtual'], report['energy_unit']) == (2, 3, 1.0)
    assert report['tensors']['CoulombVertex']['bytes'] == N_FIELDS * N_STATES**2 * 16


@pytest.mark.parametrize(('change', 'word'), [(-16, 'truncated'), (-1, 'truncated'), (16, 'too long')])
def test_vertex_of_another_size_is_named_with_both_sizes(tmp_path, change, word):
    path = write_tensors(tmp_path) / 'CoulombVertex.elements'
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    problem = only_problem(tmp_path)
    assert problem['kind'] == 'size'
    assert word in problem['message']
    assert str(len(content)) in problem['message']
    assert str(len(content) + change) in problem['message']


@pytest.mark.parametrize('name', BASIC)
@pytest.mark.parametrize('ending', ['yaml', 'elements'])
def test_missing_file_is_named(tmp_path, name, ending):
    (write_tensors(tmp_path) / f'{name}.{ending}').unlink()
    problem = only_problem(tmp_path)
    assert (problem['kind'], problem['tensor']) == ('missing', name)
    assert f'{name}.{ending}' in problem['message']


def test_link_to_a_file_that_is_gone_is_told_with_its_target(tmp_path):
    path = write_tensors(tmp_path) / 'CoulombVertex.elements'
    path.unlink()
    path.symlink_to('/scratch/cleaned/CoulombVertex.elements')
    problem = only_problem(tmp_path)
    assert problem['kind'] == 'missing'
    assert '/scratch/cleaned' in problem['message']


def test_energies_with_one_number_too_few_are_truncated(tmp_path):
    (write_tensors(tmp_path) / 'EigenEnergies.elements').write_text('-0.6 -0.5 0.3 0.4\n')
    assert only_problem(tmp_path)['kind'] == 'size'


def test_energies_of_another_run_are_inconsistent(tmp_path):
    (write_tensors(tmp_path) / 'EigenEnergies.elements').write_text('-0.6 -0.5 0.31 0.4 0.9\n')
    problem = only_problem(tmp_path)
    assert problem['kind'] == 'inconsistent'
    assert '0.31' in problem['message']


def test_vertex_of_another_number_of_states_is_inconsistent(tmp_path):
    path = write_tensors(tmp_path)
    text = header('Complex64', [N_FIELDS, 4, 4], 'IeeeBinaryFile')
    (path / 'CoulombVertex.yaml').write_text(text)
    (path / 'CoulombVertex.elements').write_bytes(bytes(N_FIELDS * 16 * 16))
    problem = only_problem(tmp_path)
    assert problem['kind'] == 'inconsistent'
    assert f'{N_FIELDS} × {N_STATES} × {N_STATES}' in problem['message']


def test_pair_energies_of_another_number_of_occupied_states_are_inconsistent(tmp_path):
    path = write_tensors(tmp_path, corrections=True)
    (path / 'Mp2PairEnergies.yaml').write_text(header('Real64', [3, 3], 'TextFile'))
    (path / 'Mp2PairEnergies.elements').write_text('0.1 ' * 9)
    assert only_problem(path, *BASIC, 'Mp2PairEnergies')['kind'] == 'inconsistent'


@pytest.mark.parametrize(('fermi', 'word'), [('-0.9', 'below'), ('2.0', 'above')])
def test_fermi_energy_outside_the_states_is_inconsistent(tmp_path, fermi, word):
    path = write_tensors(tmp_path) / 'EigenEnergies.yaml'
    path.write_text(path.read_text().replace('fermiEnergy: -0.1', f'fermiEnergy: {fermi}'))
    problem = only_problem(tmp_path)
    assert problem['kind'] == 'inconsistent'
    assert word in problem['message']


def test_occupied_state_above_a_virtual_one_is_inconsistent(tmp_path):
    path = write_tensors(tmp_path) / 'EigenEnergies.yaml'
    path.write_text(path.read_text().replace('-5.0000000000e-01', '5.0000000000e-01', 1))
    assert only_problem(tmp_path)['kind'] == 'inconsistent'


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('Complex64', 'Complex32'),
        ('IeeeBinaryFile', 'Hdf5File'),
        ('version: 100', 'version: 99'),
        ('unit: 1.0', 'unit: hartree'),
        ('unit: 1.0', 'unit: 1.0\nnonZeroCondition:\n  all: []'),
    ],
)
def test_header_that_cc4s_cannot_read_is_malformed(tmp_path, old, new):
    path = write_tensors(tmp_path) / 'CoulombVertex.yaml'
    path.write_text(path.read_text().replace(old, new))
    problem = only_problem(tmp_path)
    assert problem['kind'] == 'malformed'
    assert 'CoulombVertex.yaml' in problem['message']


def test_header_that_is_no_yaml_is_malformed_and_its_line_named(tmp_path):
    path = write_tensors(tmp_path) / 'CoulombVertex.yaml'
    path.write_text('version: 100\n<html>\n')
    problem = only_problem(tmp_path)
    assert problem['kind'] == 'malformed'
    assert 'line 2' in problem['message']


def test_header_in_the_spelling_of_the_manual():
    text = (
        'version: 100\n'
        'dimensions:\n'
        '  - length: 3\n'
        '    type: Vector\n'
        '  - length:    819\n'
        'unit: 0.529177249       # =(Bohr^-1/Angstrom^-1)\n'
        'metaData:\n'
        '  Gi: [ 0.252561935025589E+01, 0.000000000000000E+00, -0.5]\n'
        '  name: "a: b # c"\n'
        '  energies:\n'
        '   -   -25.5661014910229     \n'
        '   -   -25.0676530819027     \n'
    )
    read = read_header(text)
    assert read['dimensions'] == [{'length': 3, 'type': 'Vector'}, {'length': 819}]
    assert read['unit'] == 0.529177249
    assert read['metaData'] == {
        'Gi': [2.52561935025589, 0.0, -0.5],
        'name': 'a: b # c',
        'energies': [-25.5661014910229, -25.0676530819027],
    }


def test_line_that_is_neither_key_nor_item_is_refused():
    with pytest.raises(Problem, match='line 2'):
        read_header('version: 100\nnonsense\n')


def test_recorded_tensors_pass_and_a_truncated_vertex_does_not(tmp_path):
    recorded = RECORDED_RUNS / 'lih8-szv-triples-crash'
    for path in recorded.glob('*E*.*'):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for path in recorded.glob('CoulombVertex.*'):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    exit_code, report = check(tmp_path)
    assert (exit_code, report['n_occupied'], report['n_virtual']) == (0, 8, 4)

    # As it happened in `truncated-vertex-exit0-garbage`, whose vertex is not recorded: the end of the file is gone.
    vertex = tmp_path / 'CoulombVertex.elements'
    vertex.write_bytes(vertex.read_bytes()[:50000])
    assert only_problem(tmp_path)['kind'] == 'size'


@pytest.mark.parametrize('name', ['missing-vertex-elements', 'truncated-vertex-exit0-garbage', 'c8-szv-ok-2ranks'])
def test_recordings_without_their_vertex_fail_for_that_alone(tmp_path, name):
    for path in (RECORDED_RUNS / name).glob('*.*'):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    problem = only_problem(tmp_path)
    assert (problem['kind'], problem['tensor']) == ('missing', 'CoulombVertex')
