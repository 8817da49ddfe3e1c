"""The settings of harmonic phonons and of what is drawn from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any

from aiida_mlcc.science.crystal.cells import PRIMITIVE_CELLS
from aiida_mlcc.science.phonons.mean_square_displacements import temperature_grid
from aiida_mlcc.science.settings import Settings, setting, three_counts

RELAX = ('none', 'positions', 'cell')


@dataclass(frozen=True)
class Temperatures(Settings):
    """Where thermal properties are calculated."""

    TITLE = 'temperature'
    start: float = setting('The lowest temperature.', default=0, at_least=0, unit='K')
    stop: float = setting('The highest temperature, included where `step` leads to it.', default=1000, unit='K')
    step: float = setting('Spacing.', default=10, above=0, unit='K')

    def refuse_together(self) -> str | None:
        """Refuse an end below the start."""
        try:
            temperature_grid(self.start, self.stop, self.step)
        except ValueError as error:
            return str(error)
        return None


def _points_of_three(value: Mapping[str, Sequence[float]]) -> str | None:
    points = list(value.values())
    valid = all(isinstance(point, list | tuple) and len(point) == 3 for point in points)
    valid = valid and all(isinstance(x, Real) and not isinstance(x, bool) and isfinite(x) for p in points for x in p)
    return None if valid else 'give each label three numbers'


def _pairs(value: Sequence[Any]) -> str | None:
    valid = all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value)
    valid = valid and all(isinstance(label, str) for pair in value for label in pair)
    return None if valid else 'give pairs of labels'


@dataclass(frozen=True)
class Path(Settings):
    """A path through reciprocal space."""

    TITLE = 'path'
    points: dict[str, list[float]] = setting(
        'Label → q-point in units of the reciprocal vectors.', check=_points_of_three
    )
    path: list[list[str]] = setting('Pairs of these labels.', check=_pairs)


@dataclass(frozen=True)
class Gruneisen(Settings):
    """How Grüneisen parameters are calculated."""

    TITLE = 'Grüneisen'
    strain: float = setting(
        'By how much the lattice vectors are made longer and shorter, such as 0.005.', above=0, at_most=0.05
    )


@dataclass(frozen=True)
class PhononSettings(Settings):
    """The input ``parameters`` of the HarmonicPhononWorkChain."""

    TITLE = 'phonon'
    displacement_angstrom: float = setting('How far an atom is displaced.', default=0.01, above=0, unit='Å')
    band_points: int = setting('Points along the longest segment of the path.', default=51, at_least=2)
    mesh: list[int] = setting(
        'Divisions of the Γ-centred mesh, for densities of states and thermal properties.',
        default=[24, 24, 24],
        check=three_counts,
    )
    dos_width_cm1: float = setting('Width of a mode in the density of states.', default=5.0, above=0, unit='cm⁻¹')
    dos_spacing_cm1: float = setting('Spacing of the density of states.', default=1.0, above=0, unit='cm⁻¹')
    path: Path | None = setting(
        'The path of the dispersion; null for the standard path of seekpath.', default=None, required=False
    )
    primitive: str = setting(
        'The cell in whose basis path, mesh and supercell are given.',
        default='auto',
        choices=PRIMITIVE_CELLS,
        required=False,
    )
    temperatures_K: Temperatures = setting('Of the thermal properties.', default=Temperatures())
    relax: str = setting('What is relaxed before atoms are displaced.', default='positions', choices=RELAX)
    relax_fmax_eV_A: float = setting(
        'Largest force of a crystal that counts as relaxed.', default=1.0e-4, above=0, unit='eV/Å'
    )
    relax_max_steps: int = setting('Steps after which the relaxation gives up.', default=200, at_least=1)
    gruneisen: Gruneisen | None = setting('Grüneisen parameters, if asked for.', default=None, required=False)
