"""What a structure file may hold that is lost or cannot be calculated."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, graphene, molecule
from ase.spacegroup import crystal

from aiida_mlcc.science.crystal.structure_checks import open_shell_remark, refuse_contents, refuse_vacuum
from tests.textbook import TEXTBOOK, textbook


def layered(symbols, basis, group, cellpar):
    return crystal(symbols, basis, spacegroup=group, cellpar=cellpar)


LAYERED = {
    'graphite': layered(['C', 'C'], [(0, 0, 0.25), (1 / 3, 2 / 3, 0.25)], 194, [2.46, 2.46, 6.71, 90, 90, 120]),
    'MoS2': layered(['Mo', 'S'], [(1 / 3, 2 / 3, 0.25), (1 / 3, 2 / 3, 0.621)], 194, [3.16, 3.16, 12.29, 90, 90, 120]),
    'CO2': layered(['C', 'O'], [(0, 0, 0), (0.118, 0.118, 0.118)], 205, [5.62, 5.62, 5.62, 90, 90, 90]),
    'xenon': bulk('Xe', 'fcc', a=6.2),
    'caesium': bulk('Cs', 'bcc', a=6.05),
}


@pytest.mark.parametrize('formula', TEXTBOOK)
def test_textbook_crystals_pass_without_a_word(formula):
    atoms = textbook(formula)
    assert refuse_contents(atoms) is None
    assert refuse_vacuum(atoms) is None
    assert open_shell_remark(atoms.get_chemical_symbols()) is None


@pytest.mark.parametrize('name', LAYERED)
def test_layers_and_molecules_that_touch_are_crystals(name):
    assert refuse_vacuum(LAYERED[name]) is None
    assert refuse_vacuum(LAYERED[name] * (1, 2, 3)) is None


def slabs():
    sheet = graphene(vacuum=6)
    sheet.pbc = True
    upright = Atoms(sheet.symbols, cell=sheet.cell[[2, 0, 1]], positions=sheet.positions, pbc=True)
    box = molecule('CH4', vacuum=5, pbc=True)
    slab = fcc111('Al', (1, 1, 4), vacuum=6, periodic=True)
    slab.positions[:, 2] += 11  # across the boundary of the cell
    slab.wrap()
    return {'sheet': sheet, 'upright': upright, 'molecule': box, 'slab': slab}


@pytest.mark.parametrize('name', slabs())
def test_a_slab_and_a_molecule_have_vacuum_about_them(name):
    assert 'Å of vacuum' in refuse_vacuum(slabs()[name])


def test_a_partly_occupied_site_is_named_with_its_shares():
    atoms = bulk('ZnO', 'wurtzite', a=3.25, c=5.207)
    atoms.set_array('spacegroup_kinds', np.array([0, 0, 1, 1]))
    atoms.info['occupancy'] = {'0': {'Zn': 1}, '1': {'O': 1.0}}
    assert refuse_contents(atoms) is None
    atoms.info['occupancy'] = {'0': {'Zn': 0.9, 'Mg': 0.1}, '1': {'O': 1}}
    assert '(Zn 0.9, Mg 0.1)' in refuse_contents(atoms)
    atoms.info['occupancy'] = {'0': {'Zn': 1}, '1': {'O': 0.97}}
    assert '(O 0.97)' in refuse_contents(atoms)


def test_moments_are_refused_unless_they_vanish():
    atoms = bulk('NiO', 'rocksalt', a=4.17)
    atoms.set_initial_magnetic_moments([0.0, 0.0])
    assert refuse_contents(atoms) is None
    atoms.set_initial_magnetic_moments([0.0, -1.5])
    assert 'O 1.5 µB' in refuse_contents(atoms)
    atoms.set_initial_magnetic_moments(None)
    atoms.set_initial_magnetic_moments([[0, 0, 2.0], [0, 0, 0]])
    assert 'Ni 2 µB' in refuse_contents(atoms)


@pytest.mark.parametrize('formula', ['CuCl', 'Cu2O', 'CdTe', 'BaTiO3', 'LiNbO3', 'La2O3', 'CeO2', 'WO3', 'ScN', 'NaH'])
def test_full_and_empty_shells_are_passed_over(formula):
    assert open_shell_remark(Atoms(formula).get_chemical_symbols()) is None


@pytest.mark.parametrize(
    ('formula', 'element'), [('NiO', 'Ni'), ('CuO', 'Cu'), ('Ti2O3', 'Ti'), ('Fe', 'Fe'), ('Gd2O3', 'Gd')]
)
def test_a_shell_that_may_be_open_is_remarked(formula, element):
    assert element in open_shell_remark(Atoms(formula).get_chemical_symbols())
