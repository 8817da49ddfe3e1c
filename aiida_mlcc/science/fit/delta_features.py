"""What Δ is made of: symmetry-adapted force constants of second to fourth order beside the energy of the base."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.fit.displacement_amplitudes import amplitude_columns
from aiida_mlcc.science.fit.force_constants_basis import (
    MAX_CUTOFF,
    ForceConstantsBasis,
    decaying_basis,
    force_constants_basis,
    resolved_bases,
    shells,
)
from aiida_mlcc.science.fit.mapped_frames import MappedFrames, distinct_cells
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.fit.ridge import Problem
from aiida_mlcc.science.fit.third_order_basis import second_shell, third_order_basis
from aiida_mlcc.science.force_field.fourth_order import bonds_within
from aiida_mlcc.science.labels.snapshots import Label

_FREE = 0
_LEAST_SIGMA = 0.1


def candidate_bases(
    primitive: Atoms,
    frames: Sequence[MappedFrames],
    n_labels: int,
    cutoff: float | None,
    anharmonic: bool,
) -> list[PotentialBasis]:
    """Return the bases that a Δ may be fitted in, the simplest first.

    Frozen phonons in two amplitudes, which show each mode on its own, take the longest second order alone: a shorter
    one would make errors of its own that no other label tells, and beside dipoles pass them off as long-ranged.

    :param cutoff: of the second order, Å; None for the longest that the training cell resolves in full, and longer ones
        of which it sees more combinations with every shell, as far as there is a label for each.
    :param anharmonic: whether to offer each also with third order, or third and fourth order, between nearest and
        next-nearest neighbours.
    """
    if cutoff is not None:
        second = [force_constants_basis(primitive, cutoff)]
    else:
        resolved = resolved_bases(primitive, *distinct_cells(frames))
        second = [basis for basis, rank in resolved if rank + basis.n_first + 1 <= n_labels]
        second = second or [_shorter(primitive, frames, n_labels)]
        if amplitude_columns(frames, sum(len(group.indices) for group in frames)).shape[1]:
            second = second[-1:]
    bases = [PotentialBasis(decaying_basis(basis)) for basis in second]
    if not anharmonic:
        return bases
    third = third_order_basis(primitive, second_shell(primitive))
    fourth = bonds_within(primitive, second_shell(primitive))
    cubic = [PotentialBasis(basis.second, third) for basis in bases]
    quartic = [PotentialBasis(basis.second, third, fourth) for basis in bases]
    return [*bases, *cubic, *quartic]


def _shorter(primitive: Atoms, frames: Sequence[MappedFrames], n_labels: int) -> ForceConstantsBasis:
    """Return the longest basis with no more parameters than labels, and at least nearest neighbours."""
    distances = shells(primitive, MAX_CUTOFF)
    found: ForceConstantsBasis | None = None
    for cutoff in (distances[:-1] + distances[1:]) / 2:
        basis = force_constants_basis(primitive, float(cutoff))
        if found is not None and basis.folded_rank(*distinct_cells(frames)) + basis.n_first + 1 > n_labels:
            break
        found = basis
    return found if found is not None else force_constants_basis(primitive, 1.1 * float(distances[0]))


def delta_problem(
    basis: PotentialBasis,
    frames: Sequence[MappedFrames],
    base: Label,
    label: Label,
    covariates: Sequence[Label] = (),
) -> Problem:
    """Return what is to be described: E − E_base, and F − F_base of the frames where both methods have forces.

    The free columns come after the force constants: E_base, then E_c − E_base of every covariate.
    """
    n_frames = len(base.energies)
    free = np.column_stack([base.energies, *(other.energies - base.energies for other in covariates)])
    features = np.column_stack([basis.features(frames, n_frames), free])
    targets = label.energies - base.energies
    groups = np.append(basis.groups, np.full(free.shape[1], _FREE))
    with_forces = frames_with_forces(base, label) if not covariates else np.zeros(0, dtype=np.int64)
    weights = energy_weights(base, label)
    if not len(with_forces):
        return Problem(features, targets, groups, weights=weights)
    assert base.forces is not None
    assert label.forces is not None
    difference = (label.forces - base.forces)[with_forces]
    pulls = basis.force_features(frames, n_frames)[with_forces]
    pulls = np.concatenate([pulls, base.forces[with_forces].reshape(len(with_forces), -1, 1)], axis=2)
    n_components = pulls.shape[1]
    is_energy = np.arange(n_frames + len(with_forces) * n_components) < n_frames
    return Problem(
        np.concatenate([features, pulls.reshape(-1, pulls.shape[2])]),
        np.append(targets, difference.ravel()),
        groups,
        np.append(np.arange(n_frames), np.repeat(with_forces, n_components)),
        is_energy,
        # Energies and forces count by their spread: neither unit outweighs the other.
        np.append(
            np.ones(n_frames) if weights is None else weights,
            np.full(difference.size, np.var(targets) / max(float(np.mean(difference**2)), 1e-12)),
        ),
    )


def energy_weights(base: Label, label: Label) -> NDArray[np.float64] | None:
    """Return a weight for each energy difference from the standard errors of both, with mean 1; None where none is.

    It is the inverse of the variance. Energies without an error have the median one; errors below a tenth of that count
    as a tenth, for the fit itself is not better.
    """
    variances = _variances(base, label)
    if variances is None:
        return None
    weights = 1.0 / variances
    return np.asarray(weights / weights.mean())


def stated_noise(base: Label, label: Label) -> float | None:
    """Return the standard error of an energy difference of weight 1, eV per cell, that the labels state; None: none."""
    variances = _variances(base, label)
    return None if variances is None else float(1.0 / np.sqrt(np.mean(1.0 / variances)))


def _variances(base: Label, label: Label) -> NDArray[np.float64] | None:
    if base.sigma is None and label.sigma is None:
        return None
    variances = np.zeros(len(label.energies))
    for sigma in (base.sigma, label.sigma):
        if sigma is not None and np.isfinite(sigma).any():
            variances += np.where(np.isfinite(sigma), sigma, np.nanmedian(sigma)) ** 2
    return np.maximum(variances, (_LEAST_SIGMA**2) * np.median(variances))


def frames_with_forces(base: Label, label: Label) -> NDArray[np.int64]:
    """Return the frames that have forces of both methods."""
    if base.forces is None or label.forces is None:
        return np.zeros(0, dtype=np.int64)
    usable = np.isfinite(base.forces).all(axis=(1, 2)) & np.isfinite(label.forces).all(axis=(1, 2))
    return np.flatnonzero(usable)
