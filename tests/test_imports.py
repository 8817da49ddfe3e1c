"""Imports run one way: each package of the house imports those below it, also within functions."""

import ast
from pathlib import Path

import pytest

import aiida_mlcc

PACKAGE = Path(aiida_mlcc.__file__).parent

FLOORS = ('science', 'runtime', 'data', 'calculations', 'parsers', 'jobs', 'engines', 'workflows', 'report', 'cli')
"""From the ground up."""


def imported(file: Path) -> set[str]:
    """Return the modules of the package that a file imports, without the name of the package."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module, *(f'{node.module}.{alias.name}' for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.removeprefix('aiida_mlcc.') for name in names if name.startswith('aiida_mlcc.')}
    return found


@pytest.mark.parametrize('floor', FLOORS)
def test_a_package_imports_only_those_below_it(floor: str) -> None:
    above = FLOORS[FLOORS.index(floor) + 1 :]
    upwards = {
        (file.relative_to(PACKAGE).as_posix(), module)
        for file in (PACKAGE / floor).rglob('*.py')
        for module in imported(file)
        if module.split('.')[0] in above
    }
    assert not upwards


def test_every_package_has_its_floor() -> None:
    assert {folder.name for folder in PACKAGE.iterdir() if (folder / '__init__.py').is_file()} == set(FLOORS)
