"""What the labels of a fit determine, and which of them its other labels contradict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap
from aiida_mlcc.science.fit.fit_errors import UndeterminedMode
from aiida_mlcc.science.fit.force_constants_basis import ForceConstantsBasis
from aiida_mlcc.science.fit.ridge import Prepared, noise_left, normal_equations
from aiida_mlcc.science.force_field.force_constants import fold
from aiida_mlcc.science.phonons.modes import Mode, curvature_of

UNDETERMINED_SHARE = 0.5
"""Of a mode's prior variance that the labels must remove for it to be determined."""

DEVIATIONS = 5.0
"""Errors of its own fit beyond which a label is named."""

_FEWEST = 12
_TO_SIGMA = 1.4826
_LEAST_LEFT = 0.1
_RANK_TOLERANCE = 1e-12


def determined_shares(
    problem: Prepared, ridges: Sequence[float], directions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much of what the ridges leave open in combinations of parameters the labels remove, shape (n,).

    It is 1 − posterior variance / prior variance of Σ_k c_k·θ_k: 0 for a combination that no label sees, whose value
    the ridge alone sets, and nearly 1 for a well-known one.

    :param directions: c, shape (n, n_parameters). Parameters without a ridge add nothing to the prior variance.
    """
    content = problem.problem
    normal = normal_equations(problem, ridges)[0]
    strengths = np.array([np.inf, *ridges])[content.groups] * content.n_frames
    scaled = directions / problem.units
    prior = np.sum(scaled**2 / strengths, axis=1)
    with_constant = np.pad(scaled, ((0, 0), (0, len(normal) - scaled.shape[1])))
    inverse = np.linalg.pinv(normal, rcond=_RANK_TOLERANCE, hermitian=True)
    posterior = np.sum((with_constant @ inverse) * with_constant, axis=1)
    return np.clip(1.0 - posterior / np.maximum(prior, 1e-300), 0.0, 1.0)


def undetermined_modes(
    problem: Prepared,
    ridges: Sequence[float],
    basis: ForceConstantsBasis,
    modes: Sequence[Mode],
    site_map: SiteMap,
    base: int,
) -> list[UndeterminedMode]:
    """Return the modes of the training cell of whose change the labels say little, by ascending share.

    :param problem: with the parameters of `basis` first.
    :param modes: of the base, see :func:`~aiida_mlcc.science.phonons.modes.commensurate_modes`; `site_map`: of their
        cell.
    :param base: the column with the energy of the base.
    :returns: of each mode ``qpoint``, ``frequency_cm1`` (of the base) and ``share``, as :func:`determined_shares` has
        it, below :data:`UNDETERMINED_SHARE`.
    """
    masses = np.asarray(basis.primitive.get_masses())[site_map.sites]
    moved = [(mode.vectors / np.sqrt(masses)[:, None]).reshape(len(mode.vectors), -1) for mode in modes]
    directions = np.zeros((len(modes), len(problem.units)))
    for number, block in enumerate(basis.blocks):
        hessian = fold(basis.pairs, basis.lattice_vectors, block, site_map)
        directions[:, number] = [np.mean(np.sum((hessian @ u.T).T * u, axis=1)) for u in moved]
    # The scale of the base changes every mode in proportion.
    directions[:, base] = [curvature_of(mode.frequency_cm1) for mode in modes]
    shares = determined_shares(problem, ridges, directions)
    return [
        {
            'qpoint': [float(component) for component in modes[place].qpoint],
            'frequency_cm1': float(modes[place].frequency_cm1),
            'share': float(shares[place]),
        }
        for place in np.argsort(shares)
        if shares[place] < UNDETERMINED_SHARE
    ]


@dataclass(frozen=True)
class SuspiciousLabel:
    """An energy that the fit to all labels does not describe as it describes the others.

    :param frame: its number among the frames of the fit.
    :param residual_ev: what the fit leaves of it, eV per cell.
    :param deviations: the same in standard errors of a residual.
    """

    frame: int
    residual_ev: float
    deviations: float


def suspicious_labels(
    problem: Prepared, ridges: Sequence[float], base: int, deviations: float = DEVIATIONS
) -> list[SuspiciousLabel]:
    """Return the energies that their own fit puts farther off than `deviations` of its errors, the worst first.

    The error is that of the median label, so that wrong ones do not hide in it; it grows with the height above the
    lowest energy where those of the others do. With fewer than twelve labels none are judged.

    :param base: the column with the energy of the base.
    """
    content = problem.problem
    energies = np.flatnonzero(content.is_energy)
    if len(energies) < _FEWEST:
        return []
    parameters, constant = problem.solve(ridges)
    residuals = content.targets[energies] - content.features[energies] @ parameters - constant
    left = np.maximum(noise_left(problem, ridges), _LEAST_LEFT)
    weights = np.ones(len(energies)) if content.weights is None else content.weights[energies]
    scaled = residuals * np.sqrt(weights / left)
    heights = content.features[energies, base]
    heights = heights - heights.min()
    growth = heights + np.median(heights)
    found = np.abs(scaled) / (_TO_SIGMA * np.median(np.abs(scaled)) + 1e-300)
    if growth.min() > 0:
        by_height = np.abs(scaled) / growth
        found = np.minimum(found, by_height / (_TO_SIGMA * np.median(by_height) + 1e-300))
    order = np.argsort(-found)
    frames = content.frame_of_row[energies]
    return [
        SuspiciousLabel(int(frames[place]), float(residuals[place]), float(found[place]))
        for place in order
        if found[place] > deviations
    ]
