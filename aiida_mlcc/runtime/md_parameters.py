"""How a crystal is to move: the parameters of the task ``md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from aiida_mlcc.runtime.task import JobError

_BLOW_UP_FACTOR = 10.0
_BLOW_UP_FLOOR_K = 1000.0
"""A temperature above ten times the highest one asked for, and above this, is no fluctuation."""


@dataclass(frozen=True)
class MDParameters:
    """How to move.

    :param ensemble: ``langevin``, its temperature going linearly from start to end over `n_steps`; or ``nve``.
    :param initial_temperature_K: of the first velocities.
    :param equilibration_steps: Langevin steps at `temperature_start_K` before the `n_steps`, not recorded.
    :param record: ``snapshots`` or ``vacf``.
    :param max_lag_steps: MD steps that the autocorrelation reaches; None for half the run.
    :param checkpoint_every: steps between checkpoints.
    :param production_friction_per_ps: of the Langevin steps after the equilibration; None for `friction_per_ps`.
    :param keep_trajectory: whether the recorded frames are kept beside the autocorrelation.
    """

    ensemble: str
    n_steps: int
    time_step_fs: float
    friction_per_ps: float
    temperature_start_K: float
    temperature_end_K: float
    initial_temperature_K: float
    equilibration_steps: int
    record_every: int
    record: str
    max_lag_steps: int | None
    checkpoint_every: int
    production_friction_per_ps: float | None = None
    keep_trajectory: bool = False

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> MDParameters:
        """Take the parameters from a job's input.

        :raises JobError: naming the parameter that is unknown, missing or senseless.
        """
        known = set(cls.__dataclass_fields__)
        if unknown := sorted(set(parameters) - known):
            raise JobError(f'unknown MD parameter {unknown[0]!r}: choose from {", ".join(sorted(known))}')
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        if missing := sorted(needed - set(parameters)):
            raise JobError(f'the MD parameter {missing[0]} is missing')
        chosen = cls(**parameters)
        if chosen.ensemble not in ('langevin', 'nve') or chosen.record not in ('snapshots', 'vacf'):
            raise JobError(f'unknown ensemble {chosen.ensemble!r} or record {chosen.record!r}')
        if min(chosen.n_steps, chosen.record_every, chosen.checkpoint_every) < 1 or chosen.time_step_fs <= 0:
            raise JobError('n_steps, record_every, checkpoint_every and time_step_fs must be positive')
        return chosen

    @property
    def total_steps(self) -> int:
        return self.equilibration_steps + self.n_steps

    def target_temperature(self, step: int) -> float:
        """Return the thermostat's temperature in K half way through the step that follows step number `step`."""
        recorded = step - self.equilibration_steps
        if recorded < 0:
            return self.temperature_start_K
        done = (recorded + 0.5) / self.n_steps
        return self.temperature_start_K + done * (self.temperature_end_K - self.temperature_start_K)

    def friction(self, step: int) -> float:
        """Return the thermostat's friction (1/ps) in the step that follows step number `step`."""
        if step < self.equilibration_steps or self.production_friction_per_ps is None:
            return self.friction_per_ps
        return self.production_friction_per_ps

    @property
    def blow_up_temperature(self) -> float:
        """K."""
        highest = max(self.temperature_start_K, self.temperature_end_K, self.initial_temperature_K)
        return max(_BLOW_UP_FACTOR * highest, _BLOW_UP_FLOOR_K)
