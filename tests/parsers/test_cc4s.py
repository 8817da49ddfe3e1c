"""What a Cc4s job says of itself: recordings of real runs, and made-up ones for every way to end."""

import json

import pytest
import yaml
from aiida import orm
from aiida.common.links import LinkType
from ase.units import Hartree

from aiida_mlcc.calculations.cc4s import Cc4sCalculation
from aiida_mlcc.parsers.cc4s import Cc4sParser
from aiida_mlcc.parsers.parse_raw.cc4s import parse_output, parse_stdout, star_energies
from aiida_mlcc.parsers.parse_raw.cc4s_outcome import RecordedRun, judge, summarise
from aiida_mlcc.science.labels.methods import compose_energy
from tests.cc4s_records import (
    BANNER,
    CHECKED,
    CONVERGED,
    CRASH,
    ITERATIONS,
    NOT_CONVERGED,
    RECORDED_RUNS,
    STDOUT,
    TRIPLES,
    TRIPLES_BEGUN,
    out_yaml,
)

ASKED = ['Read', 'Read', 'DefineHolesAndParticles', 'SliceOperator', 'VertexCoulombIntegrals', 'CoupledCluster']
IN_EV = 0.036749322175638754
"""The unit that VASP's interface writes, eV in Hartree; CODATA's differs in the ninth digit."""


def recorded(name, folder=RECORDED_RUNS):
    """Return a recorded run, whose tensors the check had passed."""
    folder = folder / name
    texts = [path.read_text() if path.exists() else '' for path in (folder / 'cc4s.out.yaml', folder / 'cc4s.stdout')]
    asked = [step['name'] for step in yaml.safe_load((folder / 'cc4s.in').read_text())]
    return RecordedRun(asked, CHECKED, *texts)


def made_up(stdout=STDOUT, output='', check=CHECKED, other_text='', triples=True):
    """Return a run of CCSD and, by default, (T)."""
    return RecordedRun([*ASKED, *(['PerturbativeTriples'] if triples else [])], check, output, stdout, other_text)


def in_hartree(run):
    return {name: energy / Hartree for name, energy in run.energies().items()}


@pytest.mark.parametrize('name', ['c8-szv-ok-2ranks', 'lih8-dzvp-ok-2ranks'])
def test_good_recording_gives_the_energies_of_pyscf_on_the_same_integrals(name):
    run = recorded(name)
    assert judge(run) is None
    reference = json.loads((RECORDED_RUNS / name / 'pyscf_reference.json').read_text())
    energies = in_hartree(run)
    assert set(energies) == {'mp2', 'ccsd', 'triples'}
    for ours, theirs in (('mp2', 'mp2_corr_Eh'), ('ccsd', 'ccsd_corr_Eh'), ('triples', 't_corr_Eh')):
        assert energies[ours] == pytest.approx(reference[theirs], abs=1e-8)


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        (
            'upstream-h2o-dz',
            {'mp2': -0.21973005804253534, 'ccsd': -0.22747413099814456, 'triples': -0.0052396080185706413},
        ),
        (
            'upstream-h2o-fno-qz',
            {
                'mp2': -0.27612981111450785,
                'ccsd': -0.28130342836593875,
                'triples': -0.0087270673465142494,
                'mp2_basis_set': -0.022933201217492261,
                'ccsd_basis_set': -0.016542395813125374,
            },
        ),
        (
            'upstream-hf',
            {'mp2': -0.13422814192934551, 'ccsd': -0.13669572114878675, 'complete_triples': -0.0011752604354408878},
        ),
        (
            'upstream-ueg-rs1.0-7occ-26virt',
            {
                'mp2': -0.36143028565969504,
                'drccd': -0.2758298986953282,
                'ccsd': -0.39269658954585018,
                'triples': -0.0063019625641725016,
            },
        ),
    ],
)
def test_recordings_in_hartree_of_the_old_and_the_new_layout(upstream_cc4s_runs, name, expected):
    run = recorded(name, upstream_cc4s_runs)
    assert judge(run) is None
    assert in_hartree(run) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        (
            'upstream-r-bn-gamma',
            {
                'mp2': -24.3605043096399,
                'ccsd': -25.445627726271351,
                'triples': -0.82253065011063076,
                'triples_basis_set': -0.21951212581719681,
                'mp2_basis_set': -6.5011876290189505,
                'ccsd_basis_set': -5.2998022247169567,
                'ccsd_finite_size': -1.1152877229338642,
            },
        ),
        (
            'upstream-r-bn-shifted',
            {
                'mp2': -23.962190400085081,
                'ccsd': -24.826002928655051,
                'triples': -0.84283581873943847,
                'triples_basis_set': -0.23566328735775124,
                'mp2_basis_set': -6.7000101756735724,
                'ccsd_basis_set': -5.4985322836375934,
                'ccsd_finite_size': -0.9054029764325513,
            },
        ),
    ],
)
def test_recordings_of_vasp_are_in_ev_and_carry_all_corrections(upstream_cc4s_runs, name, expected):
    run = recorded(name, upstream_cc4s_runs)
    assert judge(run) is None
    energies = run.energies()
    star = energies.pop('triples_star')
    assert energies == pytest.approx(expected, abs=1e-6)
    # (T*) is (T) times the ratio of the MP2 energies in the complete and in this basis (Irmler 2021).
    ratio = (expected['mp2'] + expected['mp2_basis_set']) / expected['mp2']
    assert star == pytest.approx(ratio * expected['triples'], abs=1e-6)
    total = compose_energy('CCSD(T)', {**run.energies(), 'hf': -100.0})
    names = ('ccsd', 'triples', 'triples_basis_set', 'ccsd_basis_set', 'ccsd_finite_size')
    assert total == pytest.approx(-100.0 + sum(expected[name] for name in names), abs=1e-6)


@pytest.mark.parametrize(
    ('name', 'code', 'kept', 'word'),
    [
        ('killed-in-ccsd', 'ERROR_INTERRUPTED', {'mp2': -0.136582755}, 'CoupledCluster'),
        ('truncated-vertex-exit0-garbage', 'ERROR_INCONSISTENT_TENSORS', None, 'zero'),
        ('lih8-dzvp-ccsd-not-converged', 'ERROR_NOT_CONVERGED', {'mp2': -0.13658275460870731}, '2 iterations'),
        ('missing-vertex-elements', 'ERROR_MISSING_TENSOR', {}, 'CoulombVertex.elements'),
        ('unknown-method', 'ERROR_UNKNOWN_METHOD', {}, 'Ccsdtq'),
        (
            'lih8-szv-triples-crash',
            'ERROR_TRIPLES_FAILED',
            {'mp2': -0.037277340856870851, 'ccsd': -0.04137604693568387},
            'signal 8',
        ),
    ],
)
def test_bad_recording_has_its_exit_code_and_keeps_what_is_an_energy(name, code, kept, word):
    run = recorded(name)
    verdict, message = judge(run)
    assert verdict == code
    assert word in message
    if kept is not None:
        assert in_hartree(run) == pytest.approx(kept, abs=1e-9)


def test_triples_that_were_killed_keep_the_energy_of_ccsd():
    run = recorded('bn8-killed-in-triples')
    verdict, message = judge(run)
    assert verdict == 'ERROR_INTERRUPTED'
    assert 'PerturbativeTriples' in message
    energies = in_hartree(run)
    assert 'triples' not in energies
    assert energies['ccsd'] == pytest.approx(-0.6202740526, abs=1e-9)
    assert summarise(run)['triples_percent'] == 20


def test_continued_ccsd_and_triples_give_the_energies_at_their_end():
    stopped, continued, triples = (
        recorded(f'bn8-{name}')
        for name in ('ccsd-stopped-and-written', 'ccsd-continued-from-amplitudes', 'triples-continued')
    )
    assert in_hartree(stopped)['mp2'] == pytest.approx(-0.7310689764, abs=1e-9)
    assert in_hartree(continued)['ccsd'] == pytest.approx(-0.6202740526, abs=1e-9)
    assert in_hartree(triples)['ccsd'] == in_hartree(continued)['ccsd']
    assert in_hartree(triples)['triples'] == pytest.approx(-0.010635049843242, abs=1e-12)


def without_output(name):
    """Return a recording as if its ``cc4s.out.yaml`` had been lost."""
    run = recorded(name)
    return RecordedRun(run.asked, CHECKED, '', run.stdout_text)


@pytest.mark.parametrize('name', ['bn8-ccsd-continued-from-amplitudes', 'bn8-triples-continued'])
def test_first_iteration_from_given_amplitudes_is_not_the_energy_of_second_order(name):
    assert 'mp2' not in recorded(name).energies()


def test_ccsd_that_used_up_its_iterations_did_not_converge_whether_it_warns_or_not():
    run = recorded('bn8-ccsd-stopped-and-written')
    assert 'WARNING' not in run.stdout_text
    assert judge(run)[0] == 'ERROR_NOT_CONVERGED'
    assert sorted(run.energies()) == ['mp2']
    last = '   6  -6.20261900e-01   2.1412e-05   6.2769e-05'
    assert last in run.stdout_text
    converged = run.stdout_text.replace(last, '   6  -6.20261900e-01  -2.1412e-09   6.2769e-09')
    assert judge(RecordedRun(run.asked, CHECKED, '', converged)) is None, 'the last iteration may be the one'


@pytest.mark.parametrize('name', ['c8-szv-ok-2ranks', 'lih8-dzvp-ok-2ranks'])
def test_converged_recording_is_known_as_one_by_what_it_printed(name):
    assert judge(without_output(name)) is None


@pytest.mark.parametrize('written', [True, False])
def test_energies_of_amplitudes_that_had_converged_are_kept_whether_cc4s_calls_them_so_or_not(written):
    folder = RECORDED_RUNS / 'lih8-szv-triples-from-amplitudes'
    output, stdout = ((folder / name).read_text() for name in ('cc4s.out.yaml', 'cc4s.stdout'))
    assert 'convergenceReached: 0' in output
    asked = [step['name'] for step in yaml.safe_load((folder / 'cc4s.in').read_text())]
    run = RecordedRun(asked, CHECKED, output if written else '', stdout, is_solved=True)
    assert judge(run) is None
    # Those of the same tensors in one go: the recording whose (T) crashed, and the reference algorithm.
    expected = {'mp2': -0.037277340856870851, 'ccsd': -0.04137604693568387, 'triples': -1.83346e-07}
    energies = in_hartree(run)
    # Of the second order by itself Cc4s prints six digits.
    assert energies.pop('mp2') == pytest.approx(expected.pop('mp2'), abs=2e-10 if written else 1e-7)
    assert energies == pytest.approx(expected, abs=2e-10)
    assert judge(RecordedRun(asked, CHECKED, output, stdout))[0] == 'ERROR_NOT_CONVERGED'


def test_triples_that_were_continued_are_told_by_their_first_line():
    assert summarise(recorded('bn8-triples-continued'))['triples_continued']
    assert not summarise(recorded('bn8-killed-in-triples'))['triples_continued']


@pytest.mark.parametrize('step', ['ccsd', 'triples'])
@pytest.mark.parametrize('arithmetic', ['real', 'complex'])
def test_estimates_of_a_dry_run_are_those_of_its_report(arithmetic, step):
    run = recorded(f'dry-diamond32-{arithmetic}-{step}')
    report = parse_output((RECORDED_RUNS / f'dry-diamond32-{arithmetic}-{step}' / 'dry-cc4s.out.yaml').read_text())
    assert summarise(run)['estimates']['operations'] == pytest.approx(report['operations'], rel=1e-4)


def test_cost_of_a_recording():
    summary = summarise(recorded('c8-szv-ok-2ranks'))
    assert (summary['mpi_ranks'], summary['threads'], summary['converged']) == (2, 1, True)
    assert summary['core_hours'] == pytest.approx(2 * 11.087146138 / 3600)
    assert summary['operations'] == 17318531502
    assert summary['iterations'] == 11
    assert summary['residuals'][-1] == 6.8249e-9
    assert summary['estimates'] == pytest.approx(
        {'memory_gb': 0.0416229, 'memory_gb_per_rank': 0.0208114, 'operations': 32.828e9, 'seconds': 1.6414}
    )


def test_ranks_are_counted_and_steps_are_added_up_where_the_old_layout_has_no_totals(upstream_cc4s_runs):
    old = summarise(recorded('upstream-h2o-dz', upstream_cc4s_runs))
    assert old['mpi_ranks'] == 48
    assert old['operations'] == 172379971978 + 851677056
    assert old['seconds'] == pytest.approx(3.124295119 + 0.168614553 + 0.102211, abs=1e-4)


@pytest.mark.parametrize('layout', ['old', 'new'])
@pytest.mark.parametrize('unit', [1.0, IN_EV])
def test_both_layouts_in_both_units(layout, unit):
    run = made_up(output=out_yaml(layout, unit), check={**CHECKED, 'energy_unit': unit})
    assert judge(run) is None
    expected = {'mp2': -0.4, 'ccsd': -0.35, 'triples': -0.02}
    assert run.energies() == pytest.approx({name: e * unit * Hartree for name, e in expected.items()}, rel=1e-12)
    if unit == IN_EV:
        assert run.energies() == pytest.approx(expected, rel=1e-7)
    summary = summarise(run)
    assert (summary['mpi_ranks'], summary['threads'], summary['cc4s_version']) == (4, 2, 'heads/made-up')
    seconds = 36.0 if layout == 'new' else 5 * 1.0 + 9.0 + 20.0
    assert summary['seconds'] == seconds
    assert summary['core_hours'] == pytest.approx(4 * 2 * seconds / 3600)
    assert summary['operations'] == (13000 if layout == 'new' else 5 * 100 + 5000 + 7000)


def test_what_was_printed_stands_in_for_an_output_that_was_cut_off():
    run = made_up(output=out_yaml()[:-40] + '\n  half: [', check={**CHECKED, 'energy_unit': IN_EV})
    assert parse_output(run.output_text) == {}
    assert judge(run) is None
    assert run.energies() == pytest.approx({'mp2': -0.4, 'ccsd': -0.35, 'triples': -0.02}, rel=1e-7)


def test_printed_energies_whose_unit_nobody_knows_are_not_kept():
    assert made_up(check=None).energies() == {}


TEXT_OF_SLURM = 'slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2024-01-01T00:00:00 DUE TO TIME LIMIT ***'
OF_MEMORY = "terminate called after throwing an instance of 'std::bad_alloc'\n"
IN_CCSD = BANNER + ITERATIONS
IN_TRIPLES = IN_CCSD + CONVERGED + TRIPLES_BEGUN
AFTER_BAD_CCSD = IN_CCSD + NOT_CONVERGED + TRIPLES
WITH_MISSING = {'passed': False, 'problems': [{'kind': 'missing', 'message': 'CoulombVertex.yaml is missing.'}]}
WITH_SIZE = {'passed': False, 'problems': [{'kind': 'size', 'message': 'CoulombVertex.elements is truncated.'}]}
NO_PYTHON = '_aiidasubmit.sh: line 9: python3: command not found'
UNKNOWN = BANNER.split('Dry')[0] + "src/CoupledCluster.cxx(84): ERROR: Unknown method: 'X'\n"
OWN_ERROR = (
    BANNER.split('Dry')[0] + 'src/Some.cxx(5): ERROR: something is odd\ncc4s.in(3): ERROR: Caused by: a reason\n'
)


@pytest.mark.parametrize(
    ('run', 'code', 'kept'),
    [
        (made_up('', check=WITH_MISSING), 'ERROR_MISSING_TENSOR', []),
        (made_up('', check=WITH_SIZE), 'ERROR_INCONSISTENT_TENSORS', []),
        (made_up('', check=None, other_text=NO_PYTHON), 'ERROR_NOT_CHECKED', []),
        (made_up('Hello, world!'), 'ERROR_NO_OUTPUT', []),
        (made_up(UNKNOWN), 'ERROR_UNKNOWN_METHOD', []),
        (made_up(OWN_ERROR), 'ERROR_CC4S_FAILED', []),
        (made_up(STDOUT.replace('-0.020000000000000', '-0.000000000000000')), 'ERROR_INCONSISTENT_TENSORS', None),
        (made_up(IN_CCSD), 'ERROR_INTERRUPTED', ['mp2']),
        (made_up(IN_CCSD, other_text=TEXT_OF_SLURM), 'ERROR_OUT_OF_WALLTIME', ['mp2']),
        (made_up(IN_CCSD, other_text=OF_MEMORY), 'ERROR_OUT_OF_MEMORY', ['mp2']),
        (made_up('', check=None, other_text=TEXT_OF_SLURM), 'ERROR_OUT_OF_WALLTIME', []),
        (made_up(IN_CCSD + CRASH), 'ERROR_CC4S_FAILED', ['mp2']),
        (made_up(IN_CCSD + NOT_CONVERGED, triples=False), 'ERROR_NOT_CONVERGED', ['mp2']),
        (made_up(AFTER_BAD_CCSD), 'ERROR_NOT_CONVERGED', ['mp2']),
        (made_up(AFTER_BAD_CCSD, out_yaml(converged=False)), 'ERROR_NOT_CONVERGED', ['mp2']),
        (made_up(IN_TRIPLES), 'ERROR_INTERRUPTED', ['ccsd', 'mp2']),
        (made_up(IN_TRIPLES, out_yaml(n_steps=6)), 'ERROR_INTERRUPTED', ['ccsd', 'mp2']),
        (made_up(IN_TRIPLES + CRASH), 'ERROR_TRIPLES_FAILED', ['ccsd', 'mp2']),
        (made_up(IN_TRIPLES + CRASH.replace('8', '9')), 'ERROR_INTERRUPTED', ['ccsd', 'mp2']),
        (made_up(IN_TRIPLES, other_text=CRASH), 'ERROR_TRIPLES_FAILED', ['ccsd', 'mp2']),
        (made_up(IN_TRIPLES, other_text=TEXT_OF_SLURM), 'ERROR_OUT_OF_WALLTIME', ['ccsd', 'mp2']),
    ],
)
def test_every_way_to_end(run, code, kept):
    verdict, message = judge(run)
    assert verdict == code, message
    assert message.endswith(('.', '?')) or NO_PYTHON in message or 'Hello' in message
    if kept is not None:
        assert sorted(run.energies()) == kept


@pytest.mark.parametrize(
    ('said', 'code'),
    [('time', 'ERROR_OUT_OF_WALLTIME'), ('memory', 'ERROR_OUT_OF_MEMORY'), ('node', 'ERROR_INTERRUPTED')],
)
def test_what_the_scheduler_says_decides(said, code):
    assert judge(made_up(IN_TRIPLES + CRASH), said)[0] == code


def test_late_word_of_the_scheduler_does_not_spoil_a_complete_run():
    assert judge(made_up(other_text=TEXT_OF_SLURM), 'time') is None


def test_amplitudes_that_became_no_numbers_are_no_energy():
    text = (IN_CCSD + NOT_CONVERGED).replace('2.0000e-03', 'nan').replace('-3.50000000e-01', '-nan')
    run = made_up(text, triples=False)
    assert judge(run)[0] == 'ERROR_NOT_CONVERGED'
    assert summarise(run)['residuals'] == [0.3, 0.01, None]
    assert list(run.energies()) == ['mp2']


def test_exact_zero_is_the_triples_energy_of_two_electrons():
    text = STDOUT.replace('-0.020000000000000', '-0.000000000000000').replace('No: 2', 'No: 1')
    assert judge(made_up(text)) is None


@pytest.mark.parametrize('written', [True, False])
def test_second_order_alone(written):
    step = 'step: 6, SecondOrderPerturbationTheory\nContracting second order energy...\ncorrelation energy: -0.4\n'
    output = out_yaml(n_steps=5) + (
        '  5:\n    name: SecondOrderPerturbationTheory\n    in:\n      x: 1\n    out:\n      energy:\n'
        '        correlation: -0.4\n        unit: 1\n    statistics:\n      realtime: 1.0\n'
    )
    run = RecordedRun(
        [*ASKED[:5], 'SecondOrderPerturbationTheory'],
        CHECKED,
        output if written else '',
        f'{BANNER}{step}  singles:  0\nrealtime 1.0 s\n--\n',
    )
    assert judge(run) is None
    assert run.energies() == pytest.approx({'mp2': -0.4 * Hartree})


def test_unfinished_run_has_cost_what_its_iterations_took():
    summary = summarise(made_up(IN_CCSD))
    assert summary['seconds'] == 1.0 + 2.0 + 3.0
    assert summary['core_hours'] == pytest.approx(4 * 2 * 6.0 / 3600)


def test_progress_of_the_triples_is_told():
    summary = summarise(made_up(IN_TRIPLES))
    assert (summary['triples_percent'], summary['triples_continued']) == (40, False)
    warned = TRIPLES_BEGUN.replace('Progress', 'cc4s.in(49): WARNING: Checkpoint file found. Calculation\nProgress')
    assert summarise(made_up(IN_CCSD + CONVERGED + warned))['triples_continued']


def test_steps_of_the_triples_are_those_of_their_checkpoint(parse):
    # As Cc4s wrote it when it was killed; of the progress nothing had left its buffer.
    checkpoint = 'No: 8\nNv: 4\nNranks: 0\nNnodes: 0\nEnergy: -8.504219948852434188e-08\nIteration: 7\n'
    begun = IN_CCSD + CONVERGED + 'step: 7, PerturbativeTriples\n'
    files = {'cc4s.stdout': begun, 'check.json': json.dumps(CHECKED), 'atrip-checkpoint.yaml': checkpoint}
    results, node = parse(files)
    assert node.exit_status == Cc4sCalculation.exit_codes.ERROR_INTERRUPTED.status
    assert (results['summary']['triples_percent'], results['summary']['triples_iterations']) == (0, 7)


def test_star_energy_is_the_same_whether_its_pair_energies_were_used_up_before_or_not():
    # MP2 of 1.5 in the complete basis and 1.2 in this one scale (T) = -0.4 to -0.5.
    for printed, used_up in ((-0.5, False), (-0.1, True)):
        star = star_energies(-0.4, printed, used_up)
        assert star == pytest.approx({'triples_star': -0.5, 'triples_basis_set': -0.1})


def test_head_of_an_older_version():
    head = parse_stdout('  Coupled Cluster for Solids\nversion: heads/develop-0-g1, date: x\ntotal processes: 12\n')
    assert (head['version'], head['ranks']) == ('heads/develop-0-g1', 12)


@pytest.fixture
def parse(aiida_profile, aiida_localhost):
    """Parse the files of a job of CCSD(T)."""

    def parse_files(files, **ccsd):
        node = orm.CalcJobNode(computer=aiida_localhost, process_type=Cc4sCalculation.build_process_type())
        parameters = orm.Dict({'ccsd': ccsd, 'triples': {}}).store()
        node.base.links.add_incoming(parameters, link_type=LinkType.INPUT_CALC, link_label='parameters')
        node.store()
        retrieved = orm.FolderData()
        for name, content in files.items():
            retrieved.base.repository.put_object_from_bytes(content.encode(), name)
        retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='retrieved')
        retrieved.store()
        return Cc4sParser.parse_from_node(node, store_provenance=False)

    return parse_files


def test_parser_gives_energies_and_summary(parse):
    files = {'cc4s.stdout': STDOUT, 'cc4s.out.yaml': out_yaml(), 'check.json': json.dumps(CHECKED)}
    results, node = parse(files)
    assert node.is_finished_ok
    assert results['energies']['ccsd'] == pytest.approx(-0.35 * Hartree)
    assert results['summary']['tensors_checked']


def test_parser_takes_second_order_from_its_own_step_where_the_parameters_shift_the_levels(parse):
    step = 'step: 6, SecondOrderPerturbationTheory\ncorrelation energy: -0.5\nrealtime 1.0 s\n--\nstep: 7, Coupled'
    files = {'cc4s.stdout': STDOUT.replace('step: 6, Coupled', step), 'check.json': json.dumps(CHECKED)}
    results, node = parse(files, level_shift=0.25)
    assert node.is_finished_ok
    assert results['energies']['mp2'] == pytest.approx(-0.5 * Hartree)


def test_parser_keeps_ccsd_where_the_triples_crashed(parse):
    results, node = parse({'cc4s.stdout': IN_TRIPLES + CRASH, 'check.json': json.dumps(CHECKED)})
    assert node.exit_status == Cc4sCalculation.exit_codes.ERROR_TRIPLES_FAILED.status == 430
    assert 'signal 8' in node.exit_message
    assert set(results['energies'].get_dict()) == {'mp2', 'ccsd'}


def test_parser_keeps_nothing_of_bad_tensors(parse):
    garbage = STDOUT.replace('-0.020000000000000', '-0.000000000000000')
    results, node = parse({'cc4s.stdout': garbage, 'check.json': json.dumps(CHECKED)})
    assert node.exit_status == Cc4sCalculation.exit_codes.ERROR_INCONSISTENT_TENSORS.status == 211
    assert 'energies' not in results


def test_parser_of_an_empty_folder(parse):
    _, node = parse({})
    assert node.exit_status == Cc4sCalculation.exit_codes.ERROR_NOT_CHECKED.status


def test_what_may_end_otherwise_never_comes_from_the_cache():
    codes = Cc4sCalculation.exit_codes
    for name in ('OUT_OF_WALLTIME', 'OUT_OF_MEMORY', 'INTERRUPTED', 'MISSING_TENSOR', 'NO_OUTPUT', 'TRIPLES_FAILED'):
        assert codes[f'ERROR_{name}'].invalidates_cache, name
    assert not codes.ERROR_NOT_CONVERGED.invalidates_cache
