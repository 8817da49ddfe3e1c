"""Structures of thermal motion without a trajectory: independent draws from the harmonic distribution of a crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray
from scipy import constants

from aiida_mlcc.science.crystal.cells import map_onto_crystal, shortest_distance
from aiida_mlcc.science.design.optimal_structures import INSTABILITY
from aiida_mlcc.science.fit.base_model import fit_base
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel
from aiida_mlcc.science.fit.reference import method_of_reference, reference_model
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.phonons.modes import Mode, curvature_of
from aiida_mlcc.science.settings import Settings, setting

_LARGEST_SHARE = 0.1
_EV_PER_CM1 = constants.h * constants.c * 100 / constants.e
_FEWEST = 2


@dataclass(frozen=True)
class ThermalStructures(Settings):
    """How structures are drawn from the harmonic distribution."""

    TITLE = 'thermal structures'

    n_structures: int = setting('How many are drawn.', default=25, at_least=_FEWEST)
    n_first: int = setting(
        'How many of them before the force constants are fitted again, with these; the others are drawn from the '
        'better ones.',
        default=5,
        at_least=_FEWEST,
    )
    temperature_start_K: float = setting('Lowest temperature of the sweep.', default=100.0, above=0, unit='K')
    temperature_end_K: float = setting('Highest temperature of the sweep.', default=600.0, above=0, unit='K')
    statistics: str = setting(
        '`classical`: as a long dynamics would; `quantum`: with the zero-point motion.',
        default='classical',
        choices=('classical', 'quantum'),
    )

    def temperatures(self, seed: int) -> NDArray[np.float64]:
        """Return the temperature of each structure, K, in an order that is drawn, shape (n_structures,).

        So the first ones, and any stretch of frames that a fit leaves out, hold the whole sweep.
        """
        sweep = np.linspace(self.temperature_start_K, self.temperature_end_K, self.n_structures)
        return np.random.default_rng([seed, self.n_structures]).permutation(sweep)


class LeftOutMode(TypedDict):
    """A mode along which structures do not move as the harmonic crystal does."""

    qpoint: list[float]
    frequency_cm1: float


@dataclass(frozen=True)
class Drawn:
    """Structures that were drawn.

    :param left_out: modes that are not in them: ``qpoint``, ``frequency_cm1`` of each, negative where imaginary.
    :param held_back: soft modes whose motion was cut to what a fit of force constants can describe, alike.
    """

    snapshots: Snapshots
    left_out: list[LeftOutMode]
    held_back: list[LeftOutMode]

    @property
    def remarks(self) -> list[str]:
        """What a person should know of them, a sentence each."""
        found = []
        if self.left_out:
            found.append(
                f'{_named(self.left_out)}: imaginary, so the structures do not move along '
                f'{"it" if len(self.left_out) == 1 else "them"}, and nothing is learnt of what makes the crystal '
                f'stable there. {INSTABILITY}, or `sampling.kind`: md'
            )
        if self.held_back:
            found.append(
                f'{_named(self.held_back)}: so soft that atoms would leave the neighbourhood of their sites; '
                'the motion is held back to a tenth of the shortest distance'
            )
        return found


def next_structures(
    reference: Snapshots,
    primitive: Atoms,
    cell: Atoms,
    settings: ThermalStructures,
    seed: int,
    frames: Snapshots | None = None,
) -> Drawn:
    """Return the first structures, from reference displacements alone, or the others, from the first ones as well.

    :param reference: displacements with the forces of one method.
    :param cell: the supercell at rest that the structures are of.
    :param frames: the first structures with their forces; None if there are none yet. Of fewer than two, the reference
        alone is used.
    :raises ValueError: where nothing can be fitted to the forces, in a sentence.
    """
    method, temperatures = method_of_reference(reference), settings.temperatures(seed)
    wanted = temperatures[: settings.n_first] if frames is None else temperatures[settings.n_first :]
    if frames is None or len(frames.labelled_by(method)) < _FEWEST:
        model = reference_model(reference, primitive, method, cell)
    else:
        term = fit_base(frames, primitive, method, reference=reference).terms[0]
        model = HarmonicModel(ForceConstantsModel(term), map_onto_crystal(primitive, cell))
    return draw_structures(model, cell, wanted, settings.statistics, seed)


def draw_structures(
    model: HarmonicModel, cell: Atoms, temperatures: NDArray[np.float64], statistics: str, seed: int
) -> Drawn:
    """Return one structure for each temperature, each mode displaced by a normal deviate of its thermal amplitude.

    ⟨Q²⟩ = k_B·T/ω² of the mass-weighted amplitude, or ħ/(2ω)·coth(ħω/2k_B·T) with quantum statistics.

    :param cell: the supercell at rest, in which `model` has its modes.
    :param temperatures: K, shape (n_structures,).
    """
    generator = np.random.default_rng([seed, *np.rint(temperatures).astype(int).tolist()])
    roots = np.sqrt(model.force_constants.primitive.get_masses()[model.site_map.sites])[:, None]
    limit = _LARGEST_SHARE * shortest_distance(cell)
    moved = np.zeros((len(temperatures), len(cell), 3))
    # Of the atoms and not of the modes: which basis a degenerate set has is a matter of rounding.
    deviates = generator.normal(size=moved.shape)
    left_out, held_back = [], []
    for mode in model.modes():
        if mode.frequency_cm1 <= 0:
            left_out.append(_described(mode))
            continue
        spread = np.sqrt(
            thermal_energy(mode.frequency_cm1, temperatures, statistics) / curvature_of(mode.frequency_cm1)
        )
        vectors = mode.vectors / roots
        # How far the atom moves that moves most, in all modes of this frequency together.
        reach = float(np.sqrt(np.sum(vectors**2, axis=(0, 2)).max()))
        longest = limit / reach
        if (spread > longest).any():
            held_back.append(_described(mode))
        amplitudes = np.minimum(spread, longest)[:, None] * np.einsum('fia,dia->fd', deviates, mode.vectors)
        moved += np.einsum('fd,dia->fia', amplitudes, vectors)
    positions = model.site_map.reference_positions + moved
    cells = np.repeat(cell.cell.array[None], len(temperatures), axis=0)
    return Drawn(Snapshots(tuple(cell.get_chemical_symbols()), cells, positions), left_out, held_back)


def thermal_energy(
    frequency_cm1: float, temperatures: NDArray[np.float64], statistics: str = 'classical'
) -> NDArray[np.float64]:
    """Return the mean energy of a harmonic mode (eV), twice that of its displacement, shape of `temperatures` (K)."""
    classical = np.asarray(units.kB * temperatures, dtype=float)
    if statistics == 'classical':
        return classical
    half = 0.5 * frequency_cm1 * _EV_PER_CM1
    return np.asarray(half / np.tanh(half / classical))


def _described(mode: Mode) -> LeftOutMode:
    return {'qpoint': list(mode.qpoint), 'frequency_cm1': mode.frequency_cm1}


def _named(modes: list[LeftOutMode]) -> str:
    each = [
        f'{mode["frequency_cm1"]:.0f} cm⁻¹ at ({" ".join(f"{component:.3g}" for component in mode["qpoint"])})'
        for mode in modes
    ]
    return f'the mode{"" if len(each) == 1 else "s"} with {", ".join(each)}'
