"""Crystals from textbooks, built from their Wyckoff positions: those that phonopy's examples have."""

from ase import Atoms
from ase.spacegroup import crystal

TEXTBOOK = {
    'NaCl': (['Na', 'Cl'], [(0, 0, 0), (0.5, 0.5, 0.5)], 225, [5.69, 5.69, 5.69, 90, 90, 90]),
    'MgO': (['Mg', 'O'], [(0, 0, 0), (0.5, 0.5, 0.5)], 225, [4.21, 4.21, 4.21, 90, 90, 90]),
    'SnO2': (['Sn', 'O'], [(0, 0, 0), (0.3056, 0.3056, 0)], 136, [4.737, 4.737, 3.186, 90, 90, 90]),
    'TiO2': (['Ti', 'O'], [(0, 0, 0), (0, 0, 0.2081)], 141, [3.785, 3.785, 9.514, 90, 90, 90]),
    'Al2O3': (['Al', 'O'], [(0, 0, 0.35216), (0.30624, 0, 0.25)], 167, [4.759, 4.759, 12.991, 90, 90, 120]),
    'ZnO': (['Zn', 'O'], [(1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, 0.3819)], 186, [3.25, 3.25, 5.207, 90, 90, 120]),
    'CaTiO3': (
        ['Ca', 'Ti', 'O', 'O'],
        [(0.03602, 0.25, 0.00676), (0.5, 0, 0), (0.9841, 0.25, 0.5711), (0.2888, 0.0373, 0.2897)],
        62,
        [5.4361, 7.6388, 5.3789, 90, 90, 90],
    ),
    'SiO2': (
        ['Si', 'O'],
        [(0.4697, 0, 1 / 3), (0.4135, 0.2669, 0.7858)],
        152,
        [4.9134, 4.9134, 5.4052, 90, 90, 120],
    ),
}
"""Formula → elements, positions, number of the space group, a, b, c (Å), α, β, γ (°)."""


def textbook(formula: str) -> Atoms:
    """Return the conventional cell of a crystal."""
    symbols, basis, group, cellpar = TEXTBOOK[formula]
    found = crystal(symbols, basis, spacegroup=group, cellpar=cellpar)
    return Atoms(found.symbols, cell=found.cell, scaled_positions=found.get_scaled_positions(), pbc=True)
