"""Force constants fitted to forces: of a method itself, or of what a force field leaves of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap
from aiida_mlcc.science.fit.fit_errors import HarmonicFit
from aiida_mlcc.science.fit.force_constants_basis import (
    ForceConstantsBasis,
    decaying_basis,
    force_constants_basis,
    resolved_bases,
    resolved_basis,
)
from aiida_mlcc.science.fit.mapped_frames import MappedFrames, distinct_cells, mapped_frames
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.fit.ridge import Problem, blocked_folds, choose_ridges, prepare
from aiida_mlcc.science.fit.third_order_basis import second_shell, third_order_basis
from aiida_mlcc.science.force_field import Term, TrainedOn
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel, fold
from aiida_mlcc.science.labels.snapshots import Snapshots, SnapshotsError
from aiida_mlcc.science.phonons.modes import CM1_PER_ROOT_CURVATURE, Mode, commensurate_modes, inverse_force_weights

RIDGES = (1e-8, 1e-5, 1e-3, 1e-1)
_FOLDS = 5


def fit_force_constants(
    displacements: NDArray[np.float64],
    forces: NDArray[np.float64],
    site_map: SiteMap,
    primitive: Atoms,
    cutoff: float | None = None,
    frame_weights: NDArray[np.float64] | None = None,
    ridges: Sequence[float] = RIDGES,
    trained_on: TrainedOn | None = None,
    third_order_cutoff: float | None = None,
) -> tuple[Term, HarmonicFit]:
    """Fit F = −Φ·u − f (− ½ Ψ·u·u) to forces, with the ridge that predicts stretches of frames left out best.

    :param displacements: Å, shape (n_frames, n_atoms, 3), as
        :func:`~aiida_mlcc.science.fit.mapped_frames.mapped_frames` gives them; `forces` of the same shape, eV/Å.
    :param cutoff: Å; by default the longest that the cell still tells apart, see
        :func:`~aiida_mlcc.science.fit.force_constants_basis.resolved_bases`.
    :param frame_weights: of the squared residuals, shape (n_frames,); equal by default.
    :param third_order_cutoff: Å; None for none. What is not harmonic in warm frames would otherwise be taken for
        softer force constants: that of the optical mode of diamond by 30 cm⁻¹.
    :returns: the term, and ``cutoff_angstrom``, ``n_parameters``, ``rank``, ``ridge``, ``rmse_mev_angstrom``.
    """
    frames = [MappedFrames(np.arange(len(forces)), site_map, displacements)]
    return _fitted(frames, forces, primitive, cutoff, frame_weights, ridges, trained_on, third_order_cutoff)


def _fitted(
    frames: Sequence[MappedFrames],
    forces: NDArray[np.float64],
    primitive: Atoms,
    cutoff: float | None,
    frame_weights: NDArray[np.float64] | None,
    ridges: Sequence[float],
    trained_on: TrainedOn | None,
    third_order_cutoff: float | None,
) -> tuple[Term, HarmonicFit]:
    n_frames, n_components = len(forces), forces[0].size
    cells = distinct_cells(frames)
    basis = resolved_basis(primitive, *cells) if cutoff is None else force_constants_basis(primitive, cutoff)
    third = None if third_order_cutoff is None else third_order_basis(primitive, third_order_cutoff)
    potential = PotentialBasis(decaying_basis(basis), third)
    features = potential.force_features(frames, n_frames).reshape(n_frames * n_components, -1)
    weights = np.ones(n_frames) if frame_weights is None else frame_weights
    problem = prepare(
        Problem(
            features,
            forces.ravel(),
            potential.groups,
            np.repeat(np.arange(n_frames), n_components),
            np.zeros(len(features), dtype=bool),
            np.repeat(weights, n_components),
        )
    )
    chosen = choose_ridges(problem, ridges, blocked_folds(n_frames, min(_FOLDS, n_frames)))[0]
    parameters = problem.solve(chosen)[0]
    residuals = forces.ravel() - features @ parameters
    info: HarmonicFit = {
        'cutoff_angstrom': float(basis.cutoff),
        'n_parameters': len(parameters),
        'rank': problem.rank,
        'ridge': list(chosen),
        'rmse_mev_angstrom': float(1000.0 * np.sqrt(np.mean(residuals**2))),
    }
    return potential.term(parameters, trained_on), info


@dataclass(frozen=True)
class HarmonicModel:
    """The harmonic part of a method's own forces.

    :param site_map: the sites of the training cell; of several, of the one with the most frames.
    """

    force_constants: ForceConstantsModel
    site_map: SiteMap

    @property
    def hessian(self) -> NDArray[np.float64]:
        """∂²E/∂u∂u of the training cell, eV/Å², shape (3·n_atoms, 3·n_atoms)."""
        model = self.force_constants
        folded = fold(model.pairs, model.lattice_vectors, model.force_constants, self.site_map)
        return np.asarray(folded.toarray())

    def modes(self) -> list[Mode]:
        """Return the commensurate modes of the training cell."""
        return commensurate_modes(self.hessian, self.force_constants.primitive, self.site_map)

    def dynamical_matrix(self, qpoint: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Return ω² at a wave vector, as :func:`dynamical_matrix`."""
        model = self.force_constants
        return dynamical_matrix(
            model.primitive.get_masses(), model.pairs, model.lattice_vectors, model.force_constants, qpoint
        )


def dynamical_matrix(
    masses: NDArray[np.float64],
    pairs: NDArray[np.int64],
    lattice_vectors: NDArray[np.int64],
    force_constants: NDArray[np.float64],
    qpoint: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Return Σ_L Φ(i, j, L)·exp(2πi q·L)/√(m_i m_j), eV/Å²/amu, shape (3·n_sites, 3·n_sites).

    :param masses: of the sites, amu.
    :param qpoint: in units of the reciprocal vectors of the primitive cell.
    """
    n_sites = len(masses)
    phases = np.exp(2j * np.pi * lattice_vectors @ qpoint)
    matrix = np.zeros((n_sites, n_sites, 3, 3), dtype=complex)
    np.add.at(matrix, (pairs[:, 0], pairs[:, 1]), force_constants * phases[:, None, None])
    roots = np.sqrt(np.outer(masses, masses))[:, :, None, None]
    return np.asarray((matrix / roots).transpose(0, 2, 1, 3).reshape(3 * n_sites, 3 * n_sites))


def harmonic_model(snapshots: Snapshots, primitive: Atoms, method: str) -> HarmonicModel:
    """Return the harmonic force constants of `method` from the forces of its labels, cold frames counting most.

    :raises SnapshotsError: where fewer than two frames have forces.
    """
    label = snapshots.labels.get(method)
    if label is None or label.forces is None:
        raise SnapshotsError(f'the modes of the crystal are taken from {method} forces, and these snapshots have none')
    usable = np.flatnonzero(np.isfinite(label.forces).all(axis=(1, 2)))
    if len(usable) < 2:
        raise SnapshotsError(
            f'{len(usable)} of {snapshots.n_frames} frames carry {method} forces: the modes of the crystal need two'
        )
    frames = mapped_frames(snapshots.select(usable), primitive)
    forces = label.forces[usable]
    term = _fitted(
        frames,
        forces,
        primitive,
        # Cells see no more than their commensurate modes; whatever describes them all will do.
        resolved_bases(primitive, *distinct_cells(frames))[-1][0].cutoff,
        inverse_force_weights(forces),
        RIDGES,
        None,
        second_shell(primitive),
    )[0]
    return HarmonicModel(ForceConstantsModel(term), max(frames, key=lambda group: len(group.indices)).site_map)


def mode_sensitivities(modes: Sequence[Mode], basis: ForceConstantsBasis, site_map: SiteMap) -> NDArray[np.float64]:
    """Return ∂ω/∂θ_k of each mode, cm⁻¹ per unit of the parameter, shape (n_modes, n_second)."""
    roots = np.sqrt(basis.primitive.get_masses()[site_map.sites])[:, None]
    found = np.zeros((len(modes), basis.n_second))
    for column, block in enumerate(basis.blocks):
        hessian = fold(basis.pairs, basis.lattice_vectors, block, site_map)
        for row, mode in enumerate(modes):
            vectors = (mode.vectors / roots).reshape(len(mode.vectors), -1)
            found[row, column] = np.mean(np.sum(vectors * (hessian @ vectors.T).T, axis=1))
    return found * frequency_slopes(modes)[:, None]


def frequency_slopes(modes: Sequence[Mode]) -> NDArray[np.float64]:
    """Return dω/d(ω²), cm⁻¹ per (eV/Å²/amu)."""
    return np.array([CM1_PER_ROOT_CURVATURE**2 / (2 * max(abs(mode.frequency_cm1), 1.0)) for mode in modes])
