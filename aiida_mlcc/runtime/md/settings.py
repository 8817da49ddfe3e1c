"""How a crystal moves: the settings of molecular dynamics."""

from __future__ import annotations

from dataclasses import dataclass

from aiida_mlcc.science.settings import Settings, SettingsError, setting

_BLOW_UP_FACTOR = 10.0
_BLOW_UP_FLOOR_K = 1000.0
"""A temperature above ten times the highest one asked for, and above this, is not a fluctuation."""


@dataclass(frozen=True)
class MD(Settings):
    """Molecular dynamics at constant volume."""

    TITLE = 'MD'

    ensemble: str = setting(
        '`langevin`: the temperature goes linearly from start to end over `n_steps`; `nve`: constant energy.',
        default='langevin',
        choices=('langevin', 'nve'),
    )
    n_steps: int = setting('Steps after the equilibration.', default=300, at_least=1)
    time_step_fs: float | None = setting(
        'Time step; null, in a DFTMDWorkChain with reference displacements, for one in which the stiffest mode turns '
        'by 0.35 rad.',
        default=1.0,
        above=0,
        unit='fs',
    )
    friction_per_ps: float = setting('Friction of the thermostat.', default=10.0, at_least=0, unit='1/ps')
    temperature_start_K: float = setting(
        'Temperature of the thermostat in the equilibration and in the first step after it.',
        default=100.0,
        at_least=0,
        unit='K',
    )
    temperature_end_K: float = setting(
        'Temperature of the thermostat in the last step.', default=600.0, at_least=0, unit='K'
    )
    initial_temperature_K: float = setting(
        'Temperature from which the first velocities are drawn.', default=100.0, at_least=0, unit='K'
    )
    equilibration_steps: int = setting(
        'Langevin steps at `temperature_start_K` before the others; they are not recorded.', default=0, at_least=0
    )
    record_every: int = setting('Steps from one record to the next.', default=1, at_least=1)
    record: str = setting(
        '`snapshots`: structures with energies and forces; `vacf`: the velocity autocorrelation.',
        default='snapshots',
        choices=('snapshots', 'vacf'),
    )
    max_lag_steps: int | None = setting(
        'Longest lag of the autocorrelation in steps; null for half of the run.', default=None, at_least=1
    )
    checkpoint_every: int = setting('Steps from one checkpoint to the next.', default=5, at_least=1)
    production_friction_per_ps: float | None = setting(
        'Friction after the equilibration; null for `friction_per_ps`.',
        default=None,
        at_least=0,
        unit='1/ps',
        required=False,
        written=False,
    )
    keep_trajectory: bool = setting(
        'Whether the recorded structures are kept beside the autocorrelation.',
        default=False,
        required=False,
        written=False,
    )
    dtype: str = setting('Precision of a force field.', default='float64', choices=('float32', 'float64'))

    @property
    def step_fs(self) -> float:
        """The time step, fs.

        :raises SettingsError: where it is still to be chosen.
        """
        if self.time_step_fs is None:
            raise SettingsError('`time_step_fs` is null: a dynamics needs its time step')
        return self.time_step_fs

    @property
    def total_steps(self) -> int:
        """Steps with those of the equilibration."""
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
