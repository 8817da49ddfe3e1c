"""What `status` says of the services that a run needs."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future
from types import SimpleNamespace

import psutil
import pytest
from aiida import orm
from aiida.brokers.zeromq.broker import ZeromqBroker
from aiida.engine.daemon.client import DaemonClient, DaemonTimeoutException
from kiwipy import UnroutableError
from plumpy import ProcessState

from aiida_mlcc.cli import daemon, services


@pytest.fixture
def process(aiida_profile, monkeypatch) -> orm.WorkChainNode:
    """Return a process that is not over and not on its way to a worker."""
    monkeypatch.setattr(services, '_ON_ITS_WAY_S', 0.0)
    node = orm.WorkChainNode()
    node.set_process_state(ProcessState.WAITING)
    return node.store()


@pytest.fixture
def answering(monkeypatch):
    """Let a daemon with the given workers answer."""

    def answer(workers):
        monkeypatch.setattr(daemon, 'is_running', lambda: True)
        monkeypatch.setattr(DaemonClient, 'get_worker_info', workers)
        return daemon.trouble()

    return answer


def test_a_daemon_that_does_not_answer_is_not_one_that_runs(aiida_profile, answering):
    def silent(self, timeout=None):
        raise DaemonTimeoutException('timed out')

    assert answering(silent).startswith('The daemon does not respond.')


def test_a_daemon_without_workers_is_named(aiida_profile, answering):
    assert 'has no worker' in answering(lambda self, timeout=None: {'info': {}})


def test_a_worker_that_ends_while_it_is_asked_is_dead(aiida_profile, answering, monkeypatch):
    def gone(pid):
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, 'Process', gone)
    workers = {'info': {str(os.getpid()): {}}}
    assert f'({os.getpid()}) are stopped or dead' in answering(lambda self, timeout=None: workers)


def test_a_worker_that_was_stopped_is_named_and_one_that_runs_is_not(aiida_profile, answering):
    worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
    try:
        workers = {'info': {str(worker.pid): {}}}
        assert answering(lambda self, timeout=None: workers) is None
        os.kill(worker.pid, signal.SIGSTOP)
        os.waitpid(worker.pid, os.WUNTRACED)
        assert f'({worker.pid}) are stopped or dead' in answering(lambda self, timeout=None: workers)
    finally:
        worker.kill()
        worker.wait()


class Controller:
    """Workers that have some processes: as RabbitMQ refuses a message that nobody takes, or as ZeroMQ's server does."""

    def __init__(self, has, raises):
        self.has, self.raises = has, raises

    def get_status(self, pk):
        future = Future()
        if pk in self.has:
            future.set_result({})
        elif self.raises:
            raise UnroutableError('no route')
        else:
            future.set_exception(Exception(f'Recipient not found: {pk}'))
        return future


@pytest.mark.parametrize('raises', [True, False], ids=['RabbitMQ', 'ZeroMQ'])
def test_a_process_that_no_worker_has_does_not_answer(raises):
    assert services.unanswered(Controller({1, 3}, raises), [1, 2, 3]) == [2]


def test_a_worker_that_is_too_busy_to_answer_has_its_process(monkeypatch):
    monkeypatch.setattr(services, '_ANSWER_WITHIN_S', 0.0)
    assert services.unanswered(SimpleNamespace(get_status=lambda pk: Future()), [1]) == []


def test_a_process_that_neither_worker_nor_broker_has_is_lost(process):
    ask = lambda pks: pks  # noqa: E731
    assert services.lost_processes([process.pk], ask, lambda: 0, pause=0.0) == [process.pk]


def test_a_process_may_wait_for_a_free_worker(process):
    assert services.lost_processes([process.pk], lambda pks: pks, lambda: 1, pause=0.0) == []


def test_a_process_that_ended_meanwhile_is_not_lost(process):
    process.set_process_state(ProcessState.FINISHED)
    assert services.lost_processes([process.pk], lambda pks: pks, lambda: 0, pause=0.0) == []


def test_a_process_that_was_made_just_now_is_not_lost(process, monkeypatch):
    monkeypatch.setattr(services, '_ON_ITS_WAY_S', 3600.0)
    assert services.lost_processes([process.pk], lambda pks: pks, lambda: 0, pause=0.0) == []


def test_a_process_on_its_way_from_the_queue_to_a_worker_is_not_lost(process):
    answers = iter([[process.pk], [process.pk], []])
    assert services.lost_processes([process.pk], lambda pks: next(answers), lambda: 0, pause=0.0) == []


def test_tasks_are_counted_without_taking_one_from_a_worker(tmp_path):
    for state in ('pending', 'processing'):
        (tmp_path / 'tasks' / state).mkdir(parents=True)
        (tmp_path / 'tasks' / state / '1_a.json').write_text('{}')
    broker = ZeromqBroker.__new__(ZeromqBroker)
    broker._storage_path = tmp_path
    assert services.n_waiting(broker) == 1
    assert (tmp_path / 'tasks' / 'processing' / '1_a.json').exists()


def test_a_full_disk_of_the_repository_is_named(aiida_profile, monkeypatch):
    assert services._full_disk() == []
    usage = shutil.disk_usage('/')._replace(free=3 * 10**6)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    (sentence,) = services._full_disk()
    assert 'is full (3 MB left)' in sentence


def test_status_of_a_run_that_is_not_over_says_what_is_wrong(command, process, monkeypatch):
    monkeypatch.setattr(services, 'complaints', lambda processes: [f'No worker has {processes}.'])
    assert f'No worker has [{process.pk}].' in command('status', process.pk).output
