"""Which structures are worth a costly energy: a choice among snapshots, or frozen phonons made for the purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.crystal.cells import CrystalError, same_points, shortest_distance
from aiida_mlcc.science.fit.force_constants_basis import (
    decaying_basis,
    resolved_bases,
    symmetry_operations,
)
from aiida_mlcc.science.fit.harmonic_model import (
    HarmonicModel,
    frequency_slopes,
    harmonic_model,
    mode_sensitivities,
)
from aiida_mlcc.science.fit.mapped_frames import frame_displacements, mapped_frames
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.labels.labelling_plan import Selection, as_settings
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.phonons.modes import Mode, curvature_of, star
from aiida_mlcc.science.settings import Settings, SettingsError, setting

# Of the parameters of force constants, in frames: as much as a quarter of a typical frame says about each.
_PRIOR = 0.25
_FREE_PRIOR = 1e-8
_SAME = 1e-6
_ORIGIN_SHIFT = 0.25
_COUPLED = 1e-6

INSTABILITY = (
    'In a small cell the sampling of the Brillouin zone at Γ alone can be the cause: take a larger training cell '
    '(`dft_md.supercell_matrix`) or k-points, a larger basis, or another crystal or functional'
)
"""What makes a crystal unstable that is not."""


@dataclass(frozen=True)
class FrozenPhonon(Settings):
    """New structures: each mode of the crystal frozen in, and the crystal at rest as a reference."""

    TITLE = "selection of kind 'frozen-phonon'"

    # 2 eV in the 32 atoms of diamond, where the quartic part of Δ is about 1 cm⁻¹.
    energy_mev_atom: float = setting(
        'Harmonic energy of a frozen phonon per atom.', default=62.5, above=0, unit='meV', required=False
    )
    # Soft modes stay where they are harmonic.
    largest_displacement: float = setting(
        'Largest displacement of an atom, as a share of the shortest distance.', default=0.045, above=0, required=False
    )
    references: int = setting(
        'Copies of the crystal at rest, each shifted as a whole.', default=3, at_least=1, required=False
    )
    second_amplitude: float | None = setting(
        'Factor of a second structure of each mode, a check of anharmonicity; null for none.',
        default=None,
        above=0,
        below=1,
        required=False,
    )
    coupled: bool = setting(
        'Whether each mode is frozen in with the next higher one of its wave vector and symmetry as well: only '
        'such energies tell how a method couples the two.',
        default=False,
        required=False,
    )
    seed: int = setting('Seed of the shifts.', default=5192, at_least=0, required=False)


class DesignError(ValueError):
    """A design that these snapshots or this crystal do not allow."""


def base_method_of(snapshots: Snapshots) -> str:
    """Return the DFT method whose forces tell the modes of the crystal.

    :raises DesignError: where there are none.
    """
    for method in snapshots.base_methods:
        if snapshots.labels[method].forces is not None:
            return method
    raise DesignError(
        f'a design needs the modes of the crystal, from DFT forces; these snapshots have {", ".join(snapshots.methods)}'
        if snapshots.methods
        else 'a design needs the modes of the crystal, from DFT forces; these snapshots have no labels'
    )


def optimal_frames(
    snapshots: Snapshots,
    primitive: Atoms,
    n: int,
    seed: int = 0,
    qpoints: Sequence[ArrayLike] | None = None,
) -> NDArray[np.int64]:
    """Return `n` frames whose energies fix the frequencies best, in the order in which they help most.

    The frames are taken one by one, each the one that lowers the summed variance of the frequencies most (an A-optimal
    design for them; Atkinson, Donev, Tobias, Optimum Experimental Designs, 2007), in the features of a Δ: force
    constants of second order and the energy of the base. No label but those of the base is looked at. The first m
    frames of a larger design are the design of m frames.

    :param snapshots: with forces of a DFT method, all in one cell.
    :param primitive: the primitive cell of the crystal, in the orientation of the snapshots.
    :param n: how many frames.
    :param seed: decides between frames that serve equally.
    :param qpoints: fractional wave vectors whose modes count; all commensurate ones by default.
    :raises DesignError: for more frames than carry an energy of the base, or incommensurate wave vectors.
    """
    base_method = base_method_of(snapshots)
    usable = snapshots.labelled_by(base_method)
    if not 1 <= n <= len(usable):
        raise DesignError(f'{n} frames asked for, of {len(usable)} there are with {base_method} energies')
    snapshots = snapshots.select(usable)
    base = snapshots.labels[base_method].energies
    model = harmonic_model(snapshots, primitive, base_method)
    basis = decaying_basis(resolved_bases(primitive, model.site_map)[0][0])
    modes = _asked(model.modes(), primitive, qpoints)
    features = PotentialBasis(basis).features(mapped_frames(snapshots, primitive), snapshots.n_frames)
    n_held = basis.n_second
    columns = np.column_stack([features, base])
    sensitivities = np.column_stack(
        [mode_sensitivities(modes, basis, model.site_map), np.zeros((len(modes), basis.n_first)), _by_scale(modes)]
    )
    units = np.std(columns, axis=0)
    units[:n_held] = np.sqrt(np.mean(units[:n_held] ** 2))
    units = np.where(units > 0, units, 1.0)
    rows = np.column_stack([(columns - columns.mean(axis=0)) / units, np.ones(len(columns))])
    wanted = np.column_stack([sensitivities / units, np.zeros(len(modes))])
    prior = np.append(np.where(np.arange(len(units)) < n_held, _PRIOR, _FREE_PRIOR), _FREE_PRIOR)
    return usable[_most_informative(rows, wanted, prior, n, seed)]


def _most_informative(
    rows: NDArray[np.float64], wanted: NDArray[np.float64], prior: NDArray[np.float64], n: int, seed: int
) -> NDArray[np.int64]:
    covariance = np.diag(1.0 / prior)
    left = np.random.default_rng(seed).permutation(len(rows))
    chosen = []
    for _ in range(n):
        reached = rows[left] @ covariance
        variances = 1.0 + np.einsum('ij,ij->i', reached, rows[left])
        gains = np.sum((reached @ wanted.T) ** 2, axis=1) / variances
        best = int(np.argmax(gains))
        covariance = covariance - np.outer(reached[best], reached[best]) / variances[best]
        chosen.append(left[best])
        left = np.delete(left, best)
    return np.array(chosen, dtype=np.int64)


def _by_scale(modes: Sequence[Mode]) -> NDArray[np.float64]:
    """Return ∂ω/∂s: E = (1+s)·E_base scales ω²."""
    return np.array([curvature_of(mode.frequency_cm1) for mode in modes]) * frequency_slopes(modes)


def _asked(modes: list[Mode], primitive: Atoms, qpoints: Sequence[ArrayLike] | None) -> list[Mode]:
    if qpoints is None:
        return modes
    rotations = symmetry_operations(primitive, 1e-5)[0]
    found = []
    for qpoint in qpoints:
        images = star(np.asarray(qpoint, dtype=float), rotations)
        there = [mode for mode in modes if same_points(images, mode.qpoint).any()]
        if not there:
            raise DesignError(
                f'the wave vector {np.asarray(qpoint).tolist()} is not commensurate with the training cell, '
                'whose energies say nothing about its modes'
            )
        found.extend(there)
    return found


def design_frozen_phonons(snapshots: Snapshots, primitive: Atoms, selection: Selection) -> Snapshots:
    """Return new structures in the cell of `snapshots`: undisplaced references, then one commensurate mode each.

    Modes come from the harmonic part of the DFT forces. A mode is frozen in at one wave vector, along one of its
    polarisations; with label noise σ per cell and references that are known as well, a frequency is then fixed to
    σ·ω/(2 E_h)·√(1/m + 1/m₀) by m displaced and m₀ reference energies. Where symmetry does not make E(u) = E(−u), the
    mode is frozen in with both signs. References are the crystal at rest, shifted as a whole by random vectors: their
    energies differ by what an engine's mesh makes of that.

    :param snapshots: with forces of a DFT method, all in one cell.
    :param primitive: the primitive cell of the crystal, in the orientation of the snapshots.
    :param selection: settings of :class:`FrozenPhonon`, by name.
    :raises DesignError: where a mode is imaginary, or settings make no sense.
    :raises CrystalError: where the snapshots are of several cells.
    """
    settings = frozen_phonon_settings(selection)
    frame_displacements(snapshots, primitive)
    model = harmonic_model(snapshots, primitive, base_method_of(snapshots))
    reference = snapshots.atoms(0)
    at_rest = model.site_map.reference_positions
    random = np.random.default_rng(settings.seed)
    shifts = random.uniform(-_ORIGIN_SHIFT, _ORIGIN_SHIFT, (settings.references, 3))
    positions = [at_rest + shift for shift in shifts]
    limit = settings.largest_displacement * shortest_distance(primitive)
    energy = 1e-3 * settings.energy_mev_atom * len(reference)
    for mode in model.modes():
        if mode.frequency_cm1 <= 0:
            raise DesignError(
                f'the mode at {_written(mode.qpoint)} is imaginary in DFT ({mode.frequency_cm1:.0f} cm⁻¹): no harmonic '
                f'energy sets its amplitude. {INSTABILITY}'
            )
    factors = (1.0,) if settings.second_amplitude is None else (1.0, settings.second_amplitude)
    for frozen in frozen_phonons(model, settings.coupled):
        displacement = np.sqrt(2 * energy / frozen.curvature) * frozen.pattern
        displacement *= min(1.0, limit / float(np.linalg.norm(displacement, axis=1).max()))
        positions += [at_rest + sign * factor * displacement for factor in factors for sign in frozen.signs]
    cells = np.repeat(reference.cell.array[None], len(positions), axis=0)
    return Snapshots(snapshots.symbols, cells, np.array(positions))


@dataclass(frozen=True)
class FrozenMode:
    """A displacement along a mode, or along two of them at once.

    :param pattern: Å per unit of the amplitude √amu·Å, shape (n_atoms, 3).
    :param curvature: ω², eV/Å²/amu.
    :param signs: in which it is frozen in: both where symmetry does not make E(u) = E(−u).
    """

    pattern: NDArray[np.float64]
    curvature: float
    signs: tuple[float, ...]


def frozen_phonons(model: HarmonicModel, coupled: bool) -> list[FrozenMode]:
    """Return each mode of a cell, and if `coupled` its sum with the next one that symmetry lets a method couple to it.

    Modes of one wave vector and one symmetry are those of a single method. Another one couples them, and what it adds
    to ω² along their sum, (u₁ + u₂)/√2, is the mean of what it adds to both and the coupling. That repels two modes the
    more, the closer they are, so modes with a third one between them are left out: there would be far too many.
    """
    modes = model.modes()
    patterns = [frozen_pattern(mode, model) for mode in modes]
    found = [
        FrozenMode(pattern, curvature_of(mode.frequency_cm1), _signs(mode, pattern, model))
        for mode, pattern in zip(modes, patterns, strict=True)
    ]
    if not coupled:
        return found
    basis = resolved_bases(model.force_constants.primitive, model.site_map)[-1][0]
    bound = basis.bind(model.site_map)
    for number, (mode, pattern) in enumerate(zip(modes, patterns, strict=True)):
        pulled = bound.force_features(pattern[None])[0, :, : basis.n_second]
        for other in modes[number + 1 :]:
            if other.qpoint != mode.qpoint or (partner := _partner(other, pulled, model)) is None:
                continue
            both = (pattern + partner) / np.sqrt(2)
            curvature = (curvature_of(mode.frequency_cm1) + curvature_of(other.frequency_cm1)) / 2
            found.append(FrozenMode(both, curvature, _signs(mode, both, model)))
            break
    return found


def _partner(mode: Mode, pulled: NDArray[np.float64], model: HarmonicModel) -> NDArray[np.float64] | None:
    """Return the pattern within a mode that force constants of the crystal couple to another one, None for none.

    :param pulled: the forces of each basis function along the other one, shape (3·n_atoms, n_parameters).
    """
    roots = np.sqrt(model.force_constants.primitive.get_masses()[model.site_map.sites])[:, None]
    vectors = (mode.vectors / roots).reshape(len(mode.vectors), -1)
    directions, strengths, _ = np.linalg.svd(vectors @ pulled, full_matrices=False)
    if strengths[0] < _COUPLED * np.linalg.norm(vectors) * np.linalg.norm(pulled):
        return None
    return np.asarray((directions[:, 0] @ vectors).reshape(-1, 3))


def _signs(mode: Mode, pattern: NDArray[np.float64], model: HarmonicModel) -> tuple[float, ...]:
    return (1.0,) if is_even(mode, pattern, model) else (1.0, -1.0)


def frozen_phonon_settings(selection: Selection) -> FrozenPhonon:
    """Return the settings of a frozen-phonon design; those that are not given have their defaults.

    :raises DesignError: naming the setting that is unknown or not allowed.
    """
    try:
        given = {key: value for key, value in as_settings(selection).items() if key != 'kind'}
        # A stored selection without a seed meant this one.
        return FrozenPhonon.of({'seed': 0, **given})
    except SettingsError as error:
        raise DesignError(str(error)) from error


def frozen_pattern(mode: Mode, model: HarmonicModel) -> NDArray[np.float64]:
    """Return displacements (Å per unit of the mode's amplitude √amu·Å), one wave vector and one polarisation.

    The polarisation is the one of those of equal frequency that moves the first site along x, or else y or z; the phase
    of the wave is that in which E(u) = E(−u) wherever the wave vector allows it.
    """
    site_map = model.site_map
    phases = 2 * np.pi * site_map.lattice_vectors @ np.array(mode.qpoint)
    # A wave that repeats after an odd number of cells has cubic terms in its cosine and none in its sine.
    odd = _order(np.array(mode.qpoint)) % 2 == 1 and np.abs(mode.qpoint).max() > _SAME
    wave = np.sin(phases) if odd else np.cos(phases)
    best, longest = np.zeros(mode.vectors.shape[1:]), 0.0
    for site in range(int(site_map.sites.max()) + 1):
        for axis in range(3):
            trial = np.zeros(mode.vectors.shape[1:])
            trial[:, axis] = wave * (site_map.sites == site)
            projected = np.einsum('dia,jb,djb->ia', mode.vectors, trial, mode.vectors)
            length = float(np.linalg.norm(projected)) / max(float(np.linalg.norm(trial)), 1e-12)
            if length > longest * (1 + 1e-3):
                best, longest = projected / np.linalg.norm(projected), length
    masses = model.force_constants.primitive.get_masses()[site_map.sites]
    return np.asarray(best / np.sqrt(masses)[:, None])


def is_even(mode: Mode, pattern: NDArray[np.float64], model: HarmonicModel) -> bool:
    """Return whether E(u) = E(−u) by symmetry: a lattice translation or an operation at Γ turns u into −u."""
    order = _order(np.array(mode.qpoint))
    if order > 1:
        return order % 2 == 0
    primitive, site_map = model.force_constants.primitive, model.site_map
    first = [int(np.flatnonzero(site_map.sites == site)[0]) for site in range(len(primitive))]
    moved = pattern[first]
    lattice, fractions = primitive.cell.array, primitive.get_scaled_positions(wrap=False)
    for rotation, translation in zip(*symmetry_operations(primitive, 1e-5), strict=True):
        apart = (fractions @ rotation.T + translation)[:, None] - fractions
        images = np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=2).argmin(axis=1)
        cartesian = lattice.T @ rotation @ np.linalg.inv(lattice.T)
        if np.abs(moved[images] + moved @ cartesian.T).max() < 1e-4 * np.abs(moved).max():
            return True
    return False


def _order(qpoint: NDArray[np.float64]) -> int:
    """Return after how many cells a wave repeats."""
    for order in range(1, 100):
        if np.abs(order * qpoint - np.rint(order * qpoint)).max() < 1e-4:
            return order
    raise CrystalError(f'the wave vector {qpoint.tolist()} fits no supercell of a sensible size')


def _written(qpoint: Sequence[float]) -> str:
    return '(' + ' '.join(f'{component:g}' for component in qpoint) + ')'
