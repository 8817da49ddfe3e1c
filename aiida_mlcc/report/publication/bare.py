"""Run a script of a bundle as in an environment that has nothing but NumPy, and Matplotlib where it is asked for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

_START = """
import runpy, sys
allowed = set(sys.argv[1].split(',')) | sys.stdlib_module_names

class OnlyAllowed:
    def find_spec(self, name, path=None, target=None):
        top = name.partition('.')[0]
        # Python finds what it was built with in a module that is named after the platform.
        if top not in allowed and not top.startswith('_sysconfigdata'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, OnlyAllowed())
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""

_LIMIT_SECONDS = 600


def run_bare(script: Path, packages: Sequence[str], arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a script with an empty home, in which only `packages` and what they require can be imported."""
    allowed = ','.join(sorted(_modules_of(packages)))
    with tempfile.TemporaryDirectory() as home:
        kept = {name: os.environ[name] for name in ('PATH', 'LD_LIBRARY_PATH', 'SYSTEMROOT') if name in os.environ}
        environment = {**kept, 'HOME': home, 'MPLCONFIGDIR': home, 'OMP_NUM_THREADS': '1', 'PYTHONUTF8': '1'}
        # The isolated mode would leave out the folder of packages that an environment adds to another.
        environment['PYTHONPATH'] = os.pathsep.join(path for path in sys.path if path)
        environment['PYTHONDONTWRITEBYTECODE'] = '1'
        return subprocess.run(
            [sys.executable, '-c', _START, allowed, str(script.resolve()), *arguments],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )


def _modules_of(packages: Sequence[str]) -> set[str]:
    """Return the top-level modules of distributions and of those that they require."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(packages)
    by_distribution: dict[str, set[str]] = {}
    for module, names in metadata.packages_distributions().items():
        for name in names:
            by_distribution.setdefault(_normal(name), set()).add(module)
    while waiting:
        name = _normal(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        found |= by_distribution.get(name, set())
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        waiting += [re.split(r'[^\w.-]', text, maxsplit=1)[0] for text in required if 'extra' not in text]
    return found


def _normal(name: str) -> str:
    return re.sub(r'[-_.]+', '-', name).lower()
