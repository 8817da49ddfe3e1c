import json
from dataclasses import replace

import numpy as np
import pytest

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.force_field import ForceField, ForceFieldError, Term, add_delta
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel


def term(seed=0, **settings):
    arrays = {'weights': np.random.default_rng(seed).normal(size=(3, 4))}
    return Term('mace', {'r_max': 3.0, **settings}, arrays, trained_on={'method': 'LDA', 'seed': seed})


def energy(field, atoms):
    """Of force fields made of force constants: the sum as the module's docstring has it."""
    energies = [t.weight * ForceConstantsModel(t).bind(atoms).energy_forces(atoms.positions)[0] for t in field.terms]
    return sum(energies) + field.constant_of(atoms.get_chemical_symbols())


def test_a_folder_gives_everything_back(tmp_path):
    probe = {'symbols': ['C'], 'cell': np.eye(3).tolist(), 'positions': [[0, 0, 0]], 'energy': -1.25}
    field = ForceField((replace(term(), weight=0.3), term(1)), {'C': -3.5}, 0.07, probe)
    field.save(tmp_path / 'field')
    found = ForceField.load(tmp_path / 'field')
    assert found.content_hash() == field.content_hash()
    assert found.describe() == json.loads(json.dumps(field.describe()))
    assert np.array_equal(found.terms[1].arrays['weights'], field.terms[1].arrays['weights'])
    assert found.probe == probe


def test_equal_force_fields_give_equal_bytes(tmp_path):
    arrays = {'b': np.arange(4.0), 'a': np.arange(6).reshape(2, 3)}
    for name, ordered in (('one', arrays), ('two', dict(reversed(arrays.items())))):
        ForceField((Term('mace', {'x': 1, 'y': 2}, ordered),), {'C': 1.0}).save(tmp_path / name)
    for file in ('force_field.json', 'weights.safetensors'):
        assert (tmp_path / 'one' / file).read_bytes() == (tmp_path / 'two' / file).read_bytes()


def test_damaged_weights_and_other_formats_are_refused(tmp_path):
    ForceField((term(),)).save(tmp_path)
    weights = bytearray((tmp_path / 'weights.safetensors').read_bytes())
    weights[-1] ^= 1
    (tmp_path / 'weights.safetensors').write_bytes(weights)
    with pytest.raises(ForceFieldError, match=r'term 0 .* is damaged'):
        ForceField.load(tmp_path)
    description = json.loads((tmp_path / 'force_field.json').read_text())
    with pytest.raises(ForceFieldError, match='format 99'):
        ForceField.rebuild({**description, 'format': 99}, {})


def test_a_kind_of_term_that_nobody_knows_is_refused():
    with pytest.raises(ForceFieldError, match=r"'os\.system'"):
        Term('os.system', {}, {})


def test_the_hash_of_a_term_is_that_of_its_energy_and_not_of_its_weight_or_history():
    assert term().content_hash == replace(term(), weight=2.0, trained_on={}).content_hash
    assert term().content_hash != term(1).content_hash
    assert term().content_hash != term(r_max=4.0).content_hash
    assert (
        term().content_hash != replace(term(), arrays={'weights': term().arrays['weights'].astype('f4')}).content_hash
    )


def test_weights_constants_and_scale_count_in_the_hash_of_a_force_field():
    field = ForceField((term(),), {'C': 1.0})
    others = [
        replace(field, terms=(replace(term(), weight=2.0),)),
        replace(field, constants={'C': 2.0}),
        replace(field, base_scale=0.1),
    ]
    assert len({f.content_hash() for f in (field, *others)}) == 4


def test_an_element_without_a_constant_is_an_error():
    assert ForceField((), {'C': 1.5, 'H': 1.0}).constant_of(['C', 'H', 'C']) == 4.0
    with pytest.raises(ForceFieldError, match='knows the elements C, not H'):
        ForceField((), {'C': 1.5}).constant_of(['C', 'H'])


def test_base_and_delta_add_up_as_energies(springs, diamond):
    base = ForceField((springs(diamond, 3.0),), {'C': -100.0})
    delta = ForceField((springs(diamond, 2.0, along=1.0),), {'C': 0.3}, base_scale=0.08)
    atoms = supercell(diamond, 2)
    atoms.rattle(0.05, seed=1)
    expected = 1.08 * energy(base, atoms) + energy(replace(delta, base_scale=0.0), atoms)
    assert energy(add_delta(base, delta), atoms) == pytest.approx(expected, abs=1e-9)


def test_identical_terms_merge_into_one_weight(springs, diamond):
    shared, other = springs(diamond, 3.0), springs(diamond, 2.0)
    base = ForceField((shared,), {'C': 1.0})
    delta = ForceField((replace(shared, weight=-0.25), other), {'C': 0.5}, base_scale=0.1)
    total = add_delta(base, delta)
    assert [t.content_hash for t in total.terms] == [shared.content_hash, other.content_hash]
    assert total.terms[0].weight == pytest.approx(0.85)
    atoms = supercell(diamond, 2)
    atoms.rattle(0.05, seed=1)
    expected = 1.1 * energy(base, atoms) + energy(replace(delta, base_scale=0.0), atoms)
    assert energy(total, atoms) == pytest.approx(expected, abs=1e-9)


def test_a_delta_is_no_base():
    delta = ForceField((term(),), {'C': 1.0}, base_scale=0.1)
    with pytest.raises(ForceFieldError, match='base of another'):
        add_delta(delta, delta)
