"""A base of force constants: second to fourth order in one fit to forces, beside the dipoles of a polar crystal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.fit.dipole import dipole_energies_and_forces
from aiida_mlcc.science.fit.force_constants_basis import decaying_basis, resolved_basis
from aiida_mlcc.science.fit.mapped_frames import mapped_frames
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.fit.ridge import Problem, blocked_folds, choose_ridges, prepare
from aiida_mlcc.science.fit.third_order_basis import second_shell, third_order_basis
from aiida_mlcc.science.force_field import Term
from aiida_mlcc.science.force_field.dipole import DipoleModel
from aiida_mlcc.science.force_field.fourth_order import bonds_within
from aiida_mlcc.science.modes import inverse_force_weights
from aiida_mlcc.science.snapshots import Snapshots, SnapshotsError

RIDGES = (1e-7, 1e-5, 1e-3, 1e-2, 1e-1)
_FOLDS = 5


@dataclass(frozen=True)
class ForceConstantsFit:
    """A base of force constants.

    :param terms: force constants, then the dipoles if there are any.
    :param height: eV per cell, what is left of the energies in the mean.
    :param errors: ``n_parameters``, ``rank``, ``cutoff_angstrom``, ``ridge`` (one for each order),
        ``forces_rmse_mev_angstrom`` (of the fit), ``cv_forces_rmse_mev_angstrom`` (stretches of frames left out).
    """

    terms: tuple[Term, ...]
    height: float
    errors: dict[str, Any]


def fit_base(
    snapshots: Snapshots,
    primitive: Atoms,
    method: str,
    dipole: DipoleModel | None = None,
    ridges: Sequence[float] = RIDGES,
    trained_on: Mapping[str, Any] | None = None,
) -> ForceConstantsFit:
    """Fit force constants to the forces of `method` that the dipoles leave.

    The second order has the longest cutoff that the training cell resolves in full, the third reaches next-nearest
    neighbours, and the fourth goes along the same bonds. Ridges are chosen by predicting stretches of frames left out.

    :param dipole: see :func:`~aiida_mlcc.science.fit.dipole.dipole_beside`.
    :param ridges: to choose from, relative to the variance of the features.
    :raises SnapshotsError: where fewer than two frames have forces.
    :raises aiida_mlcc.science.crystal.CrystalError: where a frame is no supercell of `primitive`.
    """
    frames = _with_forces(snapshots, method)
    label = frames.labels[method]
    assert label.forces is not None
    groups, n_frames, n_components = mapped_frames(frames, primitive), frames.n_frames, label.forces[0].size
    reach = second_shell(primitive)
    basis = PotentialBasis(
        decaying_basis(resolved_basis(primitive, groups[0].site_map)),
        third_order_basis(primitive, reach),
        bonds_within(primitive, reach),
    )
    energies, forces = np.zeros(n_frames), np.zeros_like(label.forces)
    if dipole is not None:
        energies, forces = dipole_energies_and_forces(dipole, frames)
    features = basis.force_features(groups, n_frames).reshape(n_frames * n_components, -1)
    problem = prepare(
        Problem(
            features,
            (label.forces - forces).ravel(),
            basis.groups,
            np.repeat(np.arange(n_frames), n_components),
            np.zeros(len(features), dtype=bool),
            np.repeat(inverse_force_weights(label.forces), n_components),
        )
    )
    chosen, left_out = choose_ridges(problem, ridges, blocked_folds(n_frames, min(_FOLDS, n_frames)))
    parameters = problem.solve(chosen)[0]
    residuals = problem.problem.targets - features @ parameters
    left = label.energies - energies - basis.features(groups, n_frames) @ parameters
    constants = basis.term(parameters, trained_on)
    return ForceConstantsFit(
        (constants,) if dipole is None else (constants, dipole.term()),
        float(np.nanmean(left)),
        {
            'n_parameters': basis.n_parameters,
            'rank': problem.rank,
            'cutoff_angstrom': float(basis.second.cutoff),
            'ridge': list(chosen),
            'forces_rmse_mev_angstrom': _milli_rms(residuals),
            'cv_forces_rmse_mev_angstrom': 1000.0 * left_out,
        },
    )


def _with_forces(snapshots: Snapshots, method: str) -> Snapshots:
    label = snapshots.labels.get(method)
    usable = (
        np.flatnonzero(np.isfinite(label.forces).all(axis=(1, 2)))
        if label is not None and label.forces is not None
        else np.zeros(0, dtype=np.int64)
    )
    if len(usable) < 2:
        raise SnapshotsError(f'{len(usable)} of {snapshots.n_frames} frames carry {method} forces: a base needs two')
    return snapshots.select(usable)


def _milli_rms(values: NDArray[np.float64]) -> float:
    return float(1000.0 * np.sqrt(np.mean(values**2)))
