"""Formulas as chemists write them."""

import pytest
from ase import Atoms

from aiida_mlcc.science.crystal.formula import formula_of


@pytest.mark.parametrize(
    'formula', ['LiF', 'SiO2', 'ZnO', 'CaTiO3', 'MgAl2O4', 'BN', 'SiC', 'LiH', 'H2O', 'GaAs', 'C', 'NH3']
)
def test_elements_stand_in_the_order_of_nomenclature(formula):
    assert formula_of(Atoms(formula).symbols[::-1]) == formula


def test_common_factors_are_kept_if_asked():
    assert formula_of(Atoms('F4Li4').symbols) == 'LiF'
    assert formula_of(Atoms('F4Li4').symbols, reduced=False) == 'Li4F4'
