"""AiiDA without what costs time and is of no use to a profile that one process uses and then throws away."""

from __future__ import annotations

from functools import partialmethod
from typing import Any

from aiida.manage.manager import Manager
from aiida.orm.nodes.links import NodeLinks
from aiida.orm.utils import serialize
from aiida.orm.utils.links import validate_link
from aiida.storage.psql_dos.orm.utils import ModelWrapper
from aiida.storage.sqlite_dos.backend import SqliteDosStorage
from sqlalchemy import event
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
    # Checkpoints are written as ever, by libyaml.
    serialize.AiiDADumper = _QuickDumper


class _QuickDumper(CEmitter, serialize.AiiDADumper):
    def __init__(self, stream: Any, default_style: Any = None, default_flow_style: Any = False, **options: Any) -> None:
        sort_keys = options.pop('sort_keys', True)
        CEmitter.__init__(self, stream, **options)
        Representer.__init__(self, default_style, default_flow_style, sort_keys)
        Resolver.__init__(self)


def _write_without_waiting_for_the_disk(connection: Any, record: Any) -> None:
    connection.execute('PRAGMA synchronous = OFF')
