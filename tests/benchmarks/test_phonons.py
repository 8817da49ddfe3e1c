"""The benchmark of displaced cells in small, in a process of its own: it makes a profile."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.nightly


def test_one_json_object_tells_what_a_displaced_cell_costs() -> None:
    command = [sys.executable, '-m', 'tests.benchmarks.phonons', '--cells', '2', '--size', '2']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed = json.loads(done.stdout.splitlines()[-1])
    assert (printed['benchmark'], printed['n_cells'], printed['n_atoms']) == ('phonons', 2, 2 * 2**3)
    assert 0 < printed['engine_seconds'] == pytest.approx(printed['wall_seconds'] - printed['task_seconds'])
    assert printed['engine_seconds_per_cell'] == pytest.approx(printed['engine_seconds'] / 2)
    assert printed['met'] == (printed['engine_seconds_per_cell'] <= 0.1)
