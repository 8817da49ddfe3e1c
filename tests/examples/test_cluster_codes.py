"""Codes of a cluster as the documentation sets them up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

CODES = Path(__file__).parents[2] / 'docs' / 'howto' / 'cluster'


@pytest.mark.parametrize(
    ('environment', 'threads'),
    [
        ({}, '1'),
        ({'SLURM_CPUS_PER_TASK': '8'}, '8'),
        ({'SLURM_CPUS_PER_TASK': '8', 'OMP_NUM_THREADS': '2'}, '2'),
    ],
    ids=['neither', 'cores of the job', 'option of the job'],
)
def test_threads_of_the_job_go_before_those_of_the_code(environment: dict[str, str], threads: str) -> None:
    """AiiDA writes `environment_variables` of a job before the prepend text of its code."""
    prepended = yaml.safe_load((CODES / 'python.yaml').read_text())['prepend_text']
    script = f'{prepended}\necho "$OMP_NUM_THREADS"'
    shown = subprocess.run(['bash', '-c', script], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == threads
