"""The error bar of each frequency along a path, with the parts of :mod:`.frequency_error_bars`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import same_points
from aiida_mlcc.science.crystal.symmetry import SYMPREC
from aiida_mlcc.science.errors.frequency_error_bars import Budget, base_errors, budget, spread_on_branches
from aiida_mlcc.science.fit.delta_samples import DeltaSamples
from aiida_mlcc.science.fit.fit_errors import FitErrors
from aiida_mlcc.science.fit.force_constants_basis import symmetry_operations
from aiida_mlcc.science.phonons.branches import Branches, branches_of, dynamical_matrices, frequencies_of
from aiida_mlcc.science.phonons.dispersion import at_gamma, three_acoustic
from aiida_mlcc.science.phonons.modes import star

if TYPE_CHECKING:
    from phonopy import Phonopy

_SAME = 1e-4
_LEAST_CM1 = 1.0
_LEAST_SQUARE = 1e-8


def path_spreads(
    members: Mapping[str, Phonopy],
    alternatives: Mapping[str, Mapping[str, Phonopy]],
    samples: DeltaSamples | None,
    qpoints: NDArray[np.float64],
    segments: Sequence[Sequence[int]],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]] | None]:
    """Return the frequencies of other kinds of Δ along a path, cm⁻¹, and the spread over other Δ of the same kind.

    :param members: name → phonopy instance with force constants; `alternatives`: kind of Δ → the same.
    :param samples: Δ from resampled labels; without, there is no spread.
    :param qpoints: in units of the reciprocal vectors of the primitive cell, shape (n_points, 3).
    :param segments: first and last index of each; Γ is approached along its segment.
    :returns: kind → frequencies, shape (n_members, n_points, n_modes), and what
        :func:`~aiida_mlcc.science.errors.frequency_error_bars.delta_spread` gives, both on the branches of the members.
    """
    parts = [(qpoints[first : last + 1], qpoints[last] - qpoints[first]) for first, last in segments]
    branches = [branches_of([dynamical_matrices(member, *part) for member in members.values()]) for part in parts]
    others = {
        kind: np.array([_along(parts, branches, phonon) for phonon in instances.values()])
        for kind, instances in alternatives.items()
    }
    if samples is None:
        return others, None
    phonon = next(iter(members.values()))
    evaluations = [lambda part=part: dynamical_matrices(phonon, *part) for part in parts]
    return others, spread_on_branches(phonon, samples, evaluations, branches)


def path_budget(
    bands: NDArray[np.float64],
    members: Mapping[str, Phonopy],
    qpoints: NDArray[np.float64],
    segments: Sequence[Sequence[int]],
    primitive: Atoms,
    alternatives: Mapping[str, Mapping[str, Phonopy]] | None = None,
    samples: DeltaSamples | None = None,
    errors_of_base: Sequence[FitErrors] = (),
) -> Budget:
    """Return the standard deviation of each frequency along a path and what it is made of, of the shape (n_points,
    n_modes), as :func:`~aiida_mlcc.science.errors.frequency_error_bars.budget` does.

    :param bands: of each member on the branches that all share, cm⁻¹, shape (n_members, n_points, n_modes).
    :param members: name → phonopy instance; `alternatives`: kind of Δ → the same.
    :param qpoints: in units of the reciprocal vectors of the primitive cell, shape (n_points, 3).
    :param segments: first and last index of each.
    :param primitive: the primitive cell that the force fields were trained on.
    :param samples: Δ from resampled labels.
    :param errors_of_base: of each member of the base, see
        :func:`~aiida_mlcc.science.errors.frequency_error_bars.base_errors`.
    """
    others, delta = path_spreads(members, alternatives or {}, samples, qpoints, segments)
    tolerance = next(iter(members.values())).symmetry.tolerance

    def frequencies_at(qpoint: NDArray[np.float64]) -> NDArray[np.float64]:
        each = [frequencies_of(dynamical_matrices(member, [qpoint]))[0] for member in members.values()]
        return np.asarray(np.mean(each, axis=0))

    mean = np.mean(bands, axis=0)
    base = base_errors_along(errors_of_base, mean, qpoints, primitive, frequencies_at, tolerance)
    return budget(bands, others, delta, base)


def _along(
    parts: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], branches: Sequence[Branches], phonon: Any
) -> NDArray[np.float64]:
    found = [
        known.frequencies_cm1(dynamical_matrices(phonon, *part)) for known, part in zip(branches, parts, strict=True)
    ]
    return np.concatenate(found)


def base_errors_along(
    members: Sequence[FitErrors],
    frequencies: NDArray[np.float64],
    qpoints: NDArray[np.float64],
    primitive: Atoms,
    frequencies_at: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    symprec: float = SYMPREC,
) -> NDArray[np.float64] | None:
    """Return the error of each frequency along a path that comes from the base, cm⁻¹; None where nothing is known.

    That is measured at the wave vectors that the training cell, or the one of the reference displacements, holds, as
    :func:`~aiida_mlcc.science.errors.frequency_error_bars.base_errors` gives it. Elsewhere the relative error of a mode
    is the root of the mean square of those measured, weighted by the inverse fourth power of the distance in reciprocal
    space. The rigid shifts at Γ have no frequency and count for nothing; a mode that none is measured of has the mean
    square of all.

    :param members: as for :func:`~aiida_mlcc.science.errors.frequency_error_bars.base_errors`.
    :param frequencies: of the method in question, cm⁻¹, shape (n_points, n_modes).
    :param qpoints: in units of the reciprocal vectors of `primitive`, shape (n_points, 3).
    """
    rotations = symmetry_operations(primitive, symprec)[0]
    order = np.argsort(frequencies, axis=1)
    ascending = np.take_along_axis(frequencies, order, axis=1)
    errors = np.full(frequencies.shape, np.nan)
    squares, weights = [], []
    for qpoint in _measured(members):
        images = star(np.array(qpoint), rotations)
        here = np.flatnonzero(same_points(qpoints[:, None], images, _SAME).any(axis=1))
        values = ascending[here] if len(here) else np.sort(frequencies_at(np.array(qpoint)))[None]
        known = [base_errors(members, {'': each}, {'': qpoint}, primitive, symprec)[''] for each in values]
        if any(of_point is None for of_point in known):
            continue
        if len(here):
            errors[here] = np.array(known)
        relative = np.minimum(np.asarray(known[0]) / np.maximum(np.abs(values[0]), _LEAST_CM1), 1.0)
        if at_gamma(qpoint)[0]:
            relative[three_acoustic(values[0])] = np.nan
        squares.append(relative**2)
        weights.append(_closeness(qpoints, images, primitive))
    if not squares:
        return None
    measured = np.array(squares)
    there = np.isfinite(measured)
    share = np.array(weights).T @ there
    summed = np.array(weights).T @ np.where(there, measured, 0.0)
    mean = np.where(share > 0, summed / np.where(share > 0, share, 1.0), measured[there].mean())
    between = np.sqrt(mean) * np.abs(ascending)
    found = np.empty_like(errors)
    np.put_along_axis(found, order, np.where(np.isfinite(errors), errors, between), axis=1)
    return found


def _measured(members: Sequence[FitErrors]) -> list[tuple[float, ...]]:
    """Return the wave vectors at which the errors of a base name modes."""
    named = (
        entry['qpoint']
        for member in members
        for entry in (*member.get('reference', {}).get('modes', ()), *member.get('projected_residuals', ()))
    )
    return list(dict.fromkeys(tuple(np.round(qpoint, 8).tolist()) for qpoint in named))


def _closeness(qpoints: NDArray[np.float64], images: NDArray[np.float64], primitive: Atoms) -> NDArray[np.float64]:
    """Return the sum over equal wave vectors of the inverse fourth power of the distance (1/Å), shape (n_points,)."""
    reciprocal = 2 * np.pi * np.linalg.inv(primitive.cell.array).T
    lattice = np.array(list(product((-1, 0, 1), repeat=3)))
    apart = qpoints[:, None] - images
    apart -= np.rint(apart)
    vectors = (apart[:, :, None] + lattice) @ reciprocal
    squares = np.min((vectors**2).sum(axis=-1), axis=2)
    return np.asarray((1.0 / np.maximum(squares, _LEAST_SQUARE) ** 2).sum(axis=1))
