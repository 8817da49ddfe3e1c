"""Pseudopotentials of an aiida-pseudo family, and why a crystal cannot have them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from aiida import orm

NOT_INSTALLED = (
    'the engine is Quantum ESPRESSO, but aiida-quantumespresso is not installed: `pip install '
    "'aiida-mlcc[quantumespresso]'`"
)


def refuse_potentials(symbols: Sequence[str], family: str) -> str | None:
    """Return why the family has no potentials for the elements, in a sentence, or None."""
    if find_spec('aiida_quantumespresso') is None or find_spec('aiida_pseudo') is None:
        return NOT_INSTALLED
    try:
        there = {node.element for node in _nodes(family)}
    except LookupError:
        return (
            f'there is no family of pseudopotentials {family!r}: make one of GTH tables with `aiida-mlcc upf`, or '
            'install one with `aiida-pseudo install`; `aiida-pseudo list` shows those there are'
        )
    lacking = [symbol for symbol in dict.fromkeys(symbols) if symbol not in there]
    if not lacking:
        return None
    return (
        f'the family {family!r} has no pseudopotential of {lacking[0]}, only of {", ".join(sorted(there))}: take '
        'another `pseudo_family`'
    )


def potentials(symbols: Sequence[str], family: str) -> dict[str, orm.Data]:
    """Return element → node of its potential; only elements that :func:`refuse_potentials` lets pass are there."""
    wanted = dict.fromkeys(symbols)
    return {node.element: node for node in _nodes(family) if node.element in wanted}


def valence(symbols: Sequence[str], family: str) -> dict[str, float]:
    """Return element → electrons that its potential leaves."""
    return {element: float(node.z_valence) for element, node in potentials(symbols, family).items()}


def _nodes(family: str) -> list[Any]:
    """Return the potentials of a family.

    :raises LookupError: where there is none of this name.
    """
    query = orm.QueryBuilder()
    query.append(orm.Group, filters={'label': family, 'type_string': {'like': 'pseudo.family%'}}, tag='family')
    query.append(orm.Data, with_group='family')
    if not (nodes := query.all(flat=True)):
        raise LookupError(family)
    return nodes
