"""What was found of a node, kept: results, page, figures and bundle ask the same of the same nodes many times."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from aiida import orm
from aiida.orm.implementation import StorageBackend

T = TypeVar('T')

_KEPT = 2000
_all: list[OrderedDict[tuple[StorageBackend, str], Any]] = []


def remembered(function: Callable[[Any], T]) -> Callable[[Any], T]:
    """Keep what a function of one node finds in the provenance, of nodes for which that changes no more.

    These are data, whose ancestors were there before them, and processes that are sealed. What is returned is shared:
    nobody may change it. A storage that is closed must be :func:`forgotten <forget>`.
    """
    found: OrderedDict[tuple[StorageBackend, str], T] = OrderedDict()
    _all.append(found)

    @wraps(function)
    def of(node: Any) -> T:
        if isinstance(node, orm.ProcessNode) and not node.is_sealed:
            return function(node)
        key = node.backend, node.uuid
        if key not in found:
            while len(found) >= _KEPT:
                found.popitem(last=False)
            found[key] = function(node)
        return found[key]

    return of


def forget() -> None:
    """Forget all that is kept."""
    for found in _all:
        found.clear()
