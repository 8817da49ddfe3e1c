"""What a person types, and the sentences for what cannot be."""

import click
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.cli.inputs import read_methods, read_overrides, read_settings, read_structure
from tests.cli.conftest import last_line


def test_settings_become_nested_inputs_with_yaml_values():
    found = read_settings(
        ['cc_energies.selection.n=16', 'delta_train.seeds=[1, 2]', 'cc_energies.engine.basis=gth-szv']
    )
    assert found == {
        'cc_energies': {'selection': {'n': 16}, 'engine': {'basis': 'gth-szv'}},
        'delta_train': {'seeds': [1, 2]},
    }


def test_a_number_in_scientific_notation_is_a_number():
    assert read_settings(['a=1e-6'])['a'] == pytest.approx(1e-6)


@pytest.mark.parametrize('assignment', ['n', '.n=1', 'a..b=1', '=1'])
def test_an_assignment_that_is_none_is_refused(assignment):
    with pytest.raises(click.UsageError, match=r'path\.to\.input=value'):
        read_settings([assignment])


def test_an_input_cannot_be_a_value_and_a_branch():
    with pytest.raises(click.UsageError, match='already has a value'):
        read_settings(['a=1', 'a.b=2'])


def test_methods_are_read_in_their_order():
    assert read_methods('HF, CCSD(T)') == ['HF', 'CCSD(T)']


@pytest.mark.parametrize(('text', 'word'), [('HF,3MP', '3MP'), ('ML(HF)', 'force field'), (',', 'No method')])
def test_an_unknown_method_is_named(text, word):
    with pytest.raises(click.UsageError, match=word):
        read_methods(text)


def test_a_molecule_is_no_crystal(tmp_path, aiida_profile):
    Atoms('HF', positions=[[0, 0, 0], [0, 0, 0.9]]).write(tmp_path / 'hf.xyz')
    with pytest.raises(click.UsageError, match='three lattice vectors'):
        read_structure(str(tmp_path / 'hf.xyz'))


def test_a_file_that_is_no_structure_is_a_sentence(tmp_path, aiida_profile):
    (tmp_path / 'poem.cif').write_text('no structure')
    with pytest.raises(click.UsageError, match='cannot read a structure from'):
        read_structure(str(tmp_path / 'poem.cif'))


def test_a_file_that_is_not_there_is_a_sentence(command):
    assert 'There is no file lif.cif' in last_line(command('launch', 'lif.cif', '--dry-run'))


BY_DYNAMICS = ('--set', 'sampling.kind=md')


@pytest.fixture
def lif(tmp_path):
    """Return a file with the conventional cell of LiF."""
    path = tmp_path / 'lif.cif'
    bulk('LiF', 'rocksalt', a=4.03, cubic=True).write(path)
    return path


@pytest.fixture
def code(aiida_profile):
    """Return the label of a code that could run the jobs."""
    from aiida import orm

    label = 'inputs'
    if not orm.QueryBuilder().append(orm.Computer, filters={'label': label}).count():
        computer = orm.Computer(label, 'localhost', transport_type='core.local', scheduler_type='core.direct').store()
        orm.InstalledCode(label='python', computer=computer, filepath_executable='/usr/bin/python3').store()
    return f'python@{label}'


def test_a_dry_run_prints_the_jobs_of_every_stage_and_submits_nothing(command, lif, code):
    from aiida import orm

    before = orm.QueryBuilder().append(orm.ProcessNode).count()
    result = command('launch', lif, '--protocol', 'fast', '--code', code, '--dry-run')
    assert result.exit_code == 0, result.output
    jobs = {line.split()[0]: int(line.split()[1]) for line in result.output.splitlines() if ' job' in line}
    assert jobs == {
        'reference': 1,
        'thermal_structures': 2,
        'cc_energies': 3,
        'delta_train': 3,
        'harmonic_phonon': 5,
        'vacf': 2,
        'together': 16,
    }
    assert orm.QueryBuilder().append(orm.ProcessNode).count() == before


def plan_of(command, lif, code, *words) -> dict[str, int]:
    """Return the jobs of each stage that a dry run tells."""
    result = command('launch', lif, '--code', code, '--dry-run', *words)
    assert result.exit_code == 0, result.output
    return {line.split()[0]: int(line.split()[1]) for line in result.output.splitlines() if ' job' in line}


def test_cheap_methods_of_all_snapshots_and_costly_ones_of_some_are_counted_apart(command, lif, code):
    """50 structures: 25 with all methods in 4 jobs of 8, HF and MP2 of the other 25 in 4 more."""
    jobs = plan_of(command, lif, code, '--protocol', 'balanced')
    assert jobs['cc_energies'] == 4 + 4
    assert jobs['delta_train'] == 3 + 1, 'three bases, one fit'


def test_the_control_and_a_network_for_each_delta_are_counted(command, lif, code):
    jobs = plan_of(command, lif, code, '--protocol', 'paper')
    assert jobs['cc_energies'] == 200 / 8
    assert jobs['delta_train'] == 5 + 4 * 5 + 5
    assert jobs['harmonic_phonon'] == 1 + 1 + 4


def test_frozen_phonons_are_counted_before_there_are_forces(command, lif, code):
    """Rocksalt has one optical mode at Γ and four frequencies at X, of two symmetries: with two references, seven
    structures in a job of eight, nine if the pairs are coupled, and sixteen in two amplitudes. One more is of DFT."""
    both = plan_of(command, lif, code, '--protocol', 'fast', '--set', 'cc_energies.batch_size=1')
    assert both['cc_energies'] == 1 + 16
    once = ['--set', 'cc_energies.selection.second_amplitude=null']
    assert plan_of(command, lif, code, '--protocol', 'fast', *once)['cc_energies'] == 1 + 2
    alone = [*once, '--set', 'cc_energies.selection.coupled=false']
    assert plan_of(command, lif, code, '--protocol', 'fast', *alone)['cc_energies'] == 1 + 1


def test_rounds_are_counted_to_their_end(command, lif, code):
    rounds = 'cc_energies.rounds={target_sd_cm1: 2, qpoints: {X: [0.5, 0, 0.5]}, first: 10, step: 5, most: 30}'
    assert plan_of(command, lif, code, '--protocol', 'paper', '--set', rounds)['cc_energies'] == 4


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (['--protocol', 'quick'], "unknown protocol 'quick': choose from fast, balanced, stringent, paper."),
        (['--set', 'cc_energies.selection.kind=frozen-phonon', '--set', 'cc_energies.selection.n=3'], 'selection.n`'),
        (['--set', 'cc_energies.selection.per_method.CCSDT.kind=all'], "`per_method` names 'CCSDT'"),
        (['--set', 'delta_train.delta.compare=[linear]'], "unknown kind of Δ 'linear' to compare with"),
        (['--set', 'cc_energies.selection.m=1'], 'unknown setting `selection.m`: choose from'),
        (['--set', 'nothing=1'], 'unknown override `nothing`: choose from'),
        (
            ['--methods', 'MP5'],
            'the engine pyscf calculates no MP5 energies: choose from HF, MP2, CCSD, CCSD(T), use the engine',
        ),
        (
            ['--set', 'cc_energies.selection.kind=foo'],
            "cc_energies: `selection.kind` is 'foo': choose from random, every, all, optimal, frozen-phonon",
        ),
        (
            ['--set', 'cc_energies.selection.per_method.HF.kind=foo'],
            "cc_energies: `selection.per_method.HF.kind` is 'foo': choose from random",
        ),
        (
            ['--set', 'cc_energies.rounds.first=2'],
            'cc_energies: the setting `rounds.target_sd_cm1` is missing',
        ),
        (
            ['--set', 'vacf.md.parameters.ensemble=npt'],
            "vacf: `md.parameters.ensemble` is 'npt': choose from langevin, nve",
        ),
        (
            [*BY_DYNAMICS, '--set', 'dft_md.md.parameters.keep_trajectory=maybe'],
            "`md.parameters.keep_trajectory` is 'maybe'",
        ),
        (
            [*BY_DYNAMICS, '--set', 'dft_md.md.parameters.n_steps=-3'],
            '`md.parameters.n_steps` is -3, but must be at least 1',
        ),
        (
            [*BY_DYNAMICS, '--set', 'dft_md.md.parameters.n_steps=0'],
            '`md.parameters.n_steps` is 0, but must be at least 1',
        ),
        (['--set', 'delta_train.seeds=[1,1]'], 'a seed is given twice'),
        (['--set', 'harmonic_phonon.supercell_matrix=[1,2]'], 'supercell matrix'),
        (
            ['--set', 'cc_energies.selection.kind=random', '--set', 'cc_energies.selection.n=3'],
            '3 structures will have CCSD energies, but the fit of Δ needs at least 4',
        ),
        (['--code', 'nowhere'], 'There is no code nowhere'),
    ],
)
def test_what_cannot_be_is_one_sentence(command, lif, code, words, sentence):
    result = command('launch', lif, '--code', code, '--dry-run', *words)
    assert result.exit_code != 0
    assert sentence in last_line(result)


def test_a_file_of_overrides_is_checked_as_single_settings_are(command, lif, code, tmp_path):
    path = tmp_path / 'overrides.yaml'
    path.write_text('sampling: {kind: md}\ndft_md:\n  md:\n    parameters: {record_every: 0}\n')
    result = command('launch', lif, '--code', code, '--dry-run', '--overrides', path)
    assert result.exit_code != 0
    assert 'dft_md: `md.parameters.record_every` is 0, but must be at least 1' in last_line(result)


def test_without_a_daemon_nothing_is_submitted(command, lif, code):
    result = command('launch', lif, '--protocol', 'fast', '--code', code)
    assert 'The daemon is not running' in last_line(result)


def test_a_file_overrides_the_protocol_and_set_overrides_the_file(command, lif, code, tmp_path):
    path = tmp_path / 'settings.yaml'
    path.write_text('methods: [HF]\ndelta_train: {seeds: [1, 2, 3, 4]}\n')
    words = ['--protocol', 'fast', '--overrides', path]
    jobs = plan_of(command, lif, code, *words)
    assert jobs['delta_train'] == 4 + 1, 'four bases and a fit'
    assert jobs['harmonic_phonon'] == 2, 'DFT and HF'
    words += ['--set', 'delta_train.seeds=[1]']
    assert plan_of(command, lif, code, *words)['delta_train'] == 1 + 1


@pytest.mark.parametrize('text', ['- methods', 'a: [', 'HF'])
def test_a_file_that_overrides_nothing_is_a_sentence(tmp_path, text):
    (tmp_path / 'settings.yaml').write_text(text)
    with pytest.raises(click.UsageError, match=r'cannot be read as YAML|must be a mapping of inputs'):
        read_overrides(tmp_path / 'settings.yaml')


BORN = """14.4
2.0 0 0 0 2.0 0 0 0 2.0
1.0 0 0 0 1.0 0 0 0 1.0
{charge} 0 0 0 {charge} 0 0 0 {charge}
"""


def test_born_charges_go_to_the_phonons(command, lif, code, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr('aiida_mlcc.cli.plan.lines', lambda inputs, *_: given.update(inputs) or [])
    (tmp_path / 'BORN').write_text(BORN.format(charge=-1.0))
    result = command('launch', lif, '--code', code, '--dry-run', '--nac', tmp_path / 'BORN')
    assert result.exit_code == 0, result.output
    for stage in ('delta_train', 'harmonic_phonon'):
        assert given[stage]['nac'].get_content() == BORN.format(charge=-1.0)
        assert 'nac_other' not in given[stage]
    result = command('launch', lif, '--code', code, '--dry-run', *2 * ('--nac', tmp_path / 'BORN'))
    assert result.exit_code == 0, result.output
    assert 'nac_other' in given['delta_train']
    assert 'more than twice' in last_line(command('launch', lif, '--dry-run', *3 * ('--nac', tmp_path / 'BORN')))


def test_born_charges_that_do_not_add_up_are_refused_before_anything_runs(command, lif, code, tmp_path):
    (tmp_path / 'BORN').write_text(BORN.format(charge=1.0))
    result = command('launch', lif, '--code', code, '--dry-run', '--nac', tmp_path / 'BORN')
    assert result.exit_code != 0
    assert 'harmonic_phonon' in last_line(result)


def test_a_node_without_charges_is_no_born_file(command, lif, code, aiida_profile):
    from aiida import orm

    node = orm.Int(1).store()
    result = command('launch', lif, '--code', code, '--dry-run', '--nac', node.uuid)
    assert 'contains no Born charges' in last_line(result)


def test_without_a_structure_the_question_is_asked(command, code):
    assert 'Which crystal?' in last_line(command('launch', '--code', code, '--dry-run'))


def test_the_program_for_meshes_reaches_the_integrals(command, lif, code, monkeypatch):
    from aiida.orm import load_code

    found = {}

    def build(structure, code, protocol, overrides, **given):
        found.update(overrides, **given)
        raise click.UsageError('enough')

    monkeypatch.setattr('aiida_mlcc.cli.inputs.build', build)
    words = ['--code', code, '--vasp-code', code, '--vasp-kpoints-code', code]
    assert 'enough' in last_line(command('launch', lif, *words))
    assert found['cc_energies']['vasp']['code_kpoints'].uuid == load_code(code).uuid
    assert found['vasp_code'].full_label == code


@pytest.mark.parametrize('given', ['hf,ccsd_t', 'HF, ccsd(t)', ['hf', 'CCSD_T']])
def test_methods_are_known_by_name_and_slug_in_any_case(given):
    assert read_methods(given) == ['HF', 'CCSD(T)']


@pytest.mark.parametrize(
    'text', [pytest.param('methods: HF\n', marks=pytest.mark.nightly), 'methods: [hf]\nvacf_methods: hf\n']
)
def test_one_method_in_a_file_needs_no_list(command, lif, code, tmp_path, text):
    (tmp_path / 'one.yaml').write_text(text)
    words = ['--protocol', 'FAST', '--overrides', tmp_path / 'one.yaml']
    assert plan_of(command, lif, code, *words)['harmonic_phonon'] == 2, 'DFT and HF'


def test_numbers_and_names_with_commas_are_lists_of_inputs_and_names_of_the_scheduler():
    found = read_settings(['delta_train.seeds=1,2', 'delta_train.delta.compare=readout,mace', 'a=[1, 2]', 'b=1'])
    assert found == {'delta_train': {'seeds': [1, 2], 'delta': {'compare': ['readout', 'mace']}}, 'a': [1, 2], 'b': 1}
    assert read_settings(['queue_name=long,short'], '--option') == {'queue_name': 'long,short'}


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (['--option', 'queue=gpu'], '--option queue: AiiDA does not know this scheduler option; choose from'),
        (['--train-option', 'queue=gpu'], '--train-option queue: AiiDA does not know'),
        (['--set', 'methods=3'], '`methods` is 3: give methods'),
        (['--set', 'vacf_methods={a: 1}'], '`vacf_methods` is'),
    ],
)
def test_no_option_ends_in_a_traceback(command, lif, code, words, sentence):
    result = command('launch', lif, '--code', code, '--dry-run', '--protocol', 'fast', *words)
    assert result.exit_code != 0
    assert sentence in last_line(result)
