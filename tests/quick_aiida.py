"""AiiDA without what costs time and is of no use to a profile that one process uses and then throws away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any, BinaryIO

from aiida.common.links import LinkType
from aiida.engine import Process
from aiida.manage.manager import Manager
from aiida.orm import Data, Node
from aiida.orm.convert import get_orm_entity
from aiida.orm.nodes.caching import NodeCaching
from aiida.orm.nodes.links import NodeLinks
from aiida.orm.utils import serialize
from aiida.orm.utils.links import LinkTriple, validate_link
from aiida.repository.backend.disk_object_store import DiskObjectStoreRepositoryBackend
from aiida.schedulers.datastructures import JobInfo, JobState
from aiida.schedulers.plugins.direct import DirectScheduler
from aiida.storage.psql_dos.orm.utils import ModelWrapper
from aiida.storage.sqlite_dos.backend import SqliteDosStorage
from aiida.storage.sqlite_zip.models import DbLink, DbNode
from plumpy.ports import Port, PortNamespace
from sqlalchemy import event, select
from sqlalchemy.engine import Engine
from yaml.cyaml import CEmitter
from yaml.representer import Representer
from yaml.resolver import Resolver

POLL_SECONDS = 0.1
"""How long a WorkChain waits before it asks after its children again, and AiiDA before it asks after a job."""


def install() -> None:
    """Change AiiDA in this process, for good."""
    event.listen(Engine, 'connect', _write_without_waiting_for_the_disk)
    # A test profile asks without a pause otherwise.
    Manager.create_runner = partialmethod(Manager.create_runner, poll_interval=POLL_SECONDS)
    # Nobody else writes to the database: what the session holds is what is stored.
    ModelWrapper._ensure_model_uptodate = lambda self, fields=None: None
    initialise = SqliteDosStorage._initialise_session

    def initialise_and_keep(self: SqliteDosStorage) -> None:
        initialise(self)
        self._session_factory.configure(expire_on_commit=False)

    SqliteDosStorage._initialise_session = initialise_and_keep
    # A link of a process to what it makes closes no cycle; AiiDA asks the database whether it does.
    NodeLinks.validate_incoming = lambda self, source, link_type, link_label: validate_link(
        source, self._node, link_type, link_label, backend=self._node.backend
    )
    NodeLinks.get_stored_link_triples = _quick_link_triples(NodeLinks.get_stored_link_triples)
    Process.update_outputs = _only_where_there_are_new_outputs(Process.update_outputs)
    NodeCaching.compute_hash = _once_for_data(NodeCaching.compute_hash)
    store = DiskObjectStoreRepositoryBackend
    store.has_objects = _looking_for_files_first(store.has_objects)
    store.open = _opening_files_first(store.open)
    if Path('/proc/self/stat').exists():
        # Asked after jobs by their numbers, not after all that a user has.
        DirectScheduler._features = {**DirectScheduler._features, 'can_query_by_user': False}
        DirectScheduler.get_jobs = _jobs_on_this_computer
    # A builder describes each of its ports in JSON, for a person who asks for help.
    Port.__str__ = PortNamespace.__str__ = lambda self: str(self.name)
    # Checkpoints are written as ever, by libyaml.
    serialize.AiiDADumper = _QuickDumper


def _quick_link_triples(original: Callable[..., list[LinkTriple]]) -> Callable[..., list[LinkTriple]]:
    """Read the table of links, and take the nodes that the session has; AiiDA puts a query together each time."""

    def get_stored_link_triples(
        self: NodeLinks,
        node_class: type[Node] | None = None,
        link_type: Any = (),
        link_label_filter: str | None = None,
        link_direction: str = 'incoming',
        only_uuid: bool = False,
    ) -> list[LinkTriple]:
        backend = self._node.backend
        if not isinstance(backend, SqliteDosStorage) or '%' in (link_label_filter or ''):
            return original(self, node_class, link_type, link_label_filter, link_direction, only_uuid)
        types = link_type if isinstance(link_type, tuple | list) else (link_type,)
        here, there = DbLink.output_id, DbLink.input_id
        if link_direction == 'outgoing':
            here, there = there, here
        query = select(there, DbLink.type, DbLink.label).where(here == self._node.pk).order_by(DbLink.id)
        if types:
            query = query.where(DbLink.type.in_([one.value for one in types]))
        if link_label_filter:
            query = query.where(DbLink.label == link_label_filter)
        session = backend.get_session()
        found = []
        for number, kind, label in session.execute(query).all():
            node = get_orm_entity(backend.get_backend_entity(session.get(DbNode, number)))
            if node_class is None or isinstance(node, node_class):
                found.append(LinkTriple(node.uuid if only_uuid else node, LinkType(kind), label))
        return found

    return get_stored_link_triples


def _only_where_there_are_new_outputs(original: Callable[[Process], None]) -> Callable[[Process], None]:
    """AiiDA asks the database at each change of state which outputs have been attached."""

    def update_outputs(self: Process) -> None:
        n_outputs = len(self._flat_outputs())
        if n_outputs != getattr(self, '_n_outputs_attached', 0):
            original(self)
            self._n_outputs_attached = n_outputs

    return update_outputs


def _once_for_data(original: Callable[..., str | None]) -> Callable[..., str | None]:
    """What is stored does not change, and so has the hash that it was stored with."""

    def compute_hash(self: NodeCaching, ignore_errors: bool = True, **kwargs: Any) -> str | None:
        stored = self.get_hash() if isinstance(self._node, Data) and not kwargs else None
        return stored or original(self, ignore_errors, **kwargs)

    return compute_hash


def _looking_for_files_first(original: Callable[..., list[bool]]) -> Callable[..., list[bool]]:
    """A file that nobody has packed is there without asking the index of packed ones."""

    def has_objects(self: DiskObjectStoreRepositoryBackend, keys: list[str]) -> list[bool]:
        if all(self._container._get_loose_path_from_hashkey(key).exists() for key in keys):
            return [True] * len(keys)
        return original(self, keys)

    return has_objects


def _opening_files_first(original: Callable[..., Any]) -> Callable[..., Any]:
    @contextlib.contextmanager
    def open_object(self: DiskObjectStoreRepositoryBackend, key: str) -> Iterator[BinaryIO]:
        path = self._container._get_loose_path_from_hashkey(key)
        with path.open('rb') if path.exists() else original(self, key) as handle:
            yield handle

    return open_object


def _jobs_on_this_computer(
    self: DirectScheduler, jobs: list[str] | None = None, user: str | None = None, as_dict: bool = False
) -> Any:
    """Read which jobs run without a shell that calls ``ps``."""
    found = []
    for job in jobs or ():
        with contextlib.suppress(OSError):
            state = Path(f'/proc/{job}/stat').read_text().rpartition(')')[2].split()[0]
            if state not in 'ZX':
                found.append(JobInfo({'job_id': job, 'job_state': JobState.RUNNING}))
    return {job.job_id: job for job in found} if as_dict else found


class _QuickDumper(CEmitter, serialize.AiiDADumper):
    def __init__(self, stream: Any, default_style: Any = None, default_flow_style: Any = False, **options: Any) -> None:
        sort_keys = options.pop('sort_keys', True)
        CEmitter.__init__(self, stream, **options)
        Representer.__init__(self, default_style, default_flow_style, sort_keys)
        Resolver.__init__(self)


def _write_without_waiting_for_the_disk(connection: Any, record: Any) -> None:
    connection.execute('PRAGMA synchronous = OFF')
