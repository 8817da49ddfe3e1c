"""What `make test` leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which('make') is None, reason='make is not installed')

PYTEST = """#!/bin/sh
echo $$ >> {pids}
exec sleep 60
"""
"""An interpreter that never ends."""


def wait_for(condition) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_ctrl_c_ends_both_halves_and_leaves_no_log(tmp_path):
    pids, logs = tmp_path / 'pids', tmp_path / 'logs'
    (tmp_path / 'bin').mkdir()
    logs.mkdir()
    python = tmp_path / 'bin' / 'python'
    python.write_text(PYTEST.format(pids=pids))
    python.chmod(0o755)
    (tmp_path / '.installed').touch()
    command = ['make', '-s', 'test', f'VENV={tmp_path}', '--old-file', f'{tmp_path}/.installed']
    # As from a terminal, also where the tests run in the background, deaf to Ctrl-C, or are run by make.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(('MAKE', 'MFLAGS'))}
    quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        made = subprocess.Popen(
            command, cwd=ROOT, env={**environment, 'TMPDIR': str(logs)}, start_new_session=True, **quiet
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        assert len(list(logs.iterdir())) == 1
        os.killpg(made.pid, signal.SIGINT)
        assert made.wait(10) != 0
        wait_for(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids.read_text().split()))
        assert list(logs.iterdir()) == []
    finally:
        with suppress(ProcessLookupError):
            os.killpg(made.pid, signal.SIGKILL)
