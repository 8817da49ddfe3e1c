"""The patches of `docs/extending`: each adds a working entry to a table, and touches few files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHES = {path.stem: path for path in sorted((ROOT / 'docs' / 'extending').glob('*.patch'))}

MOST_FILES = {'term': 3, 'engine': 5, 'delta_kind': 4, 'curve': 4}
"""How many files adding an entry may touch, its test and its documentation included."""

CONTRACTS = {
    'term': ['tests/science/force_field/test_kinds.py'],
    'engine': ['tests/engines/test_table.py'],
    'delta_kind': ['tests/runtime/test_delta_kinds.py'],
    'curve': ['tests/workflows/curves/test_table.py', 'tests/report/test_curve_table.py'],
}
"""Patch → the tests that run over all entries of its table."""


def files_of(patch: Path) -> list[str]:
    """Return the files that a patch touches."""
    names = re.findall(r'^diff --git a/\S+ b/(\S+)$', patch.read_text(), flags=re.MULTILINE)
    assert names, f'{patch.name} is not in the format of git diff'
    return names


def copy_of_the_tree(target: Path) -> Path:
    """Copy the tracked files of the repository."""
    listed = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip('the tree is not a git repository')
    for name in filter(None, listed.stdout.split('\0')):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def write_entry_points(tree: Path) -> None:
    """Write the metadata by which a tree on the path serves the entry points of its own pyproject.toml."""
    project = tomllib.loads((tree / 'pyproject.toml').read_text())['project']
    folder = tree / f'{project["name"].replace("-", "_")}-0.dist-info'
    folder.mkdir()
    (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {project["name"]}\nVersion: 0\n')
    lines = []
    for group, entries in {'console_scripts': project.get('scripts', {}), **project['entry-points']}.items():
        lines += [f'[{group}]', *(f'{name} = {target}' for name, target in entries.items()), '']
    (folder / 'entry_points.txt').write_text('\n'.join(lines))


def test_every_table_has_a_patch_a_limit_and_a_contract() -> None:
    assert set(PATCHES) == set(MOST_FILES) == set(CONTRACTS)


@pytest.mark.parametrize('name', sorted(PATCHES))
def test_an_entry_touches_few_files(name: str) -> None:
    assert len(files_of(PATCHES[name])) <= MOST_FILES[name]


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize('name', sorted(PATCHES))
def test_the_patch_applies_and_its_tests_pass(name: str, tmp_path: Path) -> None:
    tree = copy_of_the_tree(tmp_path / 'tree')
    # Inside of another repository, git would leave files of the copy alone.
    environment = {**os.environ, 'PYTHONPATH': str(tree), 'GIT_CEILING_DIRECTORIES': str(tmp_path)}
    applied = subprocess.run(
        ['git', 'apply', str(PATCHES[name])], cwd=tree, env=environment, capture_output=True, text=True
    )
    assert applied.returncode == 0, applied.stderr
    touched = files_of(PATCHES[name])
    assert all((tree / file).is_file() for file in touched)
    write_entry_points(tree)
    own = [file for file in touched if Path(file).name.startswith('test_')]
    assert own, 'the patch adds no test'
    command = [sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', *own, *CONTRACTS[name]]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    where = [sys.executable, '-c', 'import aiida_mlcc; print(aiida_mlcc.__file__)']
    assert subprocess.check_output(where, cwd=tree, env=environment, text=True).startswith(str(tree))
