"""The Born charges that a force field stands for, from its node."""

import numpy as np
import pytest
from aiida import orm

from aiida_mlcc.calculations.functions.force_field_charges import force_field_charges
from aiida_mlcc.calculations.runtime_source import science_hash
from aiida_mlcc.data.force_field import ForceFieldData
from tests.crystals import rocksalt, springs
from tests.workflows.test_polar import CHARGE, EPSILON, polar


def taken(force_field: ForceFieldData):
    primitive = orm.StructureData(ase=rocksalt())
    return force_field_charges.run_get_node(force_field, primitive, science_hash(force_field_charges))


def test_they_go_with_the_root_of_the_weight(aiida_profile):
    found, _ = taken(polar(rocksalt(), 0.81))
    assert found.get_array('born_charges') == pytest.approx(0.9 * CHARGE * np.array([np.eye(3), -np.eye(3)]))
    assert found.get_array('dielectric') == pytest.approx(EPSILON * np.eye(3))


@pytest.mark.parametrize(
    ('force_field', 'reason'),
    [
        (lambda: ForceFieldData(springs(rocksalt())), 'it has no dipole–dipole energy'),
        (lambda: polar(rocksalt(), -0.1), 'it has one of weight -0.10'),
    ],
    ids=['none', 'negative'],
)
def test_where_there_are_none_the_reason_is_said(aiida_profile, force_field, reason):
    _, process = taken(force_field())
    assert process.exit_status == 400
    assert reason in process.exit_message
