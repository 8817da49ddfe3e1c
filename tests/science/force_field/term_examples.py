"""An example of each kind of term, which the contract of the table is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from ase import Atoms

from aiida_mlcc.science.force_field import Term


@dataclass(frozen=True)
class TermExample:
    """What one kind of term needs to be tested.

    :param terms: a term of the kind, the last, and before it the terms that it needs.
    :param cell: the smallest cell of the crystal that it is for.
    :param other: another crystal, which it refuses.
    """

    terms: tuple[Term, ...]
    cell: Atoms
    other: Atoms


def example_of(kind: str) -> TermExample:
    """Return what `example` in the test file of a kind gives: ``test_force_constants.py`` for ``force-constants``."""
    module = import_module(f'tests.science.force_field.test_{kind.replace("-", "_")}')
    found = module.example()
    assert found.terms[-1].kind == kind
    return found
