"""What a job and a calcfunction run: the files that their imports lead to, and only those."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aiida_mlcc
from aiida_mlcc import science
from aiida_mlcc.calculations import reached_files as module
from aiida_mlcc.calculations.reached_files import reached_files

PACKAGE = Path(aiida_mlcc.__file__).parent


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package of the name of ours, and let its files be read instead."""
    folder = tmp_path / 'aiida_mlcc'

    def write(**sources: str) -> None:
        for name, source in {'__init__': '', **sources}.items():
            path = folder.joinpath(*name.split('__at__')).with_suffix('.py')
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)

    monkeypatch.setattr(module, '_FOLDER', folder)
    module._reached_at_once.cache_clear()
    yield write
    module._reached_at_once.cache_clear()


def reached(*modules: str) -> set[str]:
    return {name.removeprefix('aiida_mlcc/') for name in reached_files(*modules)}


def test_imports_are_followed_wherever_they_stand(package):
    package(
        a='import aiida_mlcc.b\ndef f():\n    from aiida_mlcc.c import g\n    return g',
        b='import os, numpy\ntry:\n    from aiida_mlcc import d\nexcept ImportError:\n    pass',
        c='g = 1',
        d='',
        other='import aiida_mlcc.a',
    )
    assert reached('aiida_mlcc.a') == {'__init__.py', 'a.py', 'b.py', 'c.py', 'd.py'}


def test_packages_that_a_module_lies_in_are_reached_with_what_they_import(package):
    package(a='from aiida_mlcc.p.q import x', p__at____init__='from aiida_mlcc.b import y', p__at__q='x = 1', b='y = 1')
    assert reached('aiida_mlcc.a') == {'__init__.py', 'a.py', 'p/__init__.py', 'p/q.py', 'b.py'}


def test_a_name_from_a_package_is_a_module_or_an_attribute(package):
    package(a='from aiida_mlcc.p import q, z', p__at____init__='z = 1', p__at__q='', p__at__other='')
    assert reached('aiida_mlcc.a') == {'__init__.py', 'a.py', 'p/__init__.py', 'p/q.py'}


def test_strings_of_tables_are_followed(package):
    package(a="TABLE = {'one': 'aiida_mlcc.b:run'}\n'see aiida_mlcc.c:run'", b='', c='')
    assert reached('aiida_mlcc.a') == {'__init__.py', 'a.py', 'b.py'}


def test_what_only_type_checkers_read_is_left_out(package):
    package(a='if TYPE_CHECKING:\n    import aiida_mlcc.b\nelse:\n    import aiida_mlcc.c', b='', c='')
    assert reached('aiida_mlcc.a') == {'__init__.py', 'a.py', 'c.py'}


def test_cycles_end(package):
    package(a='import aiida_mlcc.b', b='import aiida_mlcc.a')
    assert reached('aiida_mlcc.a') == reached('aiida_mlcc.b') == {'__init__.py', 'a.py', 'b.py'}


def test_a_module_that_is_not_there_is_an_error(package):
    package(a='import aiida_mlcc.gone')
    with pytest.raises(ModuleNotFoundError, match=r'aiida_mlcc\.gone'):
        reached_files('aiida_mlcc.a')


def test_a_relative_import_is_an_error(package):
    package(a='from . import b', b='')
    with pytest.raises(ValueError, match='relative import'):
        reached_files('aiida_mlcc.a')


def test_modules_are_imported_by_names_that_can_be_followed():
    """A job would end on its cluster where a module is imported by a name that is put together or not in full."""
    for path in [*PACKAGE.glob('science/**/*.py'), *PACKAGE.glob('runtime/**/*.py')]:
        if path in (PACKAGE / 'runtime' / '__main__.py', PACKAGE / 'science' / '__init__.py'):
            # The first imports the task, which the zip has for it, the second what people ask for in a notebook.
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        for call in (node for node in nodes if isinstance(node, ast.Call)):
            if getattr(call.func, 'attr', getattr(call.func, 'id', None)) in ('import_module', '__import__'):
                assert isinstance(call.args[0], ast.Name | ast.Constant), f'{path}:{call.lineno}'
        # The constant parts of f-strings are among them.
        texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        for text in texts:
            if text.startswith('aiida_mlcc.'):
                assert module._LAZY.fullmatch(text), (path, text)
            elif re.fullmatch(r'\w+(\.\w+)*:\w+', text):
                beside = path.parent.joinpath(*text.split(':')[0].split('.')).with_suffix('.py')
                assert not beside.exists(), f'{path}: write the module of {text!r} in full'


def test_the_package_names_modules_of_science_in_full():
    """What the package `science` exports to people is found by a table, which says nothing of what a job reaches."""
    for path in PACKAGE.glob('**/*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == 'aiida_mlcc.science':
                assert not {alias.name for alias in node.names} & set(science.__all__), f'{path}:{node.lineno}'


@pytest.mark.nightly
def test_what_python_imports_is_reached():
    name = 'aiida_mlcc.workflows.curves.dispersion'
    program = f'import sys, {name}; print(*(n for n in sys.modules if n.startswith("aiida_mlcc")))'
    shown = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True).stdout
    imported = {module._path(name).relative_to(PACKAGE.parent).as_posix() for name in shown.split()}
    assert len(imported) > 10
    assert imported <= set(reached_files(name))


@pytest.mark.parametrize('curve', ['dispersion', 'thermal', 'gruneisen', 'spectrum', 'error_budget'])
def test_a_curve_does_not_reach_what_makes_keys_and_calls_it(curve):
    """A changed word in these leaves curves in the cache."""
    files = reached(f'aiida_mlcc.workflows.curves.{curve}')
    assert 'workflows/curve_table.py' in files
    assert files.isdisjoint(
        {'calculations/runtime_source.py', 'calculations/reached_files.py', 'workflows/common/draw_curve.py'}
    )
