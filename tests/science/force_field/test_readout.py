"""A readout term: stored, found again beside its network, and weighed by element."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aiida_mlcc.science.force_field import ForceField, ForceFieldError, Term, add_delta
from aiida_mlcc.science.force_field.kinds import refuse_incomplete
from aiida_mlcc.science.force_field.readout import combined_weights, readout_term
from tests.science.force_field.term_examples import TermExample, example_of

TRUNK = Term('mace', {'r_max': 3.0}, {'weights': np.arange(3.0)}, trained_on={'method': 'PBE'})
WEIGHTS = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])


def readout(trunk: Term = TRUNK, method: str = 'HF') -> Term:
    return readout_term(trunk, ['F', 'Li'], WEIGHTS, {'method': method})


def example() -> TermExample:
    """Return a readout of a network that was never trained."""
    from tests.runtime.mace.alloy import random_term

    weights = np.random.default_rng(2).normal(size=(2, 8))
    return replace(example_of('mace'), terms=(random_term(), readout_term(random_term(), ['Cu', 'Au'], weights)))


def test_a_saved_delta_comes_back_without_its_network(tmp_path: Path) -> None:
    delta = ForceField((readout(),), {'F': 0.5, 'Li': 0.5}, 0.1)
    delta.save(tmp_path)
    assert ForceField.load(tmp_path).content_hash() == delta.content_hash()


def test_added_to_its_base_it_stands_beside_its_network() -> None:
    base = ForceField((TRUNK,), {'F': 1.0, 'Li': 1.0})
    total = add_delta(base, ForceField((readout(),), {'F': 0.5, 'Li': 0.5}, 0.25, method='HF'))
    assert [(term.kind, term.weight) for term in total.terms] == [('mace', 1.25), ('readout', 1.0)]
    refuse_incomplete(total.terms)
    assert total.method == 'HF'


def test_the_factor_of_a_network_does_not_make_it_another() -> None:
    refuse_incomplete([replace(TRUNK, weight=0.7), readout()])


def test_another_network_is_not_its_own() -> None:
    other = replace(TRUNK, arrays={'weights': np.arange(3.0) + 1e-9})
    with pytest.raises(ForceFieldError, match='readout for HF'):
        refuse_incomplete([other, readout()])


def test_weights_go_to_the_elements_of_the_network_and_add_up() -> None:
    combined = combined_weights([readout(), replace(readout(), weight=0.5)], [3, 6, 9], 3)
    assert combined.tolist() == [[15.0, 30.0, 45.0], [0.0, 0.0, 0.0], [1.5, 3.0, 4.5]]
