"""The code of a job and of a calcfunction as an input: deterministic, complete, free of AiiDA, no more than it runs."""

import io
import subprocess
import sys
import zipfile

import pytest

from aiida_mlcc.calculations import reached_files
from aiida_mlcc.calculations import runtime_source as module
from aiida_mlcc.calculations.functions.merge_labels import merge_labels
from aiida_mlcc.calculations.functions.sum_force_fields import sum_force_fields
from aiida_mlcc.calculations.runtime_source import runtime_source, runtime_zip, science_hash
from aiida_mlcc.runtime.__main__ import TASKS
from aiida_mlcc.workflows.curves.dispersion import phonon_curves
from aiida_mlcc.workflows.curves.spectrum import vibrational_spectrum

FUNCTIONS = {f.__name__: f for f in (merge_labels, phonon_curves, sum_force_fields, vibrational_spectrum)}

IMPORT_ALL = """
import importlib, sys, zipfile
sys.modules['aiida'] = None
for path in sys.argv[1:]:
    for name in [n for n in sys.modules if n.split('.')[0] == 'aiida_mlcc']:
        del sys.modules[name]
    sys.path.insert(0, path)
    for name in sorted(zipfile.ZipFile(path).namelist()):
        module = importlib.import_module(name.removesuffix('.py').removesuffix('/__init__').replace('/', '.'))
        assert module.__file__.startswith(path), module
    sys.path.remove(path)
print('done')
"""


@pytest.fixture
def zips(tmp_path):
    """Write the code of every task into a file of its own."""
    paths = {task: tmp_path / f'{task}.zip' for task in TASKS}
    for task, path in paths.items():
        path.write_bytes(runtime_zip(task))
    return paths


@pytest.fixture
def keys(monkeypatch):
    """Return the keys of all tasks and functions, with one file of the package changed."""

    def forget():
        runtime_zip.cache_clear()
        module._digest_of.cache_clear()

    def keys_with(changed: str = '') -> dict[str, object]:
        def read(path):
            return path.read_bytes() + (b'# changed\n' if changed and path.as_posix().endswith(changed) else b'')

        monkeypatch.setattr(reached_files, 'read', read)
        forget()
        tasks = {task: runtime_zip(task) for task in TASKS}
        return tasks | {name: science_hash(function).value for name, function in FUNCTIONS.items()}

    yield keys_with
    forget()


def test_same_sources_give_the_same_bytes():
    first = runtime_zip('md')
    runtime_zip.cache_clear()
    assert runtime_zip('md') == first


@pytest.mark.parametrize('task', TASKS)
def test_zip_holds_the_task_and_neither_the_others_nor_the_rooms_of_aiida(task):
    names = zipfile.ZipFile(io.BytesIO(runtime_zip(task))).namelist()
    assert {'aiida_mlcc/__init__.py', 'aiida_mlcc/runtime/__main__.py', f'aiida_mlcc/runtime/tasks/{task}.py'} <= set(
        names
    )
    assert {name.split('/')[1] for name in names} == {'__init__.py', 'runtime', 'science'}
    assert names == sorted(names)


def test_zip_of_a_task_has_no_engine_that_it_does_not_run():
    names = zipfile.ZipFile(io.BytesIO(runtime_zip('train'))).namelist()
    assert 'aiida_mlcc/runtime/mace/training_loop.py' in names
    assert not {'aiida_mlcc/runtime/pyscf/engine.py', 'aiida_mlcc/science/phonons/dispersion.py'} & set(names)


def test_all_modules_of_every_zip_are_imported_where_there_is_no_aiida(zips):
    paths = [str(path) for path in zips.values()]
    done = subprocess.run([sys.executable, '-c', IMPORT_ALL, *paths], capture_output=True, text=True)
    assert done.stdout == 'done\n', done.stderr


@pytest.mark.parametrize(
    'changed', ['science/dataset/dataset.py', 'science/dataset/report.py', 'science/dataset/published_data.py']
)
def test_what_reads_data_sets_leaves_everything_cached(aiida_profile, keys, changed):
    assert keys(changed) == keys()


@pytest.mark.parametrize(
    ('changed', 'affected', 'untouched'),
    [
        ('science/phonons/dispersion.py', {'phonon_curves'}, {'train', 'fit', 'md', 'correlate', 'merge_labels'}),
        ('science/dynamics/vdos.py', {'md', 'vibrational_spectrum'}, {'train', 'fit', 'correlate', 'phonon_curves'}),
        ('runtime/pyscf/engine.py', {'md', 'correlate', 'evaluate'}, {'fit', 'phonon_curves'}),
        ('runtime/mace/training_loop.py', {'train'}, {'md', 'evaluate', 'fit', *FUNCTIONS}),
        ('runtime/task.py', set(TASKS), set(FUNCTIONS) - {'sum_force_fields'}),
        ('science/npz.py', {*TASKS, 'merge_labels'}, set()),
        ('curves/dispersion.py', {'phonon_curves'}, set(TASKS)),
    ],
)
def test_a_change_is_another_input_of_what_runs_it_and_of_nothing_else(
    aiida_profile, keys, changed, affected, untouched
):
    before, after = keys(), keys(changed)
    differ = {name for name in before if before[name] != after[name]}
    assert affected <= differ
    assert not differ & untouched


def test_stored_source_is_used_again(aiida_profile):
    first = runtime_source('fit').store()
    assert runtime_source('fit').uuid == first.uuid
    assert science_hash(phonon_curves).store().uuid == science_hash(phonon_curves).uuid


def test_changed_source_is_another_node(aiida_profile, monkeypatch):
    first = runtime_source('fit').store()
    monkeypatch.setattr(module, 'runtime_zip', lambda task: b'another runtime')
    assert runtime_source('fit').uuid != first.uuid


def test_a_task_starts_from_its_zip_in_a_fresh_interpreter(zips, tmp_path):
    """It says in a sentence that its input is missing: nothing of AiiDA, torch or this package is installed for it."""
    environment = {'PATH': '/usr/bin:/bin', 'PYTHONPATH': str(zips['fit'])}
    words = [sys.executable, '-m', 'aiida_mlcc.runtime', 'fit']
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'input.json' in done.stderr
    assert 'Traceback' not in done.stderr
