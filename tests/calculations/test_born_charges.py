"""Born charges from a node: files of phonopy and of Quantum ESPRESSO, put in the order of the crystal."""

from pathlib import Path

import pytest
from aiida import orm
from ase.build import bulk

from aiida_mlcc.calculations.functions.born_charges import born_charges
from aiida_mlcc.calculations.runtime_source import science_hash

DATA = Path(__file__).parents[1] / 'data' / 'quantum_espresso'


def taken(path: Path, primitive: orm.StructureData):
    nac = orm.SinglefileData(path)
    return born_charges.run_get_node(nac, primitive, orm.Float(1e-5), science_hash(born_charges))


@pytest.mark.parametrize(
    ('name', 'formula', 'a', 'charge', 'dielectric'),
    [('ph_LiF.6.out', 'LiF', 3.93, 1.038365, 2.135696), ('lih_lda.fc', 'LiH', 4.017, 0.940517, 3.963782)],
)
def test_files_of_quantum_espresso_are_taken_for_what_they_are(aiida_profile, name, formula, a, charge, dielectric):
    found, _ = taken(DATA / name, orm.StructureData(ase=bulk(formula, 'rocksalt', a=a)))
    assert found.get_array('born_charges')[:, 0, 0] == pytest.approx([charge, -charge], abs=1e-6)
    assert found.get_array('dielectric')[2, 2] == pytest.approx(dielectric, abs=1e-6)


def test_charges_of_another_crystal_are_a_sentence(aiida_profile):
    _, process = taken(DATA / 'lih_lda.fc', orm.StructureData(ase=bulk('LiF', 'rocksalt', a=4.017)))
    assert process.exit_status == 400
    assert 'belong to another cell' in process.exit_message
