"""What an unfinished run needs: a daemon that reacts, a task with the broker, room in the repository."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_mlcc.cli import daemon

if TYPE_CHECKING:
    from aiida.brokers import Broker

_LEAST_ROOM = 500 * 10**6
"""Bytes below which a disk counts as full."""

_ANSWER_WITHIN_S = 5.0
_LOOKS, _BETWEEN_LOOKS_S = 5, 3.0
_ON_ITS_WAY_S = 60.0
"""A busy computer takes this long to load a process that a worker has taken from the queue."""

_NOT_FOUND = 'Recipient not found'
_MOST_NAMED = 10


def complaints(processes: Iterable[int]) -> list[str]:
    """Return a sentence for each thing that keeps these processes, by PK, from going on; empty where nothing does."""
    if trouble := daemon.trouble():
        return [trouble, *_full_disk()]
    outdated = daemon.outdated()
    return [*_broker_complaint(list(processes)), *([outdated] if outdated else []), *_full_disk()]


def _broker_complaint(processes: list[int]) -> list[str]:
    from aiida.manage import get_manager

    broker = get_manager().get_broker()
    if broker is None or not processes:
        return []
    try:
        lost = lost_processes(processes, _asker(), lambda: n_waiting(broker))
    except Exception as error:  # each broker has exceptions of its own  # noqa: BLE001
        told = ' '.join(str(error).split()) or type(error).__name__
        return [f'The message broker does not respond ({told}), so no run continues: see `verdi status`.']
    if not lost:
        return []
    named = ', '.join(str(pk) for pk in lost[:_MOST_NAMED]) + (', …' if len(lost) > _MOST_NAMED else '')
    return [
        f'No worker has the {"process" if len(lost) == 1 else "processes"} {named}, and the broker has no task '
        'for them, so they never continue. Repair this with: `verdi daemon stop`, `verdi process repair`, `verdi '
        'daemon start`.'
    ]


def lost_processes(
    processes: list[int], ask: Callable[[list[int]], list[int]], waiting: Callable[[], int], pause: float | None = None
) -> list[int]:
    """Return the processes that no worker has while the broker has no task left to give out.

    A process between the queue and its worker is in neither: those made in the last minute are not lost, and the
    others are asked several times.

    :param ask: returns which of the given processes no worker answers for.
    :param waiting: how many tasks wait with the broker for a worker.
    :param pause: seconds between two of these times.
    """
    silent = _unfinished(processes)
    for look in range(_LOOKS):
        if look:
            time.sleep(_BETWEEN_LOOKS_S if pause is None else pause)
        silent = ask(silent)
        if not silent or waiting():
            return []
    return _unfinished(silent)


def _unfinished(processes: list[int]) -> list[int]:
    """Return those that have not ended meanwhile and were not made just now."""
    from aiida import orm
    from aiida.common import timezone

    filters = {
        'id': {'in': processes},
        'attributes.process_state': {'in': ['created', 'running', 'waiting']},
        'ctime': {'<': timezone.now() - timedelta(seconds=_ON_ITS_WAY_S)},
    }
    query = orm.QueryBuilder().append(orm.ProcessNode, filters=filters, project='id')
    return sorted(query.all(flat=True)) if processes else []


def _asker() -> Callable[[list[int]], list[int]]:
    from aiida.manage import get_manager

    controller = get_manager().get_process_controller()
    return lambda processes: unanswered(controller, processes)


def unanswered(controller: Any, processes: Iterable[int]) -> list[int]:
    """Return the processes that no worker has. One whose worker is too busy to answer is not among them."""
    from kiwipy import UnroutableError

    silent, asked = [], {}
    for pk in processes:
        try:
            asked[pk] = controller.get_status(pk)
        except UnroutableError:
            silent.append(pk)
    ends = time.monotonic() + _ANSWER_WITHIN_S
    for pk, future in asked.items():
        try:
            answer = future.result(timeout=max(0.0, ends - time.monotonic()))
            # RabbitMQ's answer is a future in a future.
            if hasattr(answer, 'result'):
                answer.result(timeout=max(0.0, ends - time.monotonic()))
        except UnroutableError:
            silent.append(pk)
        except Exception as error:  # a worker that is slow or says no has the process  # noqa: BLE001
            if _NOT_FOUND in str(error):
                silent.append(pk)
    return silent


def n_waiting(broker: Broker) -> int:
    """Return how many tasks wait for a worker. Nothing is taken out of the queue."""
    from aiida.brokers.zeromq.broker import ZeromqBroker

    if isinstance(broker, ZeromqBroker):
        # Opening its queue would give the tasks of the workers away a second time.
        return sum(1 for _ in (Path(broker._storage_path) / 'tasks' / 'pending').glob('*.json'))
    return _n_ready(broker)


def _n_ready(broker: Any) -> int:
    """Return the number of messages in RabbitMQ's queue that no worker has."""
    import asyncio

    import aio_pika
    from aiida.brokers.rabbitmq.utils import get_launch_queue_name

    async def count() -> int:
        connection = await aio_pika.connect(broker.get_url())
        async with connection:
            channel = await connection.channel()
            try:
                queue = await channel.declare_queue(get_launch_queue_name(broker._prefix), passive=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                return 0  # no daemon has made it yet
            return int(queue.declaration_result.message_count or 0)

    return asyncio.run(count())


def _full_disk() -> list[str]:
    from aiida.manage import get_manager

    profile = get_manager().get_profile()
    folder = None if profile is None else profile.storage_config.get('filepath')
    if folder is None:
        repository = None if profile is None else profile.storage_config.get('repository_uri')
        folder = None if repository is None else str(repository).removeprefix('file://')
    if folder is None or not Path(folder).exists():
        return []
    free = shutil.disk_usage(folder).free
    if free >= _LEAST_ROOM:
        return []
    return [
        f'The disk of the repository {folder} is full ({free / 1e6:.0f} MB left): results of jobs cannot be '
        'stored. Free disk space, then run `verdi process play --all`.'
    ]
