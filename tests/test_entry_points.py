"""What a plugin registry checks: names, and imports that need neither torch nor pyscf nor a profile."""

import subprocess
import sys
from importlib.metadata import entry_points

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


def ours():
    return [e for group in GROUPS for e in entry_points(group=group) if e.value.startswith('aiida_mlcc')]


def test_every_entry_point_begins_with_mlcc():
    assert len(ours()) == 29
    assert all(entry_point.name.startswith('mlcc.') for entry_point in ours())


def test_loading_all_of_them_imports_no_heavy_package_and_loads_no_profile(tmp_path):
    environment = {'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path), 'AIIDA_PATH': str(tmp_path)}
    program = PROGRAM.format(groups=GROUPS)
    done = subprocess.run([sys.executable, '-c', program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
