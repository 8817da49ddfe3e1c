"""A run of the version before processes were entry points: it reads as it did then, and its labels are used again.

`tests/archives/before_entry_points.aiida` is the archive of lithium hydride by LDA, HF and CCSD(T) with all that it
was made from, and the JSON file beside it what that version said of it.
"""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import DataFactory
from aiida.tools.archive import import_archive

from aiida_mlcc.cli.known_labels import find_known_labels
from aiida_mlcc.data import process_types
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.report.data.results import results_of
from aiida_mlcc.report.page.page import write_report
from aiida_mlcc.report.provenance.trace import curves_of, trace
from aiida_mlcc.workflows.labelling.cc_energies import CCEnergiesWorkChain

ARCHIVE = Path(__file__).parent / 'archives' / 'before_entry_points.aiida'
QUERIES = Path(__file__).parents[1] / 'docs' / 'howto' / 'query.md'
METHODS = ['HF', 'CCSD(T)']


@pytest.fixture(scope='module')
def said():
    """Return what the version that made the archive said of it."""
    return json.loads(gzip.decompress(ARCHIVE.with_suffix('.json.gz').read_bytes()))


@pytest.fixture(scope='module')
def run(aiida_localhost, said):
    """Import the archive, beside what other tests have stored."""
    import_archive(ARCHIVE)
    return orm.load_node(said['run'])


def contains(found, expected, rel=1e-9):
    """Tell whether `found` has all that `expected` has, numbers to `rel`; what came later may be there besides."""
    if isinstance(expected, dict):
        return set(expected) <= set(found) and all(contains(found[name], expected[name], rel) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(contains(*pair, rel) for pair in zip(found, expected, strict=True))
    return found == (pytest.approx(expected, rel=rel) if isinstance(expected, float) else expected)


def in_order(traced):
    """Return a trace with its lists sorted: they follow the PKs, which an import gives anew."""
    return {name: sorted(value, key=as_text) if isinstance(value, list) else value for name, value in traced.items()}


def as_text(value):
    return json.dumps(value, sort_keys=True)


def test_the_archive_has_processes_that_are_stored_under_their_files(run):
    types = {process.process_type for process in run.called_descendants}
    old = {name for name in types if name.startswith('aiida_mlcc.')}
    assert len(old) > 15
    assert all(process_types.entry_point_of(name).split(':')[1].startswith('mlcc.') for name in old)


def test_results_are_those_of_then(run, said):
    found = json.loads(json.dumps(results_of(run)))
    assert set(found['methods']) == {'LDA', *METHODS}
    for name in said['results']:
        assert contains(found[name], said['results'][name]), name


def test_every_curve_leads_to_the_energies_that_it_was_made_from(run, said):
    curves = curves_of(run)
    assert set(curves) == set(said['traces'])
    for method, curve in curves.items():
        assert contains(in_order(trace(curve).plain()), in_order(said['traces'][method])), method
    assert {energy['method'] for energy in said['traces']['CCSD(T)']['energies']} == {'LDA', 'CCSD(T)'}
    assert all(energy['calculation'] for one in said['traces'].values() for energy in one['energies'])


@pytest.fixture(scope='module')
def queried(run, said):
    """Return what the code of the page on queries finds of the CCSD(T) dispersion of the archive."""
    blocks = re.findall(r'^```python\n(.*?)^```$', QUERIES.read_text(), re.MULTILINE | re.DOTALL)
    code = '\n'.join(blocks).replace("load_node('UUID')", f'load_node({said["traces"]["CCSD(T)"]["curve"]!r})')
    found: dict = {}
    exec(compile(code, QUERIES.name, 'exec'), found)
    return found


def test_the_page_on_queries_finds_the_energies_behind_a_curve(queried, said):
    found = {(energy.method, energy.snapshot, energy.energy_eV) for energy in queried['found'].energies}
    expected = {(e['method'], e['snapshot'], e['energy_eV']) for e in said['traces']['CCSD(T)']['energies']}
    assert found == expected
    assert {e['node'] for e in said['traces']['CCSD(T)']['energies']} <= {node.uuid for node in queried['labelled']}


def test_the_page_on_queries_finds_the_seeds(queried, said):
    assert set(queried['seeds'].values()) == set(said['traces']['CCSD(T)']['seeds'])


def test_the_page_on_queries_finds_models_with_their_files(queried, said):
    models = {node.uuid for node in queried['made_from'](DataFactory('mlcc.force_field'))}
    assert models == set(said['traces']['CCSD(T)']['force_fields'])
    assert len(queried['weights']) > 100
    assert {'method', 'seed'} <= set(queried['trained_on'][0])


def test_the_page_on_queries_finds_every_curve_of_a_label_or_job(run, queried):
    dispersions = {node.uuid for name, node in curves_of(run).items() if name == 'CCSD(T)'}
    assert dispersions <= {node.uuid for node in queried['curves']}
    assert dispersions <= {node.uuid for node in queried['curves_of_job']}


def test_the_page_on_queries_finds_the_runs_of_a_crystal(run, queried):
    assert run.uuid in {node.uuid for node in queried['runs']}
    assert {node.process_label for node in queried['runs']} == {'MLCCPhononWorkChain'}


@pytest.mark.nightly
def test_the_page_is_written(run, said, tmp_path):
    write_report(run, tmp_path)
    (page,) = tmp_path.glob('*.html')
    text = page.read_text()
    assert run.uuid in text
    assert all(energy['calculation'] in text for energy in said['traces']['CCSD(T)']['energies'])


def test_its_labels_are_found_and_leave_nothing_to_compute(run, said, python):
    snapshots = run.outputs.snapshots.get_snapshots()
    known = find_known_labels(run.outputs.snapshots)
    assert {name: node.uuid for name, node in known.items()} == said['known_labels']
    frames = snapshots.labelled_by('CCSD(T)')
    assert len(frames) == 12

    bare = SnapshotsData(snapshots.select(frames).without_labels())
    # The labels are older than the choice of an auxiliary basis.
    overrides = {'methods': METHODS, 'selection': {'kind': 'all'}, 'engine': {'auxbasis': None}}
    builder = CCEnergiesWorkChain.get_builder_from_protocol(python, bare, 'fast', overrides)
    builder.known_labels = known
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert not [process for process in node.called_descendants if isinstance(process, orm.CalcJobNode)]
    for method in METHODS:
        again = outputs['snapshots'].get_snapshots().labels[method].energies
        assert np.array_equal(again, snapshots.labels[method].energies[frames])


@pytest.mark.nightly
def test_force_fields_give_the_energies_and_forces_of_then(run, said):
    atoms = run.outputs.snapshots.get_ase(0)
    nodes = [orm.load_node(uuid) for uuid in said['force_fields']]
    assert all(isinstance(node, DataFactory('mlcc.force_field')) for node in nodes)
    for node in nodes:
        then = said['force_fields'][node.uuid]
        assert node.method == then['method']
        assert node.get_force_field().base_scale == then['base_scale']
        # A Δ that rescales its base has no energy of its own.
        if 'energy_eV' in then:
            atoms.calc = node.get_calculator()
            assert atoms.get_potential_energy() == pytest.approx(then['energy_eV'], abs=1e-7)
            assert atoms.get_forces() == pytest.approx(np.array(then['forces_eV_A']), abs=1e-6)
