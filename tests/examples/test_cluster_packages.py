"""What the how-to of the cluster installs is what the jobs import."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = {'mace-torch': {'mace', 'torch', 'e3nn', 'matscipy'}, 'phonopy': {'phonopy', 'spglib'}}
"""Package → the modules that come with it, where these have other names."""


def imported_by(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split('.')[0])
    return found - set(sys.stdlib_module_names) - {'aiida_mlcc'}


def test_the_environment_of_the_how_to_has_every_package_that_the_runtime_imports() -> None:
    how_to = (ROOT / 'docs' / 'howto' / 'cluster.md').read_text()
    packages = re.search(r'pip install -c constraints\.txt (.*)', how_to).group(1).split()
    modules = {module for package in packages for module in NAMES.get(package, {package})}
    needed = {module for path in (ROOT / 'aiida_mlcc' / 'runtime').glob('*.py') for module in imported_by(path)}
    needed |= {m for path in (ROOT / 'aiida_mlcc' / 'science' / 'force_field').glob('*.py') for m in imported_by(path)}
    assert needed <= modules
