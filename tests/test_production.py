"""Runs on PostgreSQL, RabbitMQ and a Slurm of two partitions, and what goes wrong there; the tests start all three."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from tests.services import Services, missing, services_at

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

PATIENCE_S = 1500.0
ROOT = Path(__file__).parents[1]
HOW_TO = ROOT / 'docs' / 'howto' / 'cluster'
GPU = {'custom_scheduler_commands': '#SBATCH --gres=gpu:1'}
N_STEPS, N_FRAMES, N_EPOCHS = 40_000, 30, 150
"""Each takes a quiet computer 25 s or more, longer than :attr:`Site.short`."""

SUBMIT = """
from aiida import load_profile, orm
from aiida.engine import submit

load_profile('production')
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.jobs.restart import CorrelateRestartWorkChain, MdRestartWorkChain, TrainRestartWorkChain
from aiida_mlcc.runtime.md.settings import MD
from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.crystals import rocksalt, springs
from tests.runtime.mace.alloy import NETWORK, TRAINING, labelled
from tests.runtime.jobs import ENGINE, lithium_hydride

code = orm.load_code('mlcc-python@cluster')
options = {{'resources': {{'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': 1}},
            'environment_variables': {{'OMP_NUM_THREADS': '1'}}, 'max_wallclock_seconds': {limit},
            'queue_name': '{queue}', **{more}}}


def md(n_steps):
    start = Snapshots.from_atoms([supercell(rocksalt(), 2)])
    force_field = ForceFieldData(springs(rocksalt(), method='LDA'))
    parameters = {{**MD.defaults(), 'n_steps': n_steps, 'checkpoint_every': 100, 'record_every': 100}}
    return MdRestartWorkChain, {{'start': SnapshotsData(start), 'force_field': force_field, 'seed': 1,
                                'parameters': parameters}}


def correlate(n_frames):
    frames = Snapshots.from_atoms([lithium_hydride(0.001 * number) for number in range(n_frames)])
    engine = {{'name': 'pyscf', **ENGINE}}
    return CorrelateRestartWorkChain, {{'snapshots': SnapshotsData(frames), 'methods': ['HF', 'MP2', 'CCSD(T)'],
                                       'engine': engine}}


def train(epochs):
    return TrainRestartWorkChain, {{'snapshots': SnapshotsData(labelled(24)), 'method': 'LDA', 'seed': 1,
                                   'network': NETWORK, 'training': {{**TRAINING, 'epochs': epochs}}}}


chain, job = {job}
node = submit(chain, job={{'code': code, **job, 'metadata': {{'options': options}}}})
print(node.pk)
"""

STATE = """
import json

from aiida import load_profile, orm

load_profile('production')
node = orm.load_node({pk})
jobs = [[job.pk, job.get_job_id(), job.process_state and job.process_state.value, job.exit_status, job.exit_message,
         job.get_scheduler_state() and job.get_scheduler_state().value] for job in node.called]
print(json.dumps([node.process_state.value, node.exit_status, jobs]))
"""


class Site:
    """The services with a daemon, and commands as a person types them."""

    def __init__(self, services: Services) -> None:
        self.folder = services.folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith('AIIDA')}
        path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
        ours = {'AIIDA_PATH': str(self.folder / 'aiida'), 'PYTHONPATH': str(ROOT), 'PATH': path, 'OMP_NUM_THREADS': '1'}
        self.environment = {**clean, **services.environment, **ours}
        self.python(
            'from pathlib import Path\nfrom tests.services import Services\n'
            f'Services(Path({str(self.folder)!r}), {services.postgres_port}, {services.rabbitmq_port}, {{}})'
            f".make_profile('production', Path({str(self.folder / 'aiida')!r}))"
        )
        (self.folder / 'work').mkdir()
        self.verdi('config', 'set', 'warnings.rabbitmq_version', 'False')
        self.verdi('config', 'set', 'daemon.timeout', '60')
        self.verdi('config', 'set', 'transport.task_retry_initial_interval', '1')
        self.verdi('config', 'set', 'transport.task_maximum_attempts', '2')
        self.set_up_the_cluster()
        started = time.monotonic()
        self.python('import aiida_mlcc.runtime.tasks.train')
        self.short = round(8 + 2 * (time.monotonic() - started))
        """A time limit (s) in which a job starts, but does not end: on a busy computer, to start takes longer."""

    def set_up_the_cluster(self) -> None:
        """Do as the how-to says, but for the address of the cluster and the paths there."""
        here = {'hostname': 'localhost', 'transport': 'core.local', 'work_dir': str(self.folder / 'work')}
        computer = self.configuration('computer.yaml', **here)
        self.verdi('computer', 'setup', '--non-interactive', '--config', computer)
        self.verdi('computer', 'configure', 'core.local', 'cluster', '--non-interactive', '--safe-interval', '0')
        code = self.configuration('python.yaml', filepath_executable=sys.executable)
        self.verdi('code', 'create', 'core.code.installed', '--non-interactive', '--config', code)
        self.python(
            'from aiida import load_profile, orm\nload_profile("production")\n'
            'orm.load_computer("cluster").set_minimum_job_poll_interval(2)'
        )

    def configuration(self, name: str, **changed: str) -> str:
        """Write a file of the how-to with some of its lines changed, and return its path."""
        content = yaml.safe_load((HOW_TO / name).read_text())
        assert set(changed) <= set(content)
        (self.folder / name).write_text(yaml.safe_dump({**content, **changed}))
        return str(self.folder / name)

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f'{words}: {done.stdout}{done.stderr}'
        return done.stdout

    def python(self, text: str) -> str:
        return self.run(sys.executable, '-c', text)

    def verdi(self, *words: str) -> str:
        return self.run(sys.executable, '-m', 'aiida', *words)

    def status(self, pk: int) -> str:
        return self.run(sys.executable, '-c', 'from aiida_mlcc.cli import cli; cli()', 'status', str(pk))

    def submit(self, job: str, queue: str, limit: int = 1800, **more: Any) -> int:
        return int(self.python(SUBMIT.format(job=job, queue=queue, limit=limit, more=more)).split()[-1])

    def state(self, pk: int) -> Any:
        return json.loads(self.python(STATE.format(pk=pk)).splitlines()[-1])

    def result(self, pk: int, expression: str) -> Any:
        """Return what an expression of the outputs gives."""
        return json.loads(
            self.python(
                'import json\nfrom aiida import load_profile, orm\nload_profile("production")\n'
                f'print(json.dumps(orm.load_node({pk}).outputs.{expression}))'
            ).splitlines()[-1]
        )

    def wait(self, pk: int, until: Callable[[Any], bool]) -> Any:
        ends = time.monotonic() + PATIENCE_S
        while not until(state := self.state(pk)):
            assert time.monotonic() < ends, state
            time.sleep(2)
        return state


def is_over(state: Any) -> bool:
    return state[0] in ('finished', 'excepted', 'killed')


def assert_continued(jobs: list[Any]) -> None:
    """More than one job, each but the last out of time."""
    assert len(jobs) > 1
    assert [job[3] for job in jobs] == [400] * (len(jobs) - 1) + [0]


@pytest.fixture(scope='module')
def site() -> Iterator[Site]:
    # Not in pytest's folder, which PostgreSQL's own user may not enter.
    with TemporaryDirectory(prefix='services-') as folder, services_at(Path(folder)) as services:
        found = Site(services)
        found.verdi('daemon', 'start', '2')
        yield found
        found.verdi('daemon', 'stop')


def test_a_dynamics_out_of_time_goes_on_to_its_end(site: Site) -> None:
    pk = site.submit(f'md({N_STEPS})', 'cpu', site.short)
    _, status, jobs = site.wait(pk, is_over)
    assert status == 0, site.status(pk)
    assert_continued(jobs)
    assert site.result(pk, 'trajectory.get_snapshots().n_frames') == N_STEPS // 100


def test_labels_out_of_time_go_on_to_their_end(site: Site) -> None:
    pk = site.submit(f'correlate({N_FRAMES})', 'cpu', site.short)
    _, status, jobs = site.wait(pk, is_over)
    assert status == 0, site.status(pk)
    assert_continued(jobs)
    energies = site.result(pk, 'labelled.get_snapshots().labels["CCSD(T)"].energies.tolist()')
    assert len(energies) == N_FRAMES
    assert all(energy < 0 for energy in energies)


def test_a_training_out_of_time_on_the_partition_with_a_gpu_goes_on_to_its_end(site: Site) -> None:
    pk = site.submit(f'train({N_EPOCHS})', 'gpu', site.short, **GPU)
    _, _, ((_, job_id, *_), *_) = site.wait(pk, lambda state: state[2] and state[2][0][1])
    assert 'gres:gpu:1' in site.run('scontrol', 'show', 'job', job_id)
    _, status, jobs = site.wait(pk, is_over)
    assert status == 0, site.status(pk)
    assert_continued(jobs)
    assert site.result(pk, 'history.get_array("epoch").tolist()') == list(range(1, N_EPOCHS + 1))


def test_a_cancelled_job_is_told_as_such_and_goes_on(site: Site) -> None:
    pk = site.submit(f'md({4 * N_STEPS})', 'cpu')
    _, _, ((_, job_id, *_),) = site.wait(pk, lambda state: state[2] and state[2][0][5] == 'running')
    time.sleep(5)
    site.run('scancel', job_id)
    _, status, jobs = site.wait(pk, is_over)
    assert status == 0
    assert (jobs[0][3], 'scancel' in jobs[0][4]) == (410, True), jobs


def test_status_gives_the_words_of_a_scheduler_that_refuses_a_job(site: Site) -> None:
    pk = site.submit('md(100)', 'cpu', max_memory_kb=900_000_000)
    ends = time.monotonic() + 120
    while 'PAUSED' not in (shown := site.status(pk)):
        assert time.monotonic() < ends, shown
        time.sleep(2)
    assert 'The submission failed every time' in shown
    assert 'sbatch: error' in shown
    site.verdi('process', 'kill', str(pk))


def test_processes_that_the_broker_has_lost_are_named_and_come_back_by_repair(site: Site) -> None:
    pk = site.submit('md(100)', 'cpu', custom_scheduler_commands='#SBATCH --begin=now+240')
    site.wait(pk, lambda state: state[2] and state[2][0][1] is not None)
    site.verdi('daemon', 'stop')
    assert 'The daemon is not running' in site.status(pk)
    site.python(
        'import asyncio, aio_pika\nfrom aiida import load_profile\nload_profile("production")\n'
        'from aiida.manage import get_manager\nfrom aiida.brokers.rabbitmq.utils import get_launch_queue_name\n'
        'broker = get_manager().get_broker()\n'
        'async def purge():\n'
        '    connection = await aio_pika.connect(broker.get_url())\n'
        '    channel = await connection.channel()\n'
        '    queue = await channel.declare_queue(get_launch_queue_name(broker._prefix), passive=True)\n'
        '    await queue.purge()\n'
        '    await connection.close()\n'
        'asyncio.run(purge())'
    )
    site.verdi('daemon', 'start', '1')
    ends = time.monotonic() + 200
    while 'and the broker has no task for them' not in (shown := site.status(pk)):
        assert time.monotonic() < ends, shown
        time.sleep(5)
    site.verdi('daemon', 'stop')
    site.verdi('process', 'repair')
    site.verdi('daemon', 'start', '2')
    assert 'No worker has' not in site.status(pk)
    assert site.wait(pk, is_over)[1] == 0
