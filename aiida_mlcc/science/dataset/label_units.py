"""Units that energies and forces come in, and the factors by which they show when they are taken for eV and eV/Å."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd

from ase import units

ENERGIES = {
    'eV': 1.0,
    'meV': 1e-3,
    'Ha': units.Hartree,
    'Ry': units.Rydberg,
    'kcal/mol': units.kcal / units.mol,
    'kJ/mol': units.kJ / units.mol,
}
"""Unit of energies → eV."""

FORCES = {
    'eV/Å': 1.0,
    'Ha/bohr': units.Hartree / units.Bohr,
    'Ry/bohr': units.Rydberg / units.Bohr,
    'eV/bohr': 1.0 / units.Bohr,
    'Ha/Å': units.Hartree,
    'kcal/mol/Å': units.kcal / units.mol,
    'kJ/mol/Å': units.kJ / units.mol,
}
"""Unit of forces → eV/Å."""

_PER_ATOM, _PER_FORMULA = '/atom', '/formula'
_ALIKE = {'hartree': 'ha', 'rydberg': 'ry', 'angstrom': 'å', 'ang': 'å', 'a': 'å', 'å': 'å', 'au': 'bohr', 'a0': 'bohr'}


class UnitsError(ValueError):
    """Units that are unknown."""


@dataclass(frozen=True)
class Units:
    """The units of the energies and forces in a file.

    :param energy: one of :data:`ENERGIES`, with ``/atom`` or ``/formula`` where it is not of the whole cell.
    :param force: one of :data:`FORCES`, with ``-`` before it where the file holds gradients.
    """

    energy: str = 'eV'
    force: str = 'eV/Å'

    @classmethod
    def parse(cls, text: str) -> Units:
        """Read ``ENERGY`` or ``ENERGY,FORCES``, in any case, with ``A`` or ``Angstrom`` for Å.

        :raises UnitsError: with the units there are.
        """
        energy, _, force = (part.strip() for part in text.partition(','))
        per = next((ending for ending in (_PER_ATOM, _PER_FORMULA) if energy.lower().endswith(ending)), '')
        sign = '-' if force.startswith('-') else ''
        return cls(
            _find(energy[: len(energy) - len(per)], ENERGIES, 'energies') + per,
            sign + _find(force.removeprefix('-'), FORCES, 'forces') if force else cls.force,
        )

    def energy_in_ev(self, symbols: Sequence[str]) -> float:
        """Return the factor to eV per cell of these atoms."""
        for ending, count in ((_PER_ATOM, len(symbols)), (_PER_FORMULA, n_formula_units(symbols))):
            if self.energy.endswith(ending):
                return ENERGIES[self.energy.removesuffix(ending)] * count
        return ENERGIES[self.energy]

    @property
    def force_in_ev_per_angstrom(self) -> float:
        """The factor to eV/Å."""
        return FORCES[self.force.removeprefix('-')] * (-1.0 if self.force.startswith('-') else 1.0)

    def __str__(self) -> str:
        return f'{self.energy},{self.force}'


def n_formula_units(symbols: Sequence[str]) -> int:
    """Return how often the simplest formula is in a cell."""
    return reduce(gcd, (symbols.count(symbol) for symbol in set(symbols)))


def energy_factors(symbols: Sequence[str]) -> dict[str, float]:
    """Return units of energies → by how much energies in them change for each eV; those in eV per cell are left out."""
    counts = {'': 1, _PER_ATOM: len(symbols), _PER_FORMULA: n_formula_units(symbols)}
    found: dict[str, float] = {}
    for per, count in counts.items():
        for unit in ENERGIES:
            factor = 1.0 / (ENERGIES[unit] * count)
            if not any(abs(factor / known - 1) < 1e-6 for known in (1.0, *found.values())):
                found[unit + per] = factor
    return found


def force_factors(symbols: Sequence[str]) -> dict[str, float]:
    """Return units, as :meth:`Units.parse` reads them → eV that an energy changes for each eV of work that they make.

    Where several have one factor, the first is the more likely.
    """
    energies = {'eV': 1.0, **energy_factors(symbols)}
    pairs = [('eV', 'Ha/bohr'), ('eV', 'Ry/bohr'), ('Ha', 'Ha/bohr')]
    pairs += [('eV', force) for force in FORCES] + [(energy, 'eV/Å') for energy in energies]
    found: dict[str, float] = {}
    for sign, prefix in ((1.0, ''), (-1.0, '-')):
        for energy, force in pairs:
            factor = sign * energies[energy] * FORCES[force]
            if not any(abs(factor / known - 1) < 1e-6 for known in (1.0, *found.values())):
                found[f'{energy},{prefix}{force}'] = factor
    return found


def _find(text: str, table: dict[str, float], what: str) -> str:
    def key(name: str) -> tuple[str, ...]:
        return tuple(_ALIKE.get(part, part) for part in name.strip().lower().split('/'))

    for name in table:
        if key(name) == key(text):
            return name
    raise UnitsError(f'unknown unit of {what} {text!r}: choose from {", ".join(table)}')
