"""Phonopy of several nodes with one search for symmetry, against phonopy of each node on its own."""

import numpy as np
import pytest
from aiida import orm
from aiida_phonopy.data.phonopy import PhonopyData
from aiida_phonopy.data.preprocess import PreProcessData

from aiida_mlcc.calculations.functions.phonopy_instance import PhonopyInstances, without_symmetry
from tests.curve_sources import argon_forces


@pytest.fixture(scope='module')
def members():
    return argon_forces(), argon_forces(epsilon=0.0110)


def test_members_share_the_symmetry_of_their_supercell_and_not_their_forces(members):
    instances = PhonopyInstances()
    found = [instances.of(member) for member in members]
    assert found[0].symmetry is found[1].symmetry
    for phonon, member in zip(found, members, strict=True):
        alone = member.get_phonopy_instance(subtract_residual_forces=True)
        alone.produce_force_constants()
        alone.symmetrize_force_constants(show_drift=False)
        assert np.array_equal(phonon.force_constants, alone.force_constants)


def test_a_member_with_charges_lends_them_to_no_other(members):
    charged = members[0].clone()
    charged.set_array('born_charges', np.zeros((1, 3, 3)))
    charged.set_dielectric(2 * np.eye(3))
    instances = PhonopyInstances()
    with_charges, without = instances.of(charged), instances.of(members[1])
    assert np.array_equal(with_charges.nac_params['dielectric'], 2 * np.eye(3))
    assert without.nac_params is None


def test_another_mass_or_another_cell_is_another_crystal(members):
    heavy = members[0].clone()
    heavy.base.attributes.set('masses', [42.0])
    instances = PhonopyInstances()
    first, isotope, expanded = (instances.of(node) for node in (members[0], heavy, argon_forces(strain=0.01)))
    assert isotope.primitive.masses[0] == 42.0 != first.primitive.masses[0]
    assert expanded.primitive.cell[0, 1] == pytest.approx(1.01 * first.primitive.cell[0, 1])


def test_a_node_without_symmetry_has_the_same_displaced_cells():
    preprocess = PreProcessData(
        structure=orm.StructureData(ase=argon_forces().get_unitcell().get_ase()), supercell_matrix=[2, 2, 2]
    ).store()
    found, expected = without_symmetry(preprocess), preprocess
    cells = [node.get_phonopy_instance().supercells_with_displacements for node in (found, expected)]
    assert np.array_equal([cell.positions for cell in cells[0]], [cell.positions for cell in cells[1]])
    assert preprocess.is_symmetry
    assert not found.is_symmetry
    assert PhonopyData(found).displacement_dataset == PhonopyData(expected).displacement_dataset
