"""What a plugin registry checks: names, and imports that need neither torch nor pyscf nor a profile."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from aiida.engine import Process

import aiida_mlcc
from aiida_mlcc.calculations.base import RuntimeCalculation
from aiida_mlcc.engines.single_points import SinglePointsWorkChain
from aiida_mlcc.jobs.restart import RuntimeRestartWorkChain
from aiida_mlcc.workflows.sampling.dft_labels import DFTLabelsWorkChain

GROUPS = ('aiida.data', 'aiida.calculations', 'aiida.parsers', 'aiida.workflows')

PROGRAM = """
import sys
from importlib.metadata import entry_points
for group in {groups!r}:
    for entry_point in entry_points(group=group):
        if entry_point.value.startswith('aiida_mlcc'):
            entry_point.load()
import aiida_mlcc.cli
from aiida.manage import get_manager
heavy = [name for name in ('torch', 'mace', 'e3nn', 'pyscf', 'symfc') if name in sys.modules]
assert not heavy, heavy
assert get_manager().get_profile() is None, 'a profile was loaded'
"""


ABSTRACT = (RuntimeCalculation, RuntimeRestartWorkChain, SinglePointsWorkChain, DFTLabelsWorkChain)
"""What others derive from and nobody runs."""


def process_classes():
    """Return every process of the package: CalcJobs, WorkChains, and those that AiiDA makes of calcfunctions."""
    found = set()
    for module in pkgutil.walk_packages(aiida_mlcc.__path__, 'aiida_mlcc.'):
        # What runs on the compute node knows nothing of AiiDA.
        if module.name.startswith(('aiida_mlcc.runtime', 'aiida_mlcc.science')):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            process = getattr(value, 'process_class', None) if inspect.isfunction(value) else value
            if inspect.isclass(process) and issubclass(process, Process) and process.__module__ == module.name:
                found.add(process)
    return sorted(found - set(ABSTRACT), key=lambda process: process.__qualname__)


def ours():
    return [e for group in GROUPS for e in entry_points(group=group) if e.value.startswith('aiida_mlcc')]


def test_every_entry_point_begins_with_mlcc():
    assert ours()
    assert all(entry_point.name.startswith('mlcc.') for entry_point in ours())


@pytest.mark.parametrize('process', process_classes(), ids=lambda process: process.__qualname__)
def test_every_process_is_stored_under_an_entry_point(process):
    """Its nodes then do not name the file that it stands in."""
    group, _, name = process.build_process_type().partition(':')
    assert group in ('aiida.calculations', 'aiida.workflows')
    assert name.startswith('mlcc.')


def test_loading_all_of_them_imports_no_heavy_package_and_loads_no_profile(tmp_path):
    environment = {'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path), 'AIIDA_PATH': str(tmp_path)}
    program = PROGRAM.format(groups=GROUPS)
    done = subprocess.run([sys.executable, '-c', program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
