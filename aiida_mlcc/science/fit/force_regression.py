"""Ridge regression of the forces of many frames, of which no more is kept than the fit needs.

A frame has 3·n_atoms rows of features. They are reduced by QR as they come, so memory grows neither with the frames nor
with the atoms; the solutions are those of all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.fit.ridge import RidgeError, group_units, rank_of, reduced, ridge_combinations, ridge_solution

_UNSEEN = 1e-9


class ForceRegression:
    """Forces y ≈ X·θ, added a few frames at a time.

    :param groups: the ridge that holds each parameter back, numbered from 1, shape (n_parameters,).
    """

    def __init__(self, groups: NDArray[np.int64]) -> None:
        self._groups = groups
        self._n_rows, self._weight = 0, 0.0
        self._plain = np.zeros((0, len(groups) + 1))
        self._parts: dict[tuple[int, int], NDArray[np.float64]] = {}
        self._n_frames: dict[tuple[int, int], int] = {}

    def add(
        self,
        features: NDArray[np.float64],
        targets: NDArray[np.float64],
        weights: NDArray[np.float64],
        folds: NDArray[np.int64],
        counts: NDArray[np.int64],
    ) -> None:
        """Add frames.

        :param features: X, shape (n_frames, n_components, n_parameters).
        :param targets: eV/Å, shape (n_frames, n_components).
        :param weights: of the squared residuals of each frame, `folds`: which it is left out with, and `counts`: how
            often it counts in the end, each of shape (n_frames,).
        :raises RidgeError: where features or targets are not finite.
        """
        rows = np.concatenate([features, targets[:, :, None]], axis=2)
        if not np.isfinite(rows).all():
            raise RidgeError('features or labels of the fit hold NaN or infinity')
        width = rows.shape[2]
        self._n_rows += targets.size
        self._weight += float(weights.sum()) * targets.shape[1]
        self._plain = reduced(np.concatenate([self._plain, rows.reshape(-1, width)]))
        rows *= np.sqrt(weights)[:, None, None]
        for fold, count in sorted(set(zip(folds.tolist(), counts.tolist(), strict=True))):
            own = (folds == fold) & (counts == count)
            before = self._parts.get((fold, count), np.zeros((0, width)))
            self._parts[fold, count] = reduced(np.concatenate([before, rows[own].reshape(-1, width)]))
            self._n_frames[fold, count] = self._n_frames.get((fold, count), 0) + int(own.sum())

    @property
    def units(self) -> NDArray[np.float64]:
        """The scale of each feature: that of its group."""
        return group_units(np.sum(self._plain[:, :-1] ** 2, axis=0) / self._n_rows, self._groups)

    @property
    def rank(self) -> int:
        """How many parameters the rows tell apart."""
        return rank_of(np.concatenate(list(self._parts.values()))[:, :-1] / self.units)

    def unseen(self, sizes: Sequence[int]) -> list[int]:
        """Return how many parameters of each kind the rows do not show.

        :param sizes: how many parameters each kind has, in their order.
        """
        found = []
        for columns in np.split(self._plain[:, :-1], np.cumsum(sizes)[:-1], axis=1):
            tolerance = _UNSEEN * float(np.linalg.norm(columns))
            found.append(columns.shape[1] - int(np.linalg.matrix_rank(columns, tol=tolerance)) if columns.size else 0)
        return found

    def choose_ridges(self, choices: Sequence[float]) -> tuple[tuple[float, ...], float]:
        """Return the ridges, one a group, with the smallest error of the frames left out, and that error (eV/Å)."""
        others = {fold: self._without(fold) for fold in sorted({fold for fold, _ in self._parts})}
        errors = {
            ridges: np.sqrt(sum(self._squares_left_out(ridges, others)) / self._weight)
            for ridges in ridge_combinations(choices, int(self._groups.max(initial=0)))
        }
        best = min(errors, key=lambda ridges: errors[ridges])
        return best, float(errors[best])

    def _without(self, fold: int) -> tuple[NDArray[np.float64], int]:
        kept = [key for key in self._parts if key[0] != fold]
        return reduced(np.concatenate([self._parts[key] for key in kept])), sum(self._n_frames[key] for key in kept)

    def _squares_left_out(
        self, ridges: Sequence[float], others: dict[int, tuple[NDArray[np.float64], int]]
    ) -> Iterator[float]:
        for fold, (rows, n_frames) in others.items():
            parameters = self._solution(rows, ridges, n_frames)
            for (own, _), part in self._parts.items():
                if own == fold:
                    yield float(np.sum((part[:, :-1] @ parameters - part[:, -1]) ** 2))

    def solve(self, ridges: Sequence[float]) -> NDArray[np.float64]:
        """Return θ of all frames, each counted as often as it was said, shape (n_parameters,)."""
        rows = np.concatenate([np.sqrt(count) * part for (_, count), part in self._parts.items()])
        return self._solution(rows, ridges, sum(count * n for (_, count), n in self._n_frames.items()))

    def root_mean_square(self, parameters: NDArray[np.float64]) -> float:
        """Return that of the residuals, all components alike, eV/Å."""
        left = self._plain[:, :-1] @ parameters - self._plain[:, -1]
        return float(np.sqrt(np.sum(left**2) / self._n_rows))

    def _solution(self, rows: NDArray[np.float64], ridges: Sequence[float], n_frames: float) -> NDArray[np.float64]:
        units = self.units
        scaled = np.column_stack([rows[:, :-1] / units, rows[:, -1]])
        return ridge_solution(scaled, np.array([0.0, *ridges])[self._groups] * n_frames) / units
