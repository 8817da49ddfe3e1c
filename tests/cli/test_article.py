"""``aiida-mlcc article``: from the published files to the inputs of a run."""

import sys

import click
import pytest
from aiida import orm
from ase import Atoms

from aiida_mlcc.cli.article import prepare, settings_of
from aiida_mlcc.cli.setup import CODE, COMPUTER
from aiida_mlcc.science.crystal.cells import primitive_cell
from aiida_mlcc.science.dataset.published_data import MLPHONONS
from aiida_mlcc.science.labels.methods import WAVEFUNCTION_METHODS
from tests.cli.conftest import last_line, publish
from tests.published_files import crystal, forces_of, structures, write

pytestmark = pytest.mark.usefixtures('forget')


@pytest.fixture
def lih(tmp_path, monkeypatch, aiida_profile):
    """Return a folder with six frames of LiH in place of the published ones, and make the code that `setup` makes."""
    label = f'{CODE}@{COMPUTER}'
    monkeypatch.setattr('aiida_mlcc.cli.inputs.read_code', lambda _: _code(label))
    frames = structures(amplitude=0.01)
    energies = [-10.0 + 0.01 * number for number in range(frames.n_frames)]
    paths = {'LDA': write(tmp_path / 'lda.xyz', frames, energies, forces_of(frames))}
    paths |= {method: write(tmp_path / f'{method}.xyz', frames, energies) for method in WAVEFUNCTION_METHODS}
    return publish('lih', paths, tmp_path / 'published', monkeypatch)


def _code(label: str) -> orm.InstalledCode:
    name, _, host = label.partition('@')
    computer = orm.Computer(f'{host}-article', 'localhost', transport_type='core.local', scheduler_type='core.direct')
    return orm.InstalledCode(label=name, computer=computer.store(), filepath_executable='/usr/bin/python3').store()


def test_every_crystal_of_the_article_has_settings():
    for name in MLPHONONS:
        settings = settings_of(name)
        assert len(settings['delta_train']['seeds']) == 5, 'the five members of the article'
        assert settings['methods'] == list(WAVEFUNCTION_METHODS)


def test_published_energies_and_born_charges_are_the_inputs_of_the_run(lih):
    builder = prepare('lih', lih)
    inputs = builder._inputs(prune=True)
    assert inputs['snapshots'].label == 'mlphonons-lih'
    assert 'cc_energies' not in inputs
    assert 'dft_md' not in inputs
    found: Atoms = inputs['structure'].get_ase()
    assert found.get_chemical_formula() == 'HLi'
    assert found.get_volume() == pytest.approx(primitive_cell(crystal()).get_volume(), rel=1e-6)
    assert 'nac' in inputs['harmonic_phonon']


@pytest.mark.parametrize(
    ('words', 'again'),
    [
        ((), 'aiida-mlcc article lih --path mlcc-article'),
        (('-p', 'mine'), 'aiida-mlcc article lih -p mine'),
        (('--path', 'a folder', '--from', '.'), "aiida-mlcc article lih --from . --path 'a folder'"),
    ],
)
def test_what_goes_on_after_an_interruption_is_the_same_command(command, monkeypatch, words, again):
    told = []
    module = sys.modules['aiida_mlcc.cli.article']
    monkeypatch.setattr(module, 'run_to_the_end', lambda *given: told.append(given[-1]) or stop())
    assert 'enough' in last_line(command('article', 'lih', *words))
    assert told == [again]


def stop():
    raise click.UsageError('enough')


def test_a_data_set_without_its_crystal_is_a_sentence(lih, monkeypatch):
    monkeypatch.setattr('aiida_mlcc.cli.dataset_nodes.structure_of', lambda _: None)
    with pytest.raises(click.ClickException, match='The crystal of mlphonons-lih is no longer in this profile'):
        prepare('lih', lih)


def test_the_published_files_make_a_run_of_either_crystal(published_data, aiida_profile, monkeypatch):
    code = _code('python@published')
    monkeypatch.setattr('aiida_mlcc.cli.inputs.read_code', lambda _: code)
    for name, base in (('diamond', 'PBE'), ('lih', 'LDA')):
        snapshots = prepare(name, published_data).snapshots
        assert snapshots.methods == [base, *WAVEFUNCTION_METHODS]
        assert snapshots.n_frames == 200
