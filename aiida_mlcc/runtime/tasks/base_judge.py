"""What a trained base leaves of the forces of its labels, as shifts of the frequencies of the training cell's modes.

Under ``errors``: ``projected_residuals``, one entry a mode with ``qpoint``, ``frequency_cm1``, ``shift_cm1`` (what the
forces left over ask to be added to the model's frequency) and ``standard_error_cm1``; ``residuals_at_rest`` says
whether that is of the crystal at rest, or of one as hot as the frames, where these are all alike. With a
``correction``, a term of force constants fitted to what the network leaves of the forces in the training frames, the
entries say what remains on frames that a correction was not fitted to (``halves_cm1``: the shifts of the two halves of
the frames), those of the network alone are ``projected_residuals_uncorrected``, and ``correction`` tells of the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.runtime.mace.training_data import Known, Labelled, Target
from aiida_mlcc.runtime.task import JobError
from aiida_mlcc.runtime.task_records import TrainTask
from aiida_mlcc.runtime.tasks.fit import primitive_cell
from aiida_mlcc.science.fit.base_correction import Correction, VibratingFrames
from aiida_mlcc.science.fit.fit_errors import FitErrors
from aiida_mlcc.science.force_field import Term, TrainedOn


@dataclass(frozen=True)
class BaseJudge:
    """The frames of a training as vibrations of the crystal, and whether the base shall be corrected.

    :param forces: labels, less what is known before the network, eV/Å, shape (n_frames, n_atoms, 3).
    :param correction: how the base shall be corrected, or None.
    """

    vibrations: VibratingFrames
    forces: NDArray[np.float64]
    correction: Correction | None

    @classmethod
    def of(cls, content: TrainTask, data: Labelled, target: Target, known: Known | None = None) -> BaseJudge | None:
        """Read ``primitive`` and ``correction`` of a job; None where it names no primitive cell.

        The modes are those of the whole forces, and the network is judged by what dipoles and force constants leave of
        them (`known`).

        It is done before the training, so that frames which are not of this crystal are refused in time.

        :raises JobError: for a correction without a primitive cell, or without forces to fit it to.
        """
        primitive, correction = content.get('primitive'), content.get('correction')
        if correction is not None and (primitive is None or not target.forces):
            what = 'the primitive cell of the crystal' if primitive is None else 'forces: energies alone are learnt'
            raise JobError(f'a correction by force constants needs {what}')
        if primitive is None:
            return None
        if target.minus is not None:
            raise JobError('modes are those of a base: name no primitive cell for the training of a Δ')
        forces = data.snapshots.labels[target.method].forces
        if forces is None or not np.isfinite(forces).all():
            raise JobError(
                f'some frames carry no {target.method} forces, so nothing can be said of the modes: '
                'name no primitive cell, or leave those frames out'
            )
        vibrations = VibratingFrames.of(data.snapshots, primitive_cell(primitive), target.method)
        if known is not None:
            forces = forces - known.forces
        return cls(vibrations, forces, None if correction is None else Correction.of(correction))

    def judge(
        self, pulls: NDArray[np.float64], train: NDArray[np.int64], trained_on: TrainedOn
    ) -> tuple[Term | None, FitErrors]:
        """Return the correction, if one is asked for, and what to tell under ``errors``.

        :param pulls: forces of the network, eV/Å, shape (n_frames, n_atoms, 3).
        :param train: the frames it was trained on, to which the correction is fitted too: held-out frames stay so.
        :param trained_on: where the network comes from.
        """
        left = self.forces - pulls
        alone = self.vibrations.residuals(left)
        told: FitErrors = {'projected_residuals': alone, 'residuals_at_rest': self.vibrations.reach_rest}
        if self.correction is None:
            return None, told
        cutoff = self.correction.cutoff
        term, info = self.vibrations.correction(left, cutoff, train, trained_on)
        return term, {
            **told,
            'projected_residuals': self.vibrations.crossed_residuals(left, cutoff),
            'projected_residuals_uncorrected': alone,
            'correction': info,
        }
