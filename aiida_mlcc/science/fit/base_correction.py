"""What a base force field leaves of the forces it was trained on, seen by the modes of the training cell: report it as
shifts of frequencies, and correct it with force constants.

A network fits hot frames best, since they dominate its loss; a low error of the forces says little about the harmonic
frequencies. The residual forces, projected on the modes and followed down to where nothing moves, say how far each
frequency is off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.crystal.cells import SiteMap, shortest_distance
from aiida_mlcc.science.fit.fit_errors import HarmonicFit, ModeShift
from aiida_mlcc.science.fit.force_constants_basis import (
    MAX_CUTOFF,
    decaying_basis,
    force_constants_basis,
    shells,
)
from aiida_mlcc.science.fit.harmonic_model import RIDGES, harmonic_model
from aiida_mlcc.science.fit.mapped_frames import frame_displacements
from aiida_mlcc.science.fit.potential_basis import PotentialBasis
from aiida_mlcc.science.fit.ridge import Problem, blocked_folds, choose_ridges, prepare
from aiida_mlcc.science.force_field import Term, TrainedOn
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.phonons.modes import Mode, inverse_force_weights, projected_residuals
from aiida_mlcc.science.settings import Settings, setting

_STRETCHES = 20
_FOLDS = 5
_SAME_DISTANCE = 1e-3
_LEAST_SPREAD = 0.3


@dataclass(frozen=True)
class Correction(Settings):
    """How a base is corrected by force constants."""

    TITLE = 'correction'

    cutoff: float | None = setting(
        'Of the force constants; null for one that lets any two atoms of the training cell interact.',
        default=None,
        above=0,
        unit='Å',
        required=False,
    )


@dataclass(frozen=True)
class VibratingFrames:
    """Frames of one training cell as displacements, with the modes of the harmonic crystal behind their forces.

    :param cell: of the frames, Å, shape (3, 3).
    :param displacements: Å, shape (n_frames, n_atoms, 3).
    :param weights: of the frames, cold ones counting most, shape (n_frames,).
    :param heat: mean square force of each frame, relative to the mean over all, shape (n_frames,); zero where the
        frames are all about as hot, and tell nothing of a crystal at rest.
    """

    primitive: Atoms
    site_map: SiteMap
    cell: NDArray[np.float64]
    displacements: NDArray[np.float64]
    weights: NDArray[np.float64]
    heat: NDArray[np.float64]
    modes: list[Mode]

    @classmethod
    def of(cls, snapshots: Snapshots, primitive: Atoms, method: str) -> VibratingFrames:
        """Find the modes in the forces of `method`, which all frames carry.

        :raises aiida_mlcc.science.crystal.cells.CrystalError: where the frames are not of one supercell of `primitive`.
        :raises SnapshotsError: where there are no forces.
        """
        model = harmonic_model(snapshots, primitive, method)
        forces = snapshots.labels[method].forces
        assert forces is not None
        return cls(
            primitive,
            model.site_map,
            snapshots.cells[0],
            frame_displacements(snapshots, primitive)[1],
            inverse_force_weights(forces),
            _heat(forces),
            model.modes(),
        )

    @property
    def reach_rest(self) -> bool:
        """Whether what is said is of the crystal at rest, and not of one as hot as the frames."""
        return bool(self.heat.any())

    def residuals(
        self, residual_forces: NDArray[np.float64], frames: NDArray[np.int64] | None = None
    ) -> list[ModeShift]:
        """Return by how much the forces left over say that each frequency is wrong at rest, see
        :func:`~aiida_mlcc.science.phonons.modes.projected_residuals`.

        :param residual_forces: reference minus model, eV/Å, shape (n_frames, n_atoms, 3).
        :param frames: those to look at; all by default.
        """
        chosen = np.arange(len(self.displacements)) if frames is None else frames
        return projected_residuals(
            self.modes,
            self.primitive.get_masses()[self.site_map.sites],
            self.displacements[chosen],
            residual_forces[chosen],
            self.weights[chosen],
            self.heat[chosen],
        )

    def correction(
        self,
        residual_forces: NDArray[np.float64],
        cutoff: float | None,
        frames: NDArray[np.int64],
        trained_on: TrainedOn | None = None,
    ) -> tuple[Term, HarmonicFit]:
        """Fit force constants to the forces left over in `frames`, as they are at rest.

        F = −(Φ + h·Φ')·u − (f + h·f') with the heat h of a frame: what is quartic of the residual makes Φ depend on
        temperature, and the term holds Φ and f, those of a crystal at rest (unless all frames are about as hot). The
        ridges are chosen by predicting stretches of frames left out.

        :param cutoff: Å; by default one that lets any two atoms of the cell interact, so that the term can describe
            every mode of the cell. Of force constants that the cell cannot tell apart the ridge takes the smallest.
        :returns: the term, and ``cutoff_angstrom``, ``n_parameters``, ``rank`` and ``ridge`` (of Φ and of Φ').
        """
        reach = self._covering_cutoff() if cutoff is None else cutoff
        basis = decaying_basis(force_constants_basis(self.primitive, reach))
        n_frames, n_components = len(frames), self.displacements[0].size
        features = basis.force_features(self.site_map, self.displacements[frames])
        n_parameters = features.shape[2]
        if self.reach_rest:
            features = np.concatenate([features, self.heat[frames, None, None] * features], axis=2)
        problem = prepare(
            Problem(
                features.reshape(n_frames * n_components, -1),
                residual_forces[frames].ravel(),
                1 + np.arange(features.shape[2]) // n_parameters,
                np.repeat(np.arange(n_frames), n_components),
                np.zeros(n_frames * n_components, dtype=bool),
                np.repeat(self.weights[frames], n_components),
            )
        )
        ridges = choose_ridges(problem, RIDGES, blocked_folds(n_frames, min(_FOLDS, n_frames)))[0]
        parameters = problem.solve(ridges)[0][:n_parameters]
        info: HarmonicFit = {
            'cutoff_angstrom': float(basis.cutoff),
            'n_parameters': n_parameters,
            'rank': basis.folded_rank(self.site_map),
            'ridge': list(ridges),
        }
        return PotentialBasis(basis).term(parameters, trained_on), info

    def _covering_cutoff(self) -> float:
        """Return a cutoff that reaches the nearest image of every atom of the cell, at most 8 Å."""
        at_rest = self._atoms(self.site_map.reference_positions)
        farthest = float(at_rest.get_all_distances(mic=True).max())
        distances = shells(self.primitive, farthest + shortest_distance(self.primitive))
        beyond = distances[distances > farthest + _SAME_DISTANCE]
        # Halfway to the next shell: no rounding decides which atoms interact.
        return min((farthest + float(beyond[0])) / 2, MAX_CUTOFF) if len(beyond) else MAX_CUTOFF

    def _atoms(self, positions: NDArray[np.float64]) -> Atoms:
        symbols = np.array(self.primitive.get_chemical_symbols())[self.site_map.sites]
        return Atoms(symbols, positions=positions, cell=self.cell, pbc=True)

    def energies_and_forces(self, term: Term) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the energies (eV per cell) and forces (eV/Å) of force constants in every frame."""
        positions = self.site_map.reference_positions + self.displacements
        bound = ForceConstantsModel(term).bind(self._atoms(positions[0]))
        found = [bound.energy_forces(frame) for frame in positions]
        return np.array([energy for energy, _ in found]), np.array([forces for _, forces in found])

    def crossed_residuals(self, residual_forces: NDArray[np.float64], cutoff: float | None) -> list[ModeShift]:
        """Return what remains of :meth:`residuals` after a correction, judged on frames that it was not fitted to.

        The trajectory is cut into stretches, every other of which makes one half: what is fitted to one half is
        judged on the other, both ways.

        :returns: as :meth:`residuals`, ``shift_cm1`` being the root mean square of the two halves' shifts, which
            stand beside it as ``halves_cm1``. (Their mean would say nothing: where one half asks for more than the
            other got, the other asks for less.)
        """
        n_frames = len(self.displacements)
        half = np.arange(n_frames) * min(_STRETCHES, n_frames) // n_frames % 2
        judged = []
        for number in (0, 1):
            fitted, seen = np.flatnonzero(half != number), np.flatnonzero(half == number)
            term, _ = self.correction(residual_forces, cutoff, fitted)
            judged.append(self.residuals(residual_forces - self.energies_and_forces(term)[1], seen))
        # A mode along which one half does not move is not judged.
        others = {(*entry['qpoint'], entry['frequency_cm1']): entry for entry in judged[1]}
        both = [(one, others.get((*one['qpoint'], one['frequency_cm1']))) for one in judged[0]]
        return [
            {
                **one,
                'shift_cm1': _root_mean_square(one['shift_cm1'], other['shift_cm1']),
                'standard_error_cm1': _root_mean_square(one['standard_error_cm1'], other['standard_error_cm1']),
                'halves_cm1': [one['shift_cm1'], other['shift_cm1']],
            }
            for one, other in both
            if other is not None
        ]


def _heat(forces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how hot each frame is. The variance of a line's value at rest is that of its mean, times 1 + 1/v with the
    relative variance v of the heat."""
    mean_squares = np.mean(forces**2, axis=(1, 2))
    if mean_squares.std() < _LEAST_SPREAD * mean_squares.mean():
        return np.zeros(len(forces))
    return np.asarray(mean_squares / mean_squares.mean())


def _root_mean_square(*values: float) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
