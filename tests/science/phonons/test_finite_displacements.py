"""Displacements of one atom: which atom it is, and what the sum rule makes of a net force."""

import numpy as np
import pytest

from aiida_mlcc.science.phonons.finite_displacements import by_the_sum_rule, displaced_atom

AT_REST = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize(('moved', 'expected'), [([], None), ([2], 2), ([0, 2], None)])
def test_the_displaced_atom_is_named_where_there_is_one(moved, expected):
    positions = AT_REST.copy()
    positions[moved, 1] += 0.01
    assert displaced_atom(positions, AT_REST) == expected


def test_an_error_of_the_force_on_the_displaced_atom_is_found_from_the_net_force():
    forces = np.random.default_rng(3).normal(size=(4, 3))
    forces -= forces.mean(axis=0)
    error = np.array([0.1, -0.2, 0.3])
    wrong = forces.copy()
    wrong[1] += error
    assert by_the_sum_rule(wrong - wrong.mean(axis=0), error, 1) == pytest.approx(forces)
