"""Finding the node a person means, and the shell lines that open it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aiida.orm import Node, ProcessNode


_LISTED = 10


def find(identifier: str, node_class: Any = None) -> Node:
    """Return the node with this PK, UUID (or the start of one) or label.

    :param node_class: the class it has to be of, a node's ORM class.
    :raises click.UsageError: where there is none, or more than one.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import Node, ProcessNode, QueryBuilder, load_node

    several = False
    try:
        node = load_node(identifier)
    except (NotExistent, ValueError):
        node = None
    except MultipleObjectsError:
        # AiiDA looks for the start of a UUID, and for labels.
        node = None
        several = True
    if node is None:
        query = QueryBuilder().append(Node, filters={'label': identifier}, tag='node')
        labelled = query.order_by({'node': {'ctime': 'desc'}}).all(flat=True)
        if len(labelled) > 1:
            runs_first = sorted(labelled, key=lambda node: not isinstance(node, ProcessNode))
            lines = [f'  {describe(one)}  {one.ctime:%Y-%m-%d %H:%M}  {one.uuid}' for one in runs_first[:_LISTED]]
            lines += [f'  and {len(labelled) - _LISTED} more'] if len(labelled) > _LISTED else []
            raise click.UsageError(
                '\n'.join([f'{len(labelled)} nodes have the label {identifier!r}: give a PK or UUID.', *lines])
            )
        if not labelled and several:
            raise click.UsageError(f'{identifier} is the start of more than one UUID: give more of it.')
        if not labelled:
            raise click.UsageError(f'No node has the PK, UUID or label {identifier!r} in this profile.')
        node = labelled[0]
    if node_class is not None and not isinstance(node, node_class):
        raise click.UsageError(f'{describe(node)} is not a {node_class.__name__}.')
    return node


def find_process(identifier: str) -> ProcessNode:
    """Return the process a person means by its own identifier, or by that of one of its outputs."""
    from aiida.orm import ProcessNode

    from aiida_mlcc.report.data.outputs import returned_by

    node = find(identifier)
    if isinstance(node, ProcessNode):
        return node
    master = returned_by(node)
    if master is None:
        raise click.UsageError(f'{describe(node)} is not a process, and no WorkChain of aiida-mlcc returned it.')
    return master


def describe(node: Node) -> str:
    """Name a node in a sentence."""
    name = getattr(node, 'process_label', None) or type(node).__name__
    return f'{name}<{node.pk}>'


def lines_to_open(node: Node) -> list[str]:
    """Return the shell lines that open `node` in another terminal."""
    suffix = profile_suffix()
    return [
        export_line(),
        f'verdi{suffix} process show {node.uuid}',
        f'aiida-mlcc status{suffix} {node.uuid}',
        f'aiida-mlcc results{suffix} {node.uuid}',
        f'aiida-mlcc trace{suffix} {node.uuid}',
        f'aiida-mlcc export{suffix} {node.uuid} -o {node.uuid[:8]}.aiida',
    ]


def profile_suffix() -> str:
    """Return what names the loaded profile on a command line, nothing where it is the default one."""
    from aiida.manage.configuration import get_config, get_profile

    profile = get_profile()
    return '' if profile is None or profile.name == get_config().default_profile_name else f' -p {profile.name}'


def export_line() -> str:
    """Return the shell line by which ``verdi`` and ``aiida-mlcc`` find the loaded profile."""
    from aiida.manage.configuration import get_config

    folder, programs = Path(get_config().dirpath).parent, Path(sys.executable).parent
    return f'export AIIDA_PATH={shlex.quote(str(folder))} PATH={shlex.quote(str(programs))}:$PATH'
