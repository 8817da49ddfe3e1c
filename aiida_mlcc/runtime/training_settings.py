"""How to train a network: epochs, batches, learning rate, weights of the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

SCHEDULES = ('constant', 'exponential', 'cosine')
"""How the learning rate falls over the epochs; the last two end at one hundredth of where they began."""

FRAME_WEIGHTS = ('uniform', 'inverse-force')
"""How much a frame counts in the loss: all the same, or inversely to its mean square force, so that cold ones count."""

_FINAL_RATE = 0.01


class TrainingError(ValueError):
    """Settings or a course of training that leads nowhere, as a sentence."""


@dataclass(frozen=True)
class Training:
    """How to train.

    :param energy_weight: weight of the mean squared error of the energy per atom, (eV/atom)⁻².
    :param forces_weight: weight of the mean squared error of a force component, (eV/Å)⁻².
    :param frame_weights: one of :data:`FRAME_WEIGHTS`.
    :param ema_decay: decay per step of the running average of the weights that is validated and kept; None for none.
    :param patience: epochs without a better validation loss after which to stop; None for never.
    :param valid_fraction: share of the frames that is held out.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    energy_weight: float
    forces_weight: float
    frame_weights: str
    ema_decay: float | None
    schedule: str
    patience: int | None
    valid_fraction: float

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise TrainingError(f'unknown schedule {self.schedule!r}: choose from {", ".join(SCHEDULES)}')
        if self.frame_weights not in FRAME_WEIGHTS:
            raise TrainingError(f'unknown frame_weights {self.frame_weights!r}: choose from {", ".join(FRAME_WEIGHTS)}')
        if self.epochs < 1 or self.batch_size < 1:
            raise TrainingError('training takes at least one epoch and batches of at least one frame')
        if not 0 < self.valid_fraction < 1:
            raise TrainingError(f'valid_fraction is {self.valid_fraction:g}: give a share between 0 and 1')

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Training:
        """Read plain JSON.

        :raises TrainingError: naming a key that is unknown or missing.
        """
        known = [item.name for item in fields(cls)]
        if unknown := sorted(set(settings) - set(known)):
            raise TrainingError(f'unknown training setting {unknown[0]!r}: choose from {", ".join(known)}')
        optional = {'ema_decay': None, 'patience': None}
        if missing := [name for name in known if name not in settings and name not in optional]:
            raise TrainingError(f'the training lacks the setting {missing[0]!r}')
        return cls(**{**optional, **settings})

    def rate(self, progress: float) -> float:
        """Return the learning rate after a share `progress` of all steps."""
        if self.schedule == 'exponential':
            return self.learning_rate * _FINAL_RATE**progress
        if self.schedule == 'cosine':
            fall = 0.5 * (1.0 + math.cos(math.pi * progress))
            return self.learning_rate * (_FINAL_RATE + (1.0 - _FINAL_RATE) * fall)
        return self.learning_rate
