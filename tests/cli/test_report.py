"""``aiida-mlcc report``."""

import pytest
from aiida import orm

from aiida_mlcc.cli.report import write_what_there_is
from tests.cli.conftest import last_line

REFERENCE = """points:
  - {label: X, modes: [6], value: 10, unit: THz, uncertainty: 0.1, kind: neutron, citation: A. Person}
"""


@pytest.mark.nightly
def test_report_writes_the_page_with_the_references_and_tells_the_residuals(command, run, tmp_path):
    reference, folder = tmp_path / 'mine.yaml', tmp_path / 'a' / 'report'
    reference.write_text(REFERENCE)
    result = command('report', run.master.uuid, '-o', folder, '--reference', reference)
    assert result.exit_code == 0, result.output
    assert 'CCSD(T) at X, modes 6: 320.0 ± 4.0, neutron 333.6, difference -13.6 cm⁻¹' in result.output
    assert 'A. Person' in (folder / 'index.html').read_text()
    assert (folder / 'residuals.csv').is_file()
    assert last_line(result).startswith(f'wrote {folder}/index.html and ')


def test_a_reference_of_unknown_unit_is_a_sentence(command, run, tmp_path):
    reference = tmp_path / 'mine.yaml'
    reference.write_text(REFERENCE.replace('THz', 'eV'))
    result = command('report', run.master.uuid, '-o', tmp_path / 'report', '--reference', reference)
    assert result.exit_code != 0
    assert "unknown unit 'eV': give one of cm-1, THz, meV" in last_line(result)
    assert not (tmp_path / 'report').exists()


def test_a_run_without_curves_is_a_sentence(command, run, tmp_path):
    node = orm.WorkChainNode()
    node.set_process_label('MLCCPhononWorkChain')
    result = command('report', node.store().pk, '-o', tmp_path / 'report')
    assert 'has no curve to report' in last_line(result)


@pytest.mark.parametrize('name', ['file', 'file/below'])
def test_a_folder_that_cannot_be_is_a_sentence(command, run, tmp_path, name):
    (tmp_path / 'file').write_text('mine')
    result = command('report', run.master.uuid, '-o', tmp_path / name)
    assert result.exit_code != 0
    assert 'file' in last_line(result)


def test_at_the_end_of_a_run_a_page_that_cannot_be_is_told_and_not_raised(run, tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    write_what_there_is(run.master, tmp_path / 'file')
    assert capsys.readouterr().out.startswith('No page: ')
