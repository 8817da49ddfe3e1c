"""Force constants of one crystal are evaluated as one term, which has the energy and forces of all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_mlcc.science.force_field import Term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.force_field.fourth_order import bonds_within
from aiida_mlcc.science.force_field.kinds import models_of
from aiida_mlcc.science.force_field.sum_force_constants import summed
from tests.crystals import cubic_springs, rocksalt, rocksalt_cube, spring_term

PRIMITIVE, CELL = rocksalt(), rocksalt_cube()


def with_higher_orders(term: Term, cubic_cutoff: float | None, bond_cutoff: float | None) -> Term:
    arrays = dict(term.arrays)
    if cubic_cutoff is not None:
        triplets, third = cubic_springs(PRIMITIVE, cubic_cutoff, 5.0)
        arrays |= {'triplets': triplets.sites, 'triplet_vectors': triplets.lattice_vectors, 'third_order': third}
    if bond_cutoff is not None:
        bonds = bonds_within(PRIMITIVE, bond_cutoff)
        arrays |= {'bonds': bonds.pairs, 'bond_vectors': bonds.lattice_vectors, 'bond_kinds': bonds.kinds}
        arrays['fourth_order'] = np.arange(1.0, 3 * bonds.n_kinds + 1).reshape(-1, 3)
    return replace(term, arrays=arrays)


TERMS = (
    with_higher_orders(spring_term(PRIMITIVE, 3.0), 2.5, 2.5),
    replace(with_higher_orders(spring_term(PRIMITIVE, 4.2, along=1.0), 3.0, None), weight=0.7),
    replace(with_higher_orders(spring_term(PRIMITIVE, 2.5, along=-0.5), None, 2.5), weight=-0.3),
)


def one_by_one(positions: np.ndarray, terms: tuple[Term, ...]) -> tuple[float, np.ndarray]:
    found = [(term.weight, ForceConstantsModel(term).bind(CELL).energy_forces(positions)) for term in terms]
    return sum(weight * energy for weight, (energy, _) in found), sum(weight * forces for weight, (_, forces) in found)


@pytest.fixture
def positions() -> np.ndarray:
    return CELL.positions + np.random.default_rng(0).normal(scale=0.05, size=(len(CELL), 3))


def test_the_sum_has_the_energy_and_forces_of_its_terms(positions) -> None:
    (model,) = models_of(TERMS)
    energy, forces = model.bind(CELL).energy_forces(positions)
    expected_energy, expected_forces = one_by_one(positions, TERMS)
    assert energy == pytest.approx(expected_energy, abs=1e-12)
    assert forces == pytest.approx(expected_forces, abs=1e-12)


def test_terms_of_other_places_or_other_bonds_stay_apart(positions) -> None:
    elsewhere = PRIMITIVE.copy()
    elsewhere.positions += 0.1
    others = (TERMS[0], spring_term(elsewhere, 3.0), with_higher_orders(spring_term(PRIMITIVE, 3.0), None, 3.0))
    assert len(summed(others)) == 3
    energy = sum(model.bind(CELL).energy_forces(positions)[0] for model in models_of(others))
    assert energy == pytest.approx(one_by_one(positions, others)[0], abs=1e-12)


def test_one_term_is_left_as_it_is() -> None:
    assert summed(TERMS[:1]) == [TERMS[0]]
