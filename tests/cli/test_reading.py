"""Commands that read a finished run: status, results, plot, trace, export."""

import json

import pytest
from aiida import orm
from aiida.plugins import DataFactory

from aiida_mlcc.report.data.results import results_of
from tests.cli.conftest import at_home, last_line
from tests.graphs import LABELLED


def test_results_json_is_that_of_the_report(command, run):
    result = command('results', run.master.uuid, '--json')
    assert result.exit_code == 0
    assert json.loads(result.output) == results_of(run.master)


@pytest.mark.parametrize('name', ['pk', 'uuid', 'label'])
def test_a_run_is_found_by_pk_uuid_and_label(command, run, name):
    assert 'CCSD(T)' in command('results', getattr(run.master, name)).output


def test_an_output_leads_to_its_run(command, run):
    by_output = command('results', run.dispersion['HF'].uuid, '--json').output
    assert by_output == command('results', run.master.uuid, '--json').output


def test_results_name_what_is_missing_and_what_is_unstable(command, run):
    text = command('results', run.master.pk).output
    assert 'HF did not converge' in text
    assert 'the lowest -12 cm⁻¹ at (0.5 0.5 0.5)' in text


@pytest.mark.parametrize('words', [('results',), ('status',), ('trace',), ('plot', '-o', 'figure.png')])
def test_an_identifier_nobody_has_is_a_sentence(command, run, words):
    result = command(*words, 'nobody')
    assert result.exit_code != 0
    assert "No node has the PK, UUID or label 'nobody'" in last_line(result)


def test_a_node_of_another_kind_is_a_sentence(command, run):
    result = command('results', orm.Int(1).store().pk)
    assert 'is not a process, and no WorkChain' in last_line(result)


def test_status_tells_the_reason_of_what_failed(command, run):
    result = command('status', run.master.pk)
    assert result.exit_code == 0
    assert 'MLCCPhononWorkChain' in result.output
    assert 'cc_energies, snapshot 2: HF did not converge' in result.output


def test_status_shows_every_job_when_asked(command, run):
    assert f'batch_000 CorrelateCalculation<{run.correlate.pk}>' in command('status', run.master.pk, '--all').output


def test_trace_lists_each_energy_with_its_job(command, run):
    lines = command('trace', run.dispersion['CCSD(T)'].uuid).output.splitlines()
    rows = [line.split() for line in lines if line.split()[:1] == ['CCSD(T)']]
    assert [int(row[1]) for row in rows] == list(LABELLED)
    assert {row[3] for row in rows} == {run.correlate.uuid}


def test_trace_of_a_run_as_json_has_every_method(command, run):
    found = json.loads(command('trace', run.master.uuid, '--json').output)
    assert set(found) == {'LDA', 'HF', 'CCSD(T)'}
    assert found['HF']['seeds'] == [5192, 5391]


def test_trace_of_a_method_without_a_dispersion_is_a_sentence(command, run):
    assert "no dispersion of 'CCSD'" in last_line(command('trace', run.master.uuid, '--method', 'CCSD'))


def test_plot_writes_the_file(command, run, tmp_path):
    target = tmp_path / 'bands.svg'
    assert command('plot', run.master.uuid, '-o', target).exit_code == 0
    assert '<svg' in target.read_text()


def test_plot_refuses_an_ending_it_does_not_know(command, run, tmp_path):
    assert 'must end in one of .png, .svg, .pdf' in last_line(
        command('plot', run.master.uuid, '-o', tmp_path / 'a.gif')
    )


@pytest.mark.nightly
def test_an_archive_imported_into_an_empty_profile_gives_the_same_json(command, run, home, tmp_path):
    target = tmp_path / 'run.aiida'
    result = command('export', run.master.uuid, '-o', target)
    assert result.exit_code == 0, result.output
    place = {'AIIDA_PATH': str(home / '.aiida-mlcc')}
    imported = at_home(home, 'archive', 'import', str(target), program='verdi', **place)
    assert imported.returncode == 0, imported.stderr
    there = at_home(home, 'results', run.master.uuid, '--json', **place)
    assert there.stdout == command('results', run.master.uuid, '--json').output


def test_a_run_that_is_not_over_is_not_exported(command, run, tmp_path):
    unfinished = orm.WorkChainNode().store()
    result = command('export', unfinished.pk, '-o', tmp_path / 'run.aiida')
    assert 'some processes have not finished' in last_line(result)
    assert not (tmp_path / 'run.aiida').exists()


def test_export_overwrites_only_when_forced(command, run, tmp_path):
    target = tmp_path / 'run.aiida'
    target.write_text('mine')
    assert '--force overwrites it' in last_line(command('export', run.master.uuid, '-o', target))
    assert target.read_text() == 'mine'


def test_licensed_potentials_are_not_exported(command, run, tmp_path, monkeypatch):
    node = _potential(monkeypatch)
    result = command('export', node.pk, '-o', tmp_path / 'potential.aiida')
    assert 'licensed potentials' in last_line(result)
    assert not (tmp_path / 'potential.aiida').exists()


def _potential(monkeypatch) -> orm.Data:
    """Store an empty node of the type in which aiida-vasp keeps potentials."""
    node_class = DataFactory('vasp.potcar_file')
    monkeypatch.setattr(node_class, '_validate', lambda self: True)
    monkeypatch.setattr(node_class, 'store', orm.Data.store)
    return node_class().store()
