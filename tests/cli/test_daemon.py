"""A person's way, with a daemon: set up, submit, wait, read, trace, export, and read again in an empty profile."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

BIN = Path(sys.executable).parent

SUBMIT = """
import time

from aiida import orm
from aiida.engine import submit
from aiida.plugins import WorkflowFactory
from aiida_mlcc.data.force_field import ForceFieldData
from tests.crystals import rocksalt, springs

builder = WorkflowFactory('mlcc.mlcc_phonon').get_builder_from_protocol(
    orm.load_code('mlcc-python@localhost'),
    orm.StructureData(ase=rocksalt()),
    'fast',
    {'methods': ['HF'], 'vacf_methods': [],
     'harmonic_phonon': {'supercell_matrix': [2, 2, 2], 'parameters': {'mesh': [4, 4, 4], 'band_points': 5}}},
    force_fields={
        slug: {f'seed_{n}': ForceFieldData(springs(rocksalt(), k + n / 10)) for n in (1, 2)}
        for slug, k in {'lda': 3.0, 'hf': 3.6}.items()
    },
)
node = submit(builder)
while not node.is_terminated:
    time.sleep(1)
print(node.uuid)
"""


@pytest.fixture
def home(tmp_path):
    """Run a command in an empty home; the daemon is stopped at the end."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith('AIIDA')},
        'HOME': str(tmp_path),
        'PATH': f'{BIN}:{os.environ["PATH"]}',
        'AIIDA_PATH': str(tmp_path / 'here'),
        'PYTHONPATH': str(Path(__file__).parents[2]),
        'OMP_NUM_THREADS': '1',
    }

    def run(*command: str, path: str = 'here', stdin: str | None = None) -> str:
        variables = {**environment, 'AIIDA_PATH': str(tmp_path / path)}
        program = [str(BIN / command[0]), *command[1:]]
        done = subprocess.run(program, env=variables, cwd=tmp_path, input=stdin, capture_output=True, text=True)
        assert done.returncode == 0, f'{command}: {done.stdout}\n{done.stderr}'
        return done.stdout

    yield run
    run('verdi', 'daemon', 'stop', '--timeout', '60')


def test_run_by_the_daemon_is_exported_and_gives_the_same_results_in_an_empty_profile(home, tmp_path):
    home('aiida-mlcc', 'setup', '--path', str(tmp_path / 'here'))
    home('verdi', 'daemon', 'start')
    (tmp_path / 'submit.py').write_text(SUBMIT)
    uuid = home('verdi', 'run', 'submit.py').split()[-1]
    assert '✓ harmonic_phonon_hf' in home('aiida-mlcc', 'status', uuid)

    shown = json.loads(home('aiida-mlcc', 'results', uuid, '--json'))
    assert set(shown['methods']) == {'LDA', 'HF'}
    assert shown['failed'] == []
    gamma = {method: entry['special_points_cm1']['GAMMA'] for method, entry in shown['methods'].items()}
    assert len(gamma['HF']['members']) == 2
    # Springs: ω grows as the square root of the stiffness.
    ratio = gamma['HF']['members'][0][5] / gamma['LDA']['members'][0][5]
    assert ratio == pytest.approx((3.7 / 3.1) ** 0.5, rel=1e-4)

    home('aiida-mlcc', 'export', uuid, '-o', 'run.aiida')
    home('aiida-mlcc', 'setup', '--path', str(tmp_path / 'there'), path='there')
    home('verdi', 'archive', 'import', str(tmp_path / 'run.aiida'), path='there')
    there = home('aiida-mlcc', 'results', uuid, '--json', path='there')
    assert json.loads(there) == shown
