"""What a spectrum from dynamics is refused for: settings that cannot give it, and a dynamics that cannot be trusted."""

from __future__ import annotations

import math

from aiida.engine.processes.ports import PortNamespace
from ase import units

from aiida_mlcc.engines.engine import Inputs
from aiida_mlcc.runtime.md.settings import MD
from aiida_mlcc.runtime.task_records import MdSummary
from aiida_mlcc.science.dynamics.settings import DynamicsLimits, SpectrumSettings
from aiida_mlcc.science.dynamics.vdos import FS_TO_CM
from aiida_mlcc.science.dynamics.vdos_of_runs import resolution_of_lag

_STANDARD_DEVIATIONS = 2
"""By which the mean temperature of a small crystal may differ from that of its thermostat by chance alone."""


def refuse_inputs(inputs: Inputs, namespace: PortNamespace) -> str | None:
    """Refuse what no spectrum can come from; a WorkChain that exposes these inputs may fill in members later."""
    if 'force_fields' in namespace and not inputs.get('force_fields'):
        return 'no force field given: give one for each member'
    parameters, spectrum = inputs.get('md', {}).get('parameters'), inputs.get('spectrum')
    if parameters is None or spectrum is None:
        return None
    return refuse_run(MD.of(parameters.get_dict()), SpectrumSettings.of(spectrum.get_dict()))


def refuse_run(md: MD, spectrum: SpectrumSettings) -> str | None:
    """Return why a dynamics cannot give the spectrum that is asked of it, in a sentence, or None."""
    step, n_steps, every = md.time_step_fs, md.n_steps, md.record_every
    if step is None:
        return '`time_step_fs` is null: a spectrum needs a time step'
    if md.record != 'vacf':
        return f'`record` is {md.record!r}: a spectrum needs `vacf`; set `keep_trajectory` to keep the frames, too'
    if md.temperature_start_K != md.temperature_end_K:
        return (
            f'the temperature goes from {md.temperature_start_K:g} to {md.temperature_end_K:g} K: a spectrum '
            'belongs to one temperature'
        )
    recorded, highest = 1 / (2 * every * step * FS_TO_CM), spectrum.highest_cm1
    if highest is not None and highest > recorded:
        return (
            f'recording every {every} steps of {step:g} fs shows modes up to {recorded:.0f} cm⁻¹, and higher '
            f'modes alias, but `highest_cm1` is {highest:g}: lower `record_every`'
        )
    lag = md.max_lag_steps or n_steps // 2
    asked = spectrum.resolution_cm1
    if asked is not None and (given := resolution_of_lag(max(lag, 1) * step)) > asked * (1 + 1e-9):
        needed = math.ceil(1 / (asked * FS_TO_CM * step))
        return (
            f'a longest lag of {lag} steps of {step:g} fs resolves 1/(c·lag) = {given:.1f} cm⁻¹, but `resolution_cm1` '
            f'is {asked:g}: take at least {needed} for `max_lag_steps` and {2 * needed} for `n_steps`'
        )
    if n_steps < 2 * lag:
        return (
            f'{n_steps} steps are too short for a longest lag of {lag} steps, which resolves '
            f'{resolution_of_lag(lag * step):.1f} cm⁻¹: take at least {2 * lag} steps, or a shorter lag'
        )
    return None


def distrust(summary: MdSummary, md: MD, n_atoms: int, limits: DynamicsLimits) -> str | None:
    """Return why a dynamics that came to its end cannot be trusted, with its numbers, or None.

    :param summary: what the job says of its run.
    :param limits: fractions of the temperature: by how much the mean may differ from the thermostat's (in quadrature
        with two standard deviations of so small a crystal, 1/√(3N − 3) of the temperature each), and what the drift of
        the energy may come to by the end of the run.
    """
    kelvin, mean = md.temperature_start_K, summary['mean_temperature_K']
    if kelvin <= 0 or mean is None:
        return None
    by_chance = _STANDARD_DEVIATIONS / math.sqrt(max(3 * n_atoms - 3, 1))
    within = math.hypot(limits.temperature, by_chance) * kelvin
    if abs(mean - kelvin) > within:
        return (
            f'its mean temperature is {mean:.1f} K, not the {kelvin:g} K of the thermostat within {within:.1f} K: '
            'equilibrate for longer'
        )
    drift = summary['energy_drift_mev_per_atom_ps']
    if drift is None:
        return None
    picoseconds = 1e-3 * md.n_steps * md.step_fs
    heated = 1e-3 * drift * picoseconds / (3 * units.kB)
    if abs(heated) > limits.energy_drift * kelvin:
        return (
            f'its energy drifts by {drift:.3g} meV an atom and ps, {heated:+.1f} K over {picoseconds:g} ps, more than '
            f'{limits.energy_drift * kelvin:.1f} K: take a smaller time step, or float64'
        )
    return None
