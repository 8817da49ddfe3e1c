"""What a network is to learn: the frames that carry the labels of a target, split, and the constants per element."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.runtime.task import JobError
from aiida_mlcc.science.fit.mapped_frames import evaluated
from aiida_mlcc.science.force_field import Term
from aiida_mlcc.science.force_field.kinds import kind_of
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.phonons.modes import inverse_force_weights

_FEWEST_FRAMES = 5
_SPLIT = 0
_MEV = 1000.0


@dataclass(frozen=True)
class Target:
    """What to learn: the energies, and forces where asked, of `method`, or their differences from those of `minus`."""

    method: str
    minus: str | None = None
    forces: bool = True

    @property
    def name(self) -> str:
        """What is learnt, in words."""
        return self.method if self.minus is None else f'{self.method} − {self.minus}'

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods whose labels it takes."""
        return (self.method,) if self.minus is None else (self.method, self.minus)


@dataclass(frozen=True)
class Labelled:
    """The frames that carry the labels of a target.

    :param energies: eV per cell, shape (n_frames,): of the method, or the difference.
    :param forces: eV/Å, shape (n_frames, n_atoms, 3), or None.
    :param train: indices of the frames to learn from; `valid`: of those held out.
    """

    snapshots: Snapshots
    energies: NDArray[np.float64]
    forces: NDArray[np.float64] | None
    train: NDArray[np.int64]
    valid: NDArray[np.int64]

    @property
    def spread(self) -> float:
        """Standard deviation of the energies to learn from, eV per atom."""
        return float(np.std(self.energies[self.train]) / self.snapshots.n_atoms)


def labelled_frames(snapshots: Snapshots, target: Target, valid_fraction: float, seed: int) -> Labelled:
    """Take the frames that carry all labels of `target`, and hold a random share of them out.

    :raises JobError: where too few are left.
    """
    chosen = snapshots.labelled_by(*target.methods)
    forces = None
    if target.forces:
        forces = _forces(snapshots, target.method)
        if target.minus is not None:
            forces = forces - _forces(snapshots, target.minus)
        chosen = chosen[np.isfinite(forces[chosen]).all(axis=(1, 2))]
        forces = forces[chosen]
    n_frames = len(chosen)
    if n_frames < _FEWEST_FRAMES:
        what = 'energies and forces' if target.forces else 'energies'
        raise JobError(
            f'only {n_frames} of {snapshots.n_frames} frames carry {what} of {" and ".join(target.methods)}: '
            f'a network needs at least {_FEWEST_FRAMES}'
        )
    frames = snapshots.select(chosen)
    energies = frames.labels[target.method].energies
    if target.minus is not None:
        energies = energies - frames.labels[target.minus].energies
    order = np.random.default_rng([seed, _SPLIT]).permutation(n_frames)
    n_valid = min(max(1, round(valid_fraction * n_frames)), n_frames - 2)
    return Labelled(frames, energies, forces, np.sort(order[n_valid:]), np.sort(order[:n_valid]))


@dataclass(frozen=True)
class Known:
    """What a base has before its network: dipoles, and force constants.

    :param energies: of all frames, eV per cell, shape (n_frames,); `forces` eV/Å, shape (n_frames, n_atoms, 3).
    """

    terms: tuple[Term, ...]
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]

    @property
    def dipoles(self) -> tuple[Term, ...]:
        """The dipole–dipole energy of a polar crystal, if it is among the terms."""
        return tuple(term for term in self.terms if kind_of(term.kind).polar)

    @classmethod
    def of(cls, terms: Sequence[Term], snapshots: Snapshots, primitive: Atoms) -> Known:
        """Evaluate terms on all frames, which are of supercells of `primitive`."""
        return cls(tuple(terms), *evaluated(terms, snapshots, primitive))

    @classmethod
    def nothing(cls, snapshots: Snapshots) -> Known:
        """Return what a network has to do without."""
        return cls((), np.zeros(snapshots.n_frames), np.zeros_like(snapshots.positions))

    def left_of(self, data: Labelled) -> Labelled:
        """Return what it leaves of the labels."""
        left = None if data.forces is None else data.forces - self.forces
        return replace(data, energies=data.energies - self.energies, forces=left)


def _forces(snapshots: Snapshots, method: str) -> NDArray[np.float64]:
    forces = snapshots.labels[method].forces
    if forces is None:
        raise JobError(f'the {method} labels have no forces: set forces to false, or label with forces')
    return forces


def frame_weights(data: Labelled, kind: str) -> NDArray[np.float64]:
    """Return how much each frame counts in the loss, with mean 1 over the training frames, shape (n_frames,).

    :param kind: one of the choices of :class:`~aiida_mlcc.runtime.mace.training_settings.Training`.
    :raises JobError: for weights by force where no forces are learnt.
    """
    if kind == 'uniform':
        return np.ones(data.snapshots.n_frames)
    if data.forces is None:
        raise JobError(f'frame_weights is {kind!r}, but energies alone are learnt: choose uniform')
    weights = inverse_force_weights(data.forces)
    return weights / weights[data.train].mean()


def constants_of(data: Labelled, target: Target) -> dict[str, float]:
    """Constants per element, eV: of a base by :func:`minimum_norm_constants`, of a Δ by :func:`per_atom_constant`."""
    return minimum_norm_constants(data) if target.minus is None else per_atom_constant(data)


def minimum_norm_constants(data: Labelled) -> dict[str, float]:
    """Energy per atom of each element, eV: least squares over the training frames.

    All frames have one stoichiometry, which fixes a single combination of the constants; of all solutions this is
    the one of smallest norm.
    """
    counts = Counter(data.snapshots.symbols)
    row = np.array([counts[symbol] for symbol in sorted(counts)], dtype=float)
    rows = np.tile(row, (len(data.train), 1))
    solution = np.linalg.lstsq(rows, data.energies[data.train], rcond=None)[0]
    return {symbol: float(value) for symbol, value in zip(sorted(counts), solution, strict=True)}


def per_atom_constant(data: Labelled) -> dict[str, float]:
    """The mean of the training energies per atom, eV, the same for every element."""
    mean = float(np.mean(data.energies[data.train]) / data.snapshots.n_atoms)
    return {symbol: mean for symbol in sorted(set(data.snapshots.symbols))}


def rescaling_error(data: Labelled, other: NDArray[np.float64]) -> float:
    """Held-out error (meV per atom) of Δ = a·`other` + constant, fitted to the training frames."""
    mean, delta_mean = other[data.train].mean(), data.energies[data.train].mean()
    deviations = other[data.train] - mean
    variance = float(deviations @ deviations)
    slope = float(deviations @ (data.energies[data.train] - delta_mean)) / variance if variance else 0.0
    wrong = delta_mean + slope * (other[data.valid] - mean) - data.energies[data.valid]
    return float(_MEV * np.sqrt(np.mean(wrong**2)) / data.snapshots.n_atoms)
