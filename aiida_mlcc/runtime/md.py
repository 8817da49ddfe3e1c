"""The task ``md``: molecular dynamics of a crystal at constant volume, which can be stopped at any time and go on.

Input: ``{"calculator": SPEC, "start": FILE, "frame": int, "seed": int, "parameters": {…}}``, SPEC as in
:mod:`aiida_mlcc.runtime.calculators`, parameters as in
:class:`~aiida_mlcc.runtime.md_parameters.MDParameters`.

Output: ``trajectory.npz`` (``record`` is ``snapshots``): the structures after every `record_every` steps, labelled by
the calculator; the start is not among them. Or ``vacf.npz`` (``record`` is ``vacf``): mass-weighted velocity
autocorrelation per element in amu Å²/fs² over ``time_fs``. A run that stops early leaves the trajectory it has.

A resumed run gives the trajectory of an uninterrupted one, bit by bit where the calculator does.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from aiida_mlcc.runtime.calculators import PyscfCalculator, build_calculator, energy_and_forces
from aiida_mlcc.runtime.integrators import (
    kinetic_energy,
    langevin_step,
    temperature,
    thermal_velocities,
    verlet_step,
)
from aiida_mlcc.runtime.md_parameters import MDParameters
from aiida_mlcc.runtime.md_state import MDState, Recording
from aiida_mlcc.runtime.pyscf_engine import EngineError
from aiida_mlcc.runtime.task import Job, JobError
from aiida_mlcc.science.npz import write_npz
from aiida_mlcc.science.snapshots import Label, Snapshots
from aiida_mlcc.science.vdos import velocity_autocorrelation

TRAJECTORY_FILE = 'trajectory.npz'
VACF_FILE = 'vacf.npz'


def run(job: Job) -> None:
    """Run, or go on, to the end, or until there is no time left."""
    dynamics = MolecularDynamics(job)
    try:
        complete = dynamics.run()
    except (EngineError, _BlowUp) as error:
        dynamics.write_trajectory()
        raise JobError(str(error), **dynamics.summary()) from error
    dynamics.write_trajectory()
    if not complete:
        return job.pause(**dynamics.summary())
    if dynamics.parameters.record == 'vacf':
        dynamics.write_vacf()
    job.finish(**dynamics.summary())
    return None


class _BlowUp(Exception):
    """A run that no physics describes any more."""


class MolecularDynamics:
    """A run, from its input or from the checkpoint of an earlier job with the same input."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.parameters = MDParameters.of(job.require('parameters'))
        start = Snapshots.load(job.path_of('start'))
        frame = int(job.require('frame'))
        if not 0 <= frame < start.n_frames:
            raise JobError(f'frame {frame} is asked for, but {job.require("start")} holds {start.n_frames}')
        self.start = start.without_labels().select([frame])
        self.atoms: Atoms = self.start.atoms(0)
        self.masses: NDArray[np.float64] = self.atoms.get_masses()
        self.calculator = build_calculator(job.require('calculator'), job.folder)
        if isinstance(self.calculator, PyscfCalculator):
            self.calculator.follow = True
        if hasattr(self.calculator, 'bind'):
            # The reference sites of a force-constants term are those of the start, also for a resumed run.
            self.calculator.bind(self.atoms)
        self.rng = np.random.default_rng(int(job.require('seed')))
        self.energy = 0.0
        self.identity = self._identity()
        self.state = self._resume() or self._begin()
        self.recording = self._open_recording()

    def _identity(self) -> str:
        content = {k: v for k, v in self.job.input.items() if k not in ('max_seconds', 'start', 'frame')}
        text = json.dumps([content, self.start.content_hash()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _resume(self) -> MDState | None:
        state = MDState.read(self.job.checkpoint, self.identity)
        if state is None:
            return None
        self.rng.bit_generator.state = state.random
        self.energy = state.energy
        if hasattr(self.calculator, 'restore'):
            self.calculator.restore(state.calculator)
        return state

    def _begin(self) -> MDState:
        velocities = thermal_velocities(self.parameters.initial_temperature_K, self.masses, self.rng)
        try:
            forces = self.forces_at(self.atoms.positions)
        except EngineError as error:
            raise JobError(f'the dynamics cannot start: {error}') from error
        return MDState(self.atoms.positions.copy(), velocities, forces, self.energy, self.rng.bit_generator.state)

    def _open_recording(self) -> Recording:
        n_numbers, kept = 3 * len(self.atoms), self.state.n_recorded
        if self.parameters.record == 'vacf':
            # Single precision: a relative error of 1e-7 in each velocity, for half the disk.
            return Recording(self.job.checkpoint / 'velocities.bin', n_numbers, '<f4', kept)
        return Recording(self.job.checkpoint / 'frames.bin', 1 + 2 * n_numbers, '<f8', kept)

    def forces_at(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the forces (eV/Å) at `positions`, and keep the energy."""
        self.atoms.positions = positions
        self.energy, forces = energy_and_forces(self.calculator, self.atoms)
        assert forces is not None
        return forces

    def run(self) -> bool:
        """Step until the end; return False where the time was up before.

        :raises _BlowUp: with the step and the temperature.
        :raises EngineError: with the step.
        """
        parameters, state = self.parameters, self.state
        longest = 0.0
        while state.step < parameters.total_steps:
            if self.job.must_stop(reserve=2 * longest):
                self.checkpoint()
                return False
            started = time.monotonic()
            self.step()
            longest = max(longest, time.monotonic() - started)
            if state.step % parameters.checkpoint_every == 0:
                self.checkpoint()
            kelvin = temperature(state.velocities, self.masses)
            self.job.progress(
                state.step,
                parameters.total_steps,
                'step',
                temperature_K=round(kelvin, 2),
                energy_eV=round(state.energy, 6),
            )
        self.checkpoint()
        return True

    def step(self) -> None:
        """Take one step, check it, and record it where it is due."""
        parameters, state = self.parameters, self.state
        move = (state.positions, state.velocities, state.forces, self.forces_at, self.masses)
        h = parameters.time_step_fs * units.fs
        equilibrating = state.step < parameters.equilibration_steps
        try:
            if parameters.ensemble == 'langevin' or equilibrating:
                friction = parameters.friction_per_ps / (1000 * units.fs)
                moved = langevin_step(*move, h, friction, parameters.target_temperature(state.step), self.rng)
            else:
                moved = verlet_step(*move, h)
        except EngineError as error:
            raise EngineError(f'the dynamics stopped in step {state.step + 1}: {error}') from error
        kelvin = temperature(moved[1], self.masses)
        if not np.isfinite(moved[2]).all() or not kelvin < parameters.blow_up_temperature:
            raise _BlowUp(
                f'the dynamics blew up in step {state.step + 1}, at {kelvin:.0f} K: take a smaller time step, '
                'or a force field that knows such structures'
            )
        state.positions, state.velocities, state.forces = moved
        state.energy = self.energy
        state.step += 1
        if not equilibrating:
            self._record(kelvin)

    def _record(self, kelvin: float) -> None:
        parameters, state = self.parameters, self.state
        step = state.step - parameters.equilibration_steps
        total_energy = state.energy + kinetic_energy(state.velocities, self.masses)
        state.averages.add(1e-3 * step * parameters.time_step_fs, kelvin, total_energy)
        if step % parameters.record_every:
            return
        if parameters.record == 'vacf':
            self.recording.append(state.velocities.ravel() * units.fs)
        else:
            self.recording.append(np.concatenate([[state.energy], state.positions.ravel(), state.forces.ravel()]))
        state.n_recorded += 1

    def checkpoint(self) -> None:
        """Bring all that the next step depends on to the disk."""
        self.recording.flush()
        self.state.random = self.rng.bit_generator.state
        if hasattr(self.calculator, 'state'):
            self.state.calculator = self.calculator.state()
        self.state.write(self.job.checkpoint, self.identity)

    def write_trajectory(self) -> None:
        """Write the snapshots recorded so far, if there are any."""
        if self.parameters.record != 'snapshots' or not self.state.n_recorded:
            return
        records = np.asarray(self.recording.read())
        n_frames, n_atoms = len(records), len(self.atoms)
        positions, forces = records[:, 1:].reshape(n_frames, 2, n_atoms, 3).transpose(1, 0, 2, 3)
        cells = np.repeat(self.start.cells, n_frames, axis=0)
        label = Label(records[:, 0].copy(), np.ascontiguousarray(forces), self.calculator.label_source)
        snapshots = Snapshots(self.start.symbols, cells, positions, {self.calculator.label_method: label})
        snapshots.save(self.job.folder / TRAJECTORY_FILE)

    def write_vacf(self) -> None:
        """Write the velocity autocorrelation of each element."""
        parameters, symbols = self.parameters, self.start.symbols
        n_recorded = self.state.n_recorded
        if n_recorded < 2:
            raise JobError(f'{n_recorded} recorded steps have no autocorrelation', **self.summary())
        lags = (parameters.max_lag_steps or parameters.n_steps // 2) // parameters.record_every
        max_lag = min(max(lags, 1), n_recorded - 1)
        velocities = self.recording.read().reshape(n_recorded, len(symbols), 3)
        vacf = velocity_autocorrelation(velocities, self.masses, symbols, max_lag)
        spacing = parameters.record_every * parameters.time_step_fs
        description = {
            'n_atoms': len(symbols),
            'counts': {symbol: symbols.count(symbol) for symbol in vacf},
            'time_step_fs': spacing,
            'n_steps': n_recorded,
            'mean_temperature_K': self.state.averages.mean_temperature,
        }
        arrays = {'time_fs': spacing * np.arange(max_lag + 1)}
        arrays |= {f'vacf_{symbol}': values for symbol, values in vacf.items()}
        write_npz(self.job.folder / VACF_FILE, arrays, description)

    def summary(self) -> dict[str, Any]:
        """Return what ``output.json`` says of the run."""
        state, parameters = self.state, self.parameters
        slope = state.averages.energy_slope if parameters.ensemble == 'nve' else None
        return {
            'steps_done': max(state.step - parameters.equilibration_steps, 0),
            'n_steps': parameters.n_steps,
            'equilibration_steps_done': min(state.step, parameters.equilibration_steps),
            'mean_temperature_K': state.averages.mean_temperature,
            'energy_drift_mev_per_atom_ps': None if slope is None else 1000 * slope / len(self.masses),
        }
