"""A network as a term of a force field."""

from __future__ import annotations

from ase.build import bulk

from tests.science.force_field.term_examples import TermExample


def example() -> TermExample:
    """Return a network that was never trained."""
    from tests.runtime.alloy import cell, random_term

    return TermExample((random_term(),), cell(), bulk('AgAu', 'cesiumchloride', a=3.2))


def test_its_example_is_of_two_elements() -> None:
    assert set(example().cell.symbols) == {'Cu', 'Au'}
