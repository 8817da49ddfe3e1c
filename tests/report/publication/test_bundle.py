"""The bundle of a finished run: a reader finds everything, and a changed digit; nothing of the maker is in it."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from aiida import orm
from ase.io import read

from aiida_mlcc.report.publication import bundle as publication
from aiida_mlcc.report.publication.bare import run_bare
from aiida_mlcc.report.publication.build import write_sums
from aiida_mlcc.report.publication.privacy import PrivacyReport
from aiida_mlcc.report.publication.private_names import Secrets
from aiida_mlcc.report.publication.request import Author, Refused
from aiida_mlcc.report.publication.verify_bundle import check, files_of, read_table, wrong_sums
from aiida_mlcc.science.labels.extxyz import read_extxyz

METHODS = ['LDA', 'HF', 'CCSD(T)']


@pytest.fixture(scope='module')
def curves(bundle):
    (run,) = json.loads((bundle / 'curves.json').read_text())['runs']
    return run


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / 'copy')


def verify(bundle):
    """Run the command in a process of its own: it opens the archive as the profile."""
    command = [sys.executable, '-c', 'from aiida_mlcc.cli import cli; cli()', 'verify', str(bundle)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_files_are_there(bundle):
    expected = """README.md metadata.yaml CITATION.cff LICENSE SHA256SUMS PRIVACY.md ro-crate-metadata.json
    archive.aiida curves.json results.json schema/curves.schema.json schema/results.schema.json data/bands_ccsd_t.csv
    labels/hf.extxyz models/hf/README.md models/hf/seed_5192/weights.safetensors phonopy/hf/phonopy.yaml
    phonopy/hf/band.yaml figures/make_figures.py figures/captions.md figures/dispersion.pdf figures/dispersion.svg
    report/index.html verify.py trace.py environment.lock"""
    assert [name for name in expected.split() if not (bundle / name).is_file()] == []


@pytest.mark.nightly
def test_it_is_small(published):
    assert sum((published / name).stat().st_size for name in files_of(published)) < 15e6


def test_it_agrees_with_itself(bundle):
    assert [problems for _, problems in check(bundle) if problems] == []


def test_every_number_of_a_dispersion_is_traced_to_an_array(curves):
    (entry,) = (curve for curve in curves['curves'] if curve['id'] == 'bands_ccsd_t')
    assert {'mean', 'min', 'max', 'sd', 'seed_5192', 'seed_5391'} <= set(entry['columns'])
    assert len(entry['jobs']) == len(set(entry['jobs'])) > 1


@pytest.mark.parametrize(
    ('name', 'found_in'),
    [
        ('data/bands_hf.csv', 'the CSV files have the numbers'),
        ('data/dos_ccsd_t.csv', 'the CSV files have the numbers'),
        ('data/thermal_lda.csv', 'the CSV files have the numbers'),
        ('data/special_points_hf.csv', 'the special points'),
        ('labels/ccsd_t.extxyz', 'the labels'),
        ('curves.json', 'the labels'),
        ('models/hf/seed_5192/force_field.json', 'the models'),
    ],
)
def test_a_digit_is_found_even_where_the_checksums_were_made_anew(copy, name, found_in):
    path = copy / name
    content = path.read_text()
    at = _a_digit_of(content, name)
    path.write_text(content[:at] + str((int(content[at]) + 1) % 10) + content[at + 1 :])
    assert any(name in problem for problem in wrong_sums(copy))
    write_sums(copy)
    wrong = [what for what, problems in check(copy) if problems]
    assert any(what.startswith(found_in) for what in wrong)


def _a_digit_of(content, name):
    """Return where a significant digit of a number in the middle of a file stands."""
    if name.endswith('.csv'):
        start = content.rindex('\n', 0, len(content) // 2) + 1
        mean = (
            content.splitlines()[0].split(',').index(next(c for c in content.split('\n')[0].split(',') if 'mean' in c))
        )
        cells = content[start:].split('\n')[0].split(',')
        start += sum(len(cell) + 1 for cell in cells[:mean])
    elif name.endswith('.extxyz'):
        start = content.index(' energy_ccsd_t=-', len(content) // 2) + len(' energy_ccsd_t=-')
    elif name == 'curves.json':
        start = content.index('"energy_eV": -', content.index('"slug": "hf"')) + len('"energy_eV": -')
    else:
        start = content.index('"content_hash"') if '"content_hash"' in content else 0
    return next(at for at in range(start, len(content)) if content[at].isdigit())


def test_a_file_that_was_added_or_removed_is_found(copy):
    (copy / 'more.txt').write_text('')
    (copy / 'PRIVACY.md').unlink()
    assert wrong_sums(copy) == ['PRIVACY.md is missing', 'more.txt is not listed in SHA256SUMS']


def test_the_folder_of_the_maker_is_not_in_the_archive(bundle, folder_of_maker):
    folder = folder_of_maker.encode()
    with zipfile.ZipFile(bundle / 'archive.aiida') as archive:
        assert [name for name in archive.namelist() if folder in archive.read(name)] == []


@pytest.mark.nightly
def test_the_folder_of_the_maker_is_in_no_file(published, folder_of_maker):
    folder = folder_of_maker.encode()
    assert [name for name in files_of(published) if folder in (published / name).read_bytes()] == []


def test_the_profile_is_as_it_was(bundle, published_run, folder_of_maker):
    jobs = [node for node in published_run.called_descendants if isinstance(node, orm.CalcJobNode)]
    assert all(job.get_remote_workdir().startswith(folder_of_maker) for job in jobs)
    assert all(job.outputs.remote_folder.get_remote_path().startswith(folder_of_maker) for job in jobs)


def test_labels_are_read_by_ase_and_by_the_package(bundle, published_run):
    snapshots = published_run.outputs.snapshots.get_snapshots()
    frames = snapshots.labelled_by('CCSD(T)')
    expected = snapshots.labels['CCSD(T)'].energies[frames]
    images = read(bundle / 'labels/ccsd_t.extxyz', ':')
    assert [atoms.get_potential_energy() for atoms in images] == list(expected)
    assert {atoms.info['training_set'] for atoms in images} == {published_run.outputs.snapshots.uuid}
    labels = read_extxyz(bundle / 'labels/ccsd_t.extxyz').labels
    assert set(labels) == {'LDA', 'CCSD(T)'}
    assert np.array_equal(labels['LDA'].energies, snapshots.labels['LDA'].energies[frames])


def test_phonopy_reads_its_file_and_gives_the_bands_of_the_other(bundle):
    import phonopy

    phonon = phonopy.load(bundle / 'phonopy/hf/phonopy.yaml', log_level=0)
    bands = yaml.safe_load((bundle / 'phonopy/hf/band.yaml').read_text())
    point = bands['phonon'][-1]
    phonon.run_qpoints([point['q-position']])
    expected = [mode['frequency'] for mode in point['band']]
    assert phonon.get_qpoints_dict()['frequencies'][0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.nightly
def test_a_bare_environment_draws_every_figure(published, curves, tmp_path):
    done = run_bare(published / 'figures/make_figures.py', ('numpy', 'matplotlib'), ('-o', str(tmp_path)))
    assert done.returncode == 0, done.stderr
    named = {name.removeprefix('figures/') for figure in curves['figures'] for name in figure['files']}
    assert {path.name for path in tmp_path.iterdir()} == named
    assert (tmp_path / 'members.svg').read_bytes() == (published / 'figures/members.svg').read_bytes()


def test_a_bare_environment_has_nothing_else(tmp_path):
    (tmp_path / 'script.py').write_text('import scipy')
    assert "No module named 'scipy'" in run_bare(tmp_path / 'script.py', ('numpy',)).stderr


def test_every_figure_has_a_caption_with_its_sources(bundle, curves):
    text = (bundle / 'figures/captions.md').read_text()
    assert {figure['name'] for figure in curves['figures']} >= {'dispersion', 'members', 'spectra', 'brillouin_zone'}
    assert all(figure['caption'] in text for figure in curves['figures'])
    assert all(curve['csv'] in text for curve in curves['curves'] if curve['kind'] == 'bands')


def test_metadata_and_citation_name_the_authors(bundle):
    metadata = yaml.safe_load((bundle / 'metadata.yaml').read_text())
    assert metadata['zenodo']['creators'] == [
        {'name': 'Carberry, Josiah', 'affiliation': 'Brown University', 'orcid': '0000-0002-1825-0097'}
    ]
    assert len(metadata['materials_cloud_archive']['keywords']) >= 3
    citation = yaml.safe_load((bundle / 'CITATION.cff').read_text())
    assert {'cff-version', 'message', 'title', 'authors'} <= set(citation)
    assert citation['authors'][0]['orcid'] == 'https://orcid.org/0000-0002-1825-0097'


def test_a_figure_leads_through_the_crate_to_its_nodes(bundle, curves):
    entities = {
        entity['@id']: entity for entity in json.loads((bundle / 'ro-crate-metadata.json').read_text())['@graph']
    }
    drawn = next(e for e in entities.values() if {'@id': 'figures/members.pdf'} in _listed(e.get('result')))
    assert drawn['instrument'] == {'@id': 'figures/make_figures.py'}
    written = next(e for e in entities.values() if e.get('result') == {'@id': 'data/bands_hf.csv'})
    assert {'@id': 'data/bands_hf.csv'} in drawn['object']
    (node,) = (curve['nodes'][0] for curve in curves['curves'] if curve['id'] == 'bands_hf')
    assert {'@id': f'#node-{node}'} in written['object']


def test_the_scripts_are_in_no_need_of_the_page_or_a_network(bundle):
    assert read_table(bundle / 'data/errors.csv')['method'][0] == 'LDA'
    assert 'src="http' not in (bundle / 'report/index.html').read_text()


def archive_at_once(runs, groups, archive, *_):
    """Write an archive that nobody reads."""
    archive.touch()
    return Secrets({}), PrivacyReport()


def test_a_failed_publication_leaves_nothing(published_run, request_of_run, tmp_path, monkeypatch):
    def fail(*_):
        raise Refused('no')

    monkeypatch.setattr(publication, 'write_archive', archive_at_once)
    monkeypatch.setattr(publication, '_build', fail)
    with pytest.raises(Refused):
        publication.publish([published_run], tmp_path / 'bundle', request_of_run)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_publication_leaves_the_bundle_that_was_there(copy, published_run, request_of_run, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    before = {name: (copy / name).read_bytes() for name in files_of(copy)}
    monkeypatch.setattr(publication, 'write_archive', archive_at_once)
    monkeypatch.setattr(publication, '_build', stop)
    with pytest.raises(KeyboardInterrupt):
        publication.publish([published_run], copy, request_of_run)
    assert {name: (copy / name).read_bytes() for name in files_of(copy)} == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_bundle_that_cannot_be_put_in_its_place_leaves_the_one_that_was_there(copy, tmp_path, monkeypatch):
    def rename(path, target):
        if path.name == 'bundle':
            raise KeyboardInterrupt
        return original(path, target)

    original = Path.rename
    for name in ('scratch', 'scratch/bundle'):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(Path, 'rename', rename)
    with pytest.raises(KeyboardInterrupt):
        publication._put_in_place(tmp_path / 'scratch' / 'bundle', copy, tmp_path / 'scratch')
    assert wrong_sums(copy) == []


def test_a_private_name_in_what_was_written_is_refused(copy, request_of_run):
    (copy / 'figures/captions.md').write_text('Phonons, for jdoering')
    secrets = Secrets({'user': ('jdoering',)})
    with pytest.raises(Refused, match=r"captions.md would say 'jdoering', which is private"):
        publication.refuse_private(copy, secrets, request_of_run)
    author = replace(request_of_run, authors=(Author('jdoering', None, ''),))
    publication.refuse_private(copy, secrets, author)


@pytest.mark.nightly
def test_a_node_that_the_archive_lacks_is_told(published, tmp_path):
    copy = shutil.copytree(published, tmp_path / 'copy')
    content = json.loads((copy / 'curves.json').read_text())
    content['runs'][0]['uuid'] = '00000000-0000-4000-8000-000000000000'
    results = json.loads((copy / 'results.json').read_text())
    results['runs'] = {content['runs'][0]['uuid']: next(iter(results['runs'].values()))}
    (copy / 'curves.json').write_text(json.dumps(content))
    (copy / 'results.json').write_text(json.dumps(results))
    done = verify(copy)
    assert done.returncode == 1
    assert re.search('WRONG AiiDA reads the archive\n .*No result was found', done.stdout)


@pytest.mark.nightly
def test_a_bundle_is_verified_by_the_command(published):
    done = verify(published)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.endswith('is unchanged since its publication and consistent (15 checks).\n')


def test_another_element_or_force_is_told(copy, curves):
    label = next(label for label in curves['labels'] if label['method'] == 'LDA')
    text = (copy / label['file']).read_text()
    first = text.splitlines()[2]
    changed = first.replace(first.split()[0], 'He', 1)
    (copy / label['file']).write_text(text.replace(first, changed[: -len(first.split()[-1])] + '1.0', 1))
    write_sums(copy)
    problems = [line for _, lines in check(copy) for line in lines]
    assert any('an element is not that of' in line for line in problems)
    assert any('a force is not that of' in line for line in problems)


def test_a_folder_of_others_is_refused(tmp_path):
    (tmp_path / 'thesis.tex').write_text('')
    with pytest.raises(Refused, match='not a bundle of aiida-mlcc'):
        publication.refuse_target(tmp_path, force=True)


def test_a_bundle_that_was_changed_is_only_replaced_on_demand(copy):
    publication.refuse_target(copy, force=False)
    (copy / 'README.md').write_text('mine')
    with pytest.raises(Refused, match=r'README.md was changed.*--force'):
        publication.refuse_target(copy, force=False)
    publication.refuse_target(copy, force=True)


def _listed(value):
    return value if isinstance(value, list) else [value]
