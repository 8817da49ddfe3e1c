import pytest
from ase import units

from aiida_mlcc.science.dataset.label_units import Units, UnitsError, energy_factors, force_factors


@pytest.mark.parametrize(
    ('text', 'energy', 'force'),
    [
        ('Ha', units.Hartree, 1.0),
        ('ha,Ha/Bohr', units.Hartree, units.Hartree / units.Bohr),
        ('eV,-eV/A', 1.0, -1.0),
        ('Ry/atom, ry/bohr', 8 * units.Rydberg, units.Rydberg / units.Bohr),
        ('kcal/mol/formula,eV/Angstrom', 4 * units.kcal / units.mol, 1.0),
    ],
)
def test_units_are_read_in_any_case(text, energy, force):
    found = Units.parse(text)
    assert found.energy_in_ev(['Li', 'F'] * 4) == pytest.approx(energy)
    assert found.force_in_ev_per_angstrom == pytest.approx(force)
    assert Units.parse(str(found)) == found


@pytest.mark.parametrize(('text', 'sentence'), [('erg', 'energies .erg.: choose from eV'), ('eV,N', 'of forces .N.')])
def test_an_unknown_unit_is_refused_with_those_there_are(text, sentence):
    with pytest.raises(UnitsError, match=sentence):
        Units.parse(text)


def test_every_factor_is_that_of_the_units_it_names():
    symbols = ['Ti'] * 2 + ['O'] * 4
    for name, factor in energy_factors(symbols).items():
        assert factor * Units.parse(name).energy_in_ev(symbols) == pytest.approx(1.0)
    for name, factor in force_factors(symbols).items():
        found = Units.parse(name)
        assert factor * found.energy_in_ev(symbols) == pytest.approx(found.force_in_ev_per_angstrom)
