"""Jobs of the runtime as tests run them: a folder with an input, in this process or as one that can be killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

import aiida_mlcc
from aiida_mlcc.runtime.__main__ import main
from aiida_mlcc.runtime.task import Job
from aiida_mlcc.science.labels.snapshots import Snapshots

PATIENCE_SECONDS = 120.0

ENGINE: dict[str, Any] = {
    'basis': 'gth-szv',
    'pseudo': None,
    'exp_to_discard': 0.1,
    'exxdiv': 'ewald',
    'conv_tol': 1e-9,
    'max_cycle': 50,
    'max_memory_mb': None,
}


def lithium_hydride(stretch: float = 0.0) -> Atoms:
    """Two atoms of rock-salt LiH, the cheapest crystal with a gap; `stretch` in Å moves the hydrogen off its site."""
    cell = 4.017 / 2 * (np.ones((3, 3)) - np.eye(3))
    return Atoms('LiH', cell=cell, positions=[[0.02, -0.01, 0.03], [2.0085 + stretch, 0.03, -0.02]], pbc=True)


def hydrogen(bond: float) -> Atoms:
    """One molecule in a small box. With a bond of 1e-6 Å its two basis functions are one, and no energy exists."""
    return Atoms('H2', cell=3.0 * np.eye(3), positions=[[0, 0, 0], [bond, 0, 0]], pbc=True)


def write_job(folder: Path, content: dict[str, Any], checkpoint_of: Path | None = None) -> Path:
    """Make a job's folder, with the checkpoint of an earlier job as AiiDA would copy it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'input.json').write_text(json.dumps({'max_seconds': None, **content}))
    if checkpoint_of is not None:
        shutil.copytree(checkpoint_of / 'checkpoint', folder / 'checkpoint')
    return folder


def write_snapshots(folder: Path, name: str, *images: Atoms) -> None:
    """Write `images` as the snapshots of a job."""
    folder.mkdir(parents=True, exist_ok=True)
    Snapshots.from_atoms(images).save(folder / name)


def run(folder: Path) -> dict[str, Any]:
    """Run the job in this process and return its output."""
    main([json.loads((folder / 'input.json').read_text())['task']], folder)
    return output_of(folder)


def output_of(folder: Path) -> dict[str, Any]:
    """Return the content of ``output.json``."""
    return json.loads((folder / 'output.json').read_text())


def stop_after(monkeypatch: pytest.MonkeyPatch, n_checks: int) -> None:
    """Let the time be up when a task asks for the (`n_checks` + 1)-th time."""
    asked = iter(range(10**9))
    monkeypatch.setattr(Job, 'must_stop', lambda self, reserve=0.0: next(asked) >= n_checks)


def start_process(folder: Path) -> subprocess.Popen[bytes]:
    """Start the job as the scheduler does."""
    task = json.loads((folder / 'input.json').read_text())['task']
    environment = {**os.environ, 'PYTHONPATH': str(Path(aiida_mlcc.__file__).parents[1]), 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen([sys.executable, '-m', 'aiida_mlcc.runtime', task], cwd=folder, env=environment)


def interrupt(folder: Path, when: Callable[[], bool], number: int = signal.SIGKILL) -> int:
    """Run the job as a process of its own, send it a signal as soon as `when` holds, and return its exit code."""
    process = start_process(folder)
    started = time.monotonic()
    try:
        while not when():
            assert process.poll() is None, 'the job ended before it could be interrupted'
            assert time.monotonic() - started < PATIENCE_SECONDS, 'the job did not come that far'
            time.sleep(0.02)
        process.send_signal(number)
        return process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
