"""Whether forces are the negative gradient of energies: of these energies, and not of another method's.

Between two frames of one crystal the energy changes by the work against the forces, −∫F·dr. The mean of the forces at
both ends gives the work exactly where the energy is quadratic, and nearly so in a crystal. The work that the
*difference* of the forces of two methods does is compared with the difference of their energies in the same way: what
is anharmonic in both cancels, and forces of the wrong method show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import unwrap

AGREE, TOO_FEW, UNCLEAR, CONTRADICT = 'agree', 'too few', 'unclear', 'contradict'

FEWEST = 8
"""Frames that it takes to judge forces."""

_MOST = 400
_FRAMES_OF_A_BLOCK = 256
_FOLLOWS = 0.9
_FOLLOWS_CLEARLY = 0.98
_UNRELATED = 0.25
_ANHARMONIC = (0.4, 2.5)
_SIGNAL = 0.3
_OF_OTHER, _OF_NEITHER = 0.5, 3.0
_ERRORS = 3.0
_FRAMES_PER_FEATURE = 3
_SHELL = 1.2
_MOST_DECIMALS, _WHOLE = 10, 1e-4


@dataclass(frozen=True)
class Comparison:
    """What energies say of forces.

    :param verdict: :data:`AGREE`; :data:`TOO_FEW` frames to tell; :data:`UNCLEAR`, they can be told neither right nor
        wrong; or :data:`CONTRADICT`.
    :param slope: eV by which the energy changes for each eV of work against the forces, None where nothing moves.
    :param correlation: the square of the correlation of both, None alike.
    """

    verdict: str
    slope: float | None
    correlation: float | None


@dataclass(frozen=True)
class Frames:
    """How the atoms move from frame to frame, free of rigid shifts.

    :param displacements: Å, shape (n_frames, n_atoms, 3), from the first frame.
    :param mean: positions of the mean structure, Å, shape (n_atoms, 3).
    """

    symbols: tuple[str, ...]
    cell: NDArray[np.float64]
    displacements: NDArray[np.float64]
    mean: NDArray[np.float64]

    @classmethod
    def of(cls, symbols: tuple[str, ...], cell: NDArray[np.float64], positions: NDArray[np.float64]) -> Frames:
        """Take frames of one cell."""
        displacements = unwrap(positions - positions[0], cell)
        return cls(symbols, cell, displacements, positions[0] + displacements.mean(axis=0))

    def __len__(self) -> int:
        return len(self.displacements)

    def select(self, indices: NDArray[np.int64]) -> Frames:
        """Return some of the frames."""
        return Frames(self.symbols, self.cell, self.displacements[indices], self.mean)

    def work(self, forces: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the work against the forces from frame i to frame j, eV, shape (n_frames, n_frames).

        :param forces: eV/Å, shape (n_frames, n_atoms, 3).
        """
        flat, moved = forces.reshape(len(self), -1), self.displacements.reshape(len(self), -1)
        along = flat @ moved.T
        own = np.diagonal(along)
        return np.asarray(-0.5 * (along + own[None, :] - own[:, None] - along.T))


def compare(frames: Frames, energies: NDArray[np.float64], forces: NDArray[np.float64]) -> Comparison:
    """Compare energies (eV per cell, shape (n_frames,)) with forces (eV/Å) that may be theirs.

    :returns: :data:`CONTRADICT` where the energy follows the work by another factor than anharmonicity allows, or does
        not follow it at all; :data:`UNCLEAR` where it follows in part.
    """
    chosen = _spread_over(len(frames))
    change = _changes(energies[chosen])
    slope, correlation = _regress(change, frames.select(chosen).work(forces[chosen]))
    if len(frames) < FEWEST or slope is None or correlation is None:
        return Comparison(TOO_FEW, slope, correlation)
    if correlation < _UNRELATED:
        return Comparison(CONTRADICT, slope, correlation)
    if correlation < _FOLLOWS:
        return Comparison(UNCLEAR, slope, correlation)
    within = _ANHARMONIC[0] < slope < _ANHARMONIC[1]
    return Comparison(AGREE if within else CONTRADICT, slope, correlation)


def is_clear_factor(comparison: Comparison) -> bool:
    """Tell whether the energy follows the work so closely that its slope is a factor, not the anharmonic crystal's."""
    return comparison.correlation is not None and comparison.correlation > _FOLLOWS_CLEARLY


@dataclass(frozen=True)
class Reference:
    """Another method whose forces may have been taken for those of the method in question.

    :param energies: eV per cell, shape (n_frames,).
    :param forces: eV/Å, None where they are not known: its energies say what their work should be.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64] | None


def forces_follow(
    frames: Frames,
    energies: NDArray[np.float64],
    forces: NDArray[np.float64],
    base: Reference,
    other: Reference | None = None,
) -> str:
    """Tell whose forces these are, by the difference of the method's energies from those of another one.

    What of this difference the motion explains is predicted frame by frame from all other frames, so that neither noise
    nor rounding of energies can speak against forces. Forces of the method do work by just this difference.

    :param energies: of the method, eV per cell, shape (n_frames,); `forces` (eV/Å) stand beside them.
    :param base: energies and forces of the base; all that both potentials have in common cancels.
    :param other: the method that the energies are told from; the base if not given.
    :returns: :data:`AGREE` (the method's), :data:`CONTRADICT` (not the method's, but as `other` has them),
        :data:`UNCLEAR` (nothing tells), :data:`TOO_FEW`.
    """
    if len(frames) < FEWEST:
        return TOO_FEW
    assert base.forces is not None
    chosen = _spread_over(len(frames))
    frames, energies = frames.select(chosen), energies[chosen]
    told_from = base if other is None else other
    difference = energies - told_from.energies[chosen]
    work = frames.work(forces[chosen] - base.forces[chosen])
    work -= _changes(told_from.energies[chosen] - base.energies[chosen])
    expected = predicted(frames, difference, base.energies[chosen])
    # What cannot be predicted may be noise, of which forces know nothing.
    left = np.sum((difference - expected) ** 2) / max(np.sum((difference - difference.mean()) ** 2), 1e-300)
    if not left < 1.0 - _SIGNAL:
        return UNCLEAR
    share, error = _slope_with_error(work, _changes(expected))
    if share + _ERRORS * error < _OF_OTHER:
        return CONTRADICT
    return AGREE if _OF_OTHER < share < _OF_NEITHER else UNCLEAR


def predicted(
    frames: Frames, difference: NDArray[np.float64], base_energies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return each energy difference as a small fit to all other frames predicts it, eV per cell, shape (n_frames,).

    :param difference: of two methods, eV per cell; `base_energies`: of the one that both are compared with.
    """
    features = _features(frames, base_energies)
    rows = np.column_stack([np.ones(len(frames)), features])
    orthogonal = np.linalg.qr(rows)[0]
    fitted = orthogonal @ (orthogonal.T @ difference)
    leverage = np.minimum(np.sum(orthogonal**2, axis=1), 1.0 - 1e-9)
    return np.asarray(difference - (difference - fitted) / (1.0 - leverage))


def same_forces(forces: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell for each frame whether forces are the others to the decimals that they are written with, (n_frames,).

    Decimals count as far as they resolve half a percent of the forces: fewer make any two forces alike.
    """
    resolution = sum(_last_decimal(values) for values in (forces, others))
    scale = float(np.sqrt(np.nanmean(others**2)))
    allowed = min(1.01 * resolution, 0.005 * scale)
    return np.asarray(np.abs(forces - others).max(axis=(1, 2)) <= max(allowed, 1e-6))


def split_by_closeness(differences: NDArray[np.float64], forces: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which frames have forces much closer to others than the rest has, shape (n_frames,); none where all alike.

    :param differences: from the others, eV/Å, shape (n_frames, n_atoms, 3); `forces`: the others.
    """
    shares = np.linalg.norm(differences, axis=(1, 2)) / np.linalg.norm(forces, axis=(1, 2))
    order = np.argsort(shares)
    steps = np.diff(np.log(np.maximum(shares[order], 1e-12)))
    close = np.zeros(len(shares), dtype=bool)
    if len(steps) and steps.max() > np.log(4.0):
        close[order[: int(np.argmax(steps)) + 1]] = True
    return close


def known_factor(slope: float, factors: Mapping[str, float], tolerance: float) -> str | None:
    """Return the name of the factor next to `slope`, None where none is within a relative `tolerance`."""
    near = {name: abs(slope / factor - 1.0) for name, factor in factors.items()}
    name = min(near, key=lambda key: near[key])
    return name if near[name] < tolerance else None


def _last_decimal(values: NDArray[np.float64]) -> float:
    """Return one unit of the last decimal that numbers are written with, 0 where they have more than ten."""
    found = values[np.isfinite(values)]
    for decimals in range(_MOST_DECIMALS + 1):
        scaled = found * 10.0**decimals
        if np.abs(scaled - np.rint(scaled)).max(initial=0.0) < _WHOLE:
            return float(10.0**-decimals)
    return 0.0


def _spread_over(n_frames: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n_frames - 1, min(n_frames, _MOST)).astype(np.int64))


def _changes(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return E_j − E_i, shape (n_frames, n_frames)."""
    return np.asarray(energies[None, :] - energies[:, None])


def _regress(change: NDArray[np.float64], work: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return the slope of the change of energy over the work, and the square of their correlation, over all pairs."""
    products, squares, changes = float(np.sum(change * work)), float(np.sum(work**2)), float(np.sum(change**2))
    if squares == 0 or changes == 0:
        return None, None
    return products / squares, products**2 / (squares * changes)


def _slope_with_error(values: NDArray[np.float64], over: NDArray[np.float64]) -> tuple[float, float]:
    """Return the slope over all pairs and its standard error, by leaving one frame after the other out."""
    products, squares = np.sum(values * over, axis=1), np.sum(over**2, axis=1)
    # Every pair is counted from both of its frames.
    without = (products.sum() - 2 * products) / (squares.sum() - 2 * squares)
    n = len(without)
    return float(products.sum() / squares.sum()), float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))


def _features(frames: Frames, base_energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what energy differences follow in any crystal, as many features as the frames allow, (n_frames, p).

    The energy of the base; for each pair of species the squared stretch of bonds; for each species the squared
    displacement from the mean.
    """
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    moved = frames.displacements - frames.displacements.mean(axis=0)
    columns = [base_energies]
    symbols = np.array(frames.symbols)
    species = sorted(set(frames.symbols))
    atoms = Atoms(frames.symbols, positions=frames.mean, cell=frames.cell, pbc=True)
    between = atoms.get_all_distances(mic=True)
    np.fill_diagonal(between, np.inf)
    for number, one in enumerate(species):
        for other in species[number:]:
            apart = between[np.ix_(symbols == one, symbols == other)]
            nearest = float(apart.min())
            if not np.isfinite(nearest):
                continue
            first, second, vectors, lengths = neighbor_list('ijDd', atoms, {(one, other): _SHELL * nearest})
            unit = vectors / lengths[:, None]
            columns.append(_squared_stretches(moved, first, second, unit))
    columns += [np.sum(moved[:, symbols == one] ** 2, axis=(1, 2)) for one in species]
    kept = max(1, len(frames) // _FRAMES_PER_FEATURE - 1)
    features = np.column_stack(columns)[:, :kept]
    features = features - features.mean(axis=0)
    scale = np.linalg.norm(features, axis=0)
    return np.asarray(features[:, scale > 1e-12] / scale[scale > 1e-12])


def _squared_stretches(
    moved: NDArray[np.float64], first: NDArray[np.int64], second: NDArray[np.int64], unit: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Σ (e·(u_j − u_i))² over bonds, Å², shape (n_frames,).

    :param moved: Å, shape (n_frames, n_atoms, 3).
    :param unit: directions of the bonds, shape (n_bonds, 3).
    """
    found = np.empty(len(moved))
    for start in range(0, len(moved), _FRAMES_OF_A_BLOCK):
        block = slice(start, start + _FRAMES_OF_A_BLOCK)
        stretch = np.einsum('fpa,pa->fp', moved[block][:, second] - moved[block][:, first], unit)
        found[block] = np.sum(stretch**2, axis=1)
    return found
