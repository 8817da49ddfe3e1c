"""ForceFieldData: JSON and safetensors, checked on the way back."""

import io

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_mlcc.calculations.functions.sum_force_fields import sum_force_fields
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.force_field import WEIGHTS_FILE, ForceFieldError
from tests.crystals import rocksalt, springs


def test_round_trip_keeps_content_and_method(aiida_profile):
    force_field = springs(rocksalt(), method='CCSD(T)')
    node = orm.load_node(ForceFieldData(force_field).store().pk)
    assert node.get_force_field().content_hash() == force_field.content_hash() == node.content_hash
    assert node.method == 'CCSD(T)'


@pytest.mark.parametrize(
    ('role', 'base_method', 'label'),
    [
        ('base', None, 'ML(PBEsol), seed 7'),
        ('control', None, 'ML(PBEsol(E)), seed 7'),
        ('delta', 'LDA', 'Δ(PBEsol − LDA), seed 7'),
        ('sum', 'LDA', 'ML(PBEsol), seed 7'),
    ],
)
def test_a_query_finds_a_force_field_by_what_it_is(aiida_profile, role, base_method, label):
    node = ForceFieldData(springs(rocksalt(), method='PBEsol')).say_origin(role, 'mace', 7, base_method).store()
    for place in ('attributes', 'extras.mlcc'):
        wanted = {'label': label, 'role': role, 'kind': 'mace', 'method': 'PBEsol', 'seed': 7}
        filters = {f'{place}.{name}': value for name, value in wanted.items()}
        found = orm.QueryBuilder().append(ForceFieldData, filters={**filters, 'label': label}).all(flat=True)
        assert node.uuid in {one.uuid for one in found}


def test_a_sum_says_of_which_base_and_delta(aiida_profile):
    base = ForceFieldData(springs(rocksalt(), method='LDA')).say_origin('base', 'force-constants', 7).store()
    delta = ForceFieldData(springs(rocksalt(), stiffness=1.0, method='HF'))
    delta.say_origin('delta', 'readout', 5, 'LDA').store()
    total = sum_force_fields(base, delta, orm.Str('science'))
    assert total.base.extras.get(ForceFieldData.ORIGIN) == {
        'label': 'ML(HF), seed 7',
        'role': 'sum',
        'kind': 'force-constants + readout',
        'method': 'HF',
        'base_method': 'LDA',
        'seed': 7,
    }


def test_a_sum_of_force_fields_of_older_versions_is_stored_without_an_origin(aiida_profile):
    nodes = [ForceFieldData(springs(rocksalt(), method=method)).store() for method in ('LDA', 'HF')]
    total = sum_force_fields(*nodes, orm.Str('science'))
    assert total.method == 'HF'
    assert 'role' not in total.base.attributes.all


def test_only_json_and_safetensors_are_stored(aiida_profile):
    node = ForceFieldData(springs(rocksalt())).store()
    assert sorted(node.base.repository.list_object_names()) == ['force_field.json', 'weights.safetensors']


def test_tampered_weights_are_refused(aiida_profile):
    node = ForceFieldData(springs(rocksalt()))
    other = ForceFieldData(springs(rocksalt(), stiffness=4.0))
    weights = other.base.repository.get_object_content(WEIGHTS_FILE, mode='rb')
    node.base.repository.put_object_from_filelike(io.BytesIO(weights), WEIGHTS_FILE)
    with pytest.raises(ForceFieldError, match='damaged'):
        node.get_force_field()


def test_empty_node_is_not_stored(aiida_profile):
    with pytest.raises(ValidationError, match='needs the files'):
        ForceFieldData().store()


def test_calculator_gives_forces_that_are_the_gradient_of_its_energy(aiida_profile):
    atoms = supercell(rocksalt(), 2)
    atoms.calc = ForceFieldData(springs(rocksalt())).store().get_calculator()
    atoms.rattle(0.05, seed=1)
    forces = atoms.get_forces()
    step = 1e-4
    energies = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[3, 1] += sign * step
        moved.calc = atoms.calc
        energies.append(moved.get_potential_energy())
    assert forces[3, 1] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-6)
    assert np.abs(forces.sum(axis=0)).max() < 1e-10
