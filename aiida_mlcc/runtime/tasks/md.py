"""The task ``md``: molecular dynamics of a crystal at constant volume, which can be stopped at any time and go on.

Input: ``{"calculator": SPEC, "start": FILE, "frame": int, "seed": int, "parameters": {…}, "primitive": {…}}``, SPEC as
in :mod:`aiida_mlcc.runtime.calculators`, parameters as in
:class:`~aiida_mlcc.runtime.md.settings.MD`; the primitive cell may be left out.

Output: ``trajectory.npz`` (``record`` is ``snapshots``, or ``keep_trajectory``): the structures after every
`record_every` steps, labelled by the calculator; the start is not among them. ``vacf.npz`` (``record`` is ``vacf``):
mass-weighted velocity autocorrelation in amu Å²/fs² over ``time_fs``, of each element (``vacf_C``) and of each of its
directions (``vacf_C_xyz``), and of each element in each block of the run (``blocks``); with a primitive cell also the
normal modes of the supercell at rest (``harmonic_frequencies_cm1``, ``harmonic_weights``), or in its description why
there are none (``no_harmonic_modes_because``). A run that stops early leaves the trajectory it has. One for a spectrum
that blew up leaves the last steps before, be they of the equilibration or of an earlier job.

A resumed run gives the trajectory of an uninterrupted one, bit by bit where the calculator does.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from aiida_mlcc.runtime.calculators import build_calculator, energy_and_forces
from aiida_mlcc.runtime.md.integrators import (
    kinetic_energy,
    langevin_step,
    temperature,
    thermal_velocities,
    verlet_step,
)
from aiida_mlcc.runtime.md.settings import MD
from aiida_mlcc.runtime.md.state import STATE_FILE, MDState, Recording
from aiida_mlcc.runtime.md.vacf import VelocityRecord
from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.task import Job, JobError
from aiida_mlcc.runtime.task_records import MdSummary
from aiida_mlcc.runtime.tasks.hessian import modes_at_rest, primitive_atoms
from aiida_mlcc.science.crystal.cells import CrystalError, SiteMap, map_onto_crystal
from aiida_mlcc.science.dynamics.vdos import folding
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.science.phonons.commensurate import NormalModes
from aiida_mlcc.science.units import IMAGINARY_THRESHOLD_CM1

TRAJECTORY_FILE = 'trajectory.npz'
_FRAMES_BEFORE_A_BLOW_UP = 10
_SHOWN_IN_FULL_K = 1e6

_NO_MODES = (EngineError, CrystalError, JobError, RuntimeError, MemoryError, np.linalg.LinAlgError)
"""What may keep a crystal from having modes; a GPU without memory is a RuntimeError."""

_LONGEST_PHASE = 0.8
"""rad: by which the mean vibration may turn in a step. Velocity Verlet is unstable for one that turns by 2."""

_STEPS_OF_A_MEAN = 10
_DEVIATIONS = 6.0
_SLACK_K = 50.0
_GOOD_PHASE = 0.25
"""The stiffest mode of a crystal, up to 1.4 times the mean, turns by 0.35 then."""


def run(job: Job) -> None:
    """Run, or go on, to the end, or until there is no time left."""
    dynamics = MolecularDynamics(job)
    try:
        complete = dynamics.run()
    except (EngineError, BlowUp) as error:
        dynamics.write_trajectory(last_frames=True)
        raise JobError(str(error), **dynamics.summary()) from error
    dynamics.write_trajectory()
    if not complete:
        return job.pause(**dynamics.summary())
    dynamics.write_vacf()
    job.finish(**dynamics.summary())
    return None


class BlowUp(Exception):
    """A run that no physics describes any more, in this step, at this temperature and at that of the step before, K.

    :param lowest_cm1: the lowest harmonic frequency of the start, negative where it is imaginary; None where unknown.
    """

    def __init__(self, step: int, kelvin: float, before: float, lowest_cm1: float | None) -> None:
        if not np.isfinite(kelvin):
            found = f'from {before:.0f} K to no number'
        else:
            found = f'at {kelvin:.0f} K' if kelvin < _SHOWN_IN_FULL_K else f'at {kelvin:.3g} K'
        advice = 'take a smaller time step, or a force field that knows such structures'
        if lowest_cm1 is not None and lowest_cm1 < -IMAGINARY_THRESHOLD_CM1:
            advice = f'the crystal is unstable in this model, its lowest mode is at {lowest_cm1:.0f} cm⁻¹'
        super().__init__(f'the dynamics blew up in step {step}, {found}: {advice}')


class MolecularDynamics:
    """A run, from its input or from the checkpoint of an earlier job with the same input."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.parameters = job.settings(MD, 'parameters')
        start = Snapshots.load(job.path_of('start'))
        frame = int(job.require('frame'))
        if not 0 <= frame < start.n_frames:
            raise JobError(f'frame {frame} is asked for, but {job.require("start")} holds {start.n_frames}')
        self.start = start.without_labels().select([frame])
        self.atoms: Atoms = self.start.atoms(0)
        self.masses: NDArray[np.float64] = self.atoms.get_masses()
        self.calculator = build_calculator(job.require('calculator'), job.folder)
        if hasattr(self.calculator, 'follow'):
            self.calculator.follow = True
        if hasattr(self.calculator, 'bind'):
            # The reference sites of a force-constants term are those of the start, also for a resumed run.
            self.calculator.bind(self.atoms)
        self.site_map = self._site_map()
        self.rng = np.random.default_rng(int(job.require('seed')))
        self.energy = 0.0
        self.no_modes: str | None = None
        self.identity = self._identity()
        self.state = self._resume() or self._begin()
        self.velocities: VelocityRecord | None = None
        if self.parameters.record == 'vacf':
            kept = self.state.correlation
            self.velocities = VelocityRecord(self.parameters, self.start.symbols, self.masses, kept)
        self.frames: Recording | None = None
        if self._records_frames:
            self.frames = Recording(self._frames_file, self._n_numbers, '<f8', self.state.n_recorded)
        self.last_frames = deque(self.state.last_frames, maxlen=_FRAMES_BEFORE_A_BLOW_UP)
        self.last_temperatures: deque[float] = deque(maxlen=_STEPS_OF_A_MEAN)

    @property
    def _records_frames(self) -> bool:
        return self.parameters.record == 'snapshots' or self.parameters.keep_trajectory

    @property
    def _frames_file(self) -> Path:
        return self.job.checkpoint / 'frames.bin'

    @property
    def _n_numbers(self) -> int:
        """Of the record of a frame: energy, positions and forces."""
        return 1 + 2 * 3 * len(self.atoms)

    def _site_map(self) -> SiteMap | None:
        """Return which atom is which of the primitive cell, where that is given, before any step is taken.

        :raises JobError: for a start that is not a supercell of it.
        """
        if self.job.input.get('primitive') is None:
            return None
        try:
            return map_onto_crystal(primitive_atoms(self.job.input['primitive']), self.atoms)
        except CrystalError as error:
            raise JobError(f'the start is not a supercell of `primitive`: {error}') from error

    def _identity(self) -> str:
        content = {k: v for k, v in self.job.input.items() if k not in ('max_seconds', 'start', 'frame')}
        text = json.dumps([content, self.start.content_hash()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _resume(self) -> MDState | None:
        path = self.job.checkpoint / STATE_FILE
        state = self.job.kept(path, lambda kept: MDState.read(kept, self.identity))
        if state is None:
            return None
        if self._records_frames and not Recording.holds(self._frames_file, self._n_numbers, '<f8', state.n_recorded):
            self.job.set_aside(path, OSError(f'{self._frames_file.name} is shorter than it says'))
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
        state = MDState(self.atoms.positions.copy(), velocities, forces, self.energy, self.rng.bit_generator.state)
        state.harmonic = self._harmonic_at_start()
        return state

    def _harmonic_at_start(self) -> dict[str, NDArray[Any]]:
        """Return the normal modes of the start for a spectrum, or nothing where they cannot be had: the end says why.

        :raises JobError: where the records would fold one of them back.
        """
        if self.parameters.record != 'vacf' or self.site_map is None:
            return {}
        try:
            modes, residual_force = self._modes(self.site_map)
        except _NO_MODES:
            return {}
        reason = folding(modes.highest_cm1, self.parameters.record_every, self.parameters.step_fs)
        if reason is not None:
            raise JobError(f'the dynamics gives no spectrum: {reason}')
        return {
            'frequencies_cm1': modes.frequencies_cm1,
            'weights': modes.weights,
            'residual_force_eV_A': np.array(residual_force),
        }

    def _lowest(self) -> float | None:
        """Return the lowest harmonic frequency of the start, cm⁻¹, negative where imaginary; None where unknown."""
        frequencies = self.state.harmonic.get('frequencies_cm1')
        return None if frequencies is None else float(frequencies.min())

    def forces_at(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the forces (eV/Å) at `positions`, and keep the energy."""
        self.atoms.positions = positions
        self.energy, forces = energy_and_forces(self.calculator, self.atoms)
        assert forces is not None
        return forces

    def run(self) -> bool:
        """Step until the end; return False where the time was up before.

        :raises BlowUp: with the step and the last temperature.
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
        h = parameters.step_fs * units.fs
        before = temperature(state.velocities, self.masses)
        equilibrating = state.step < parameters.equilibration_steps
        try:
            if parameters.ensemble == 'langevin' or equilibrating:
                friction = parameters.friction(state.step) / (1000 * units.fs)
                moved = langevin_step(*move, h, friction, parameters.target_temperature(state.step), self.rng)
            else:
                moved = verlet_step(*move, h)
        except (EngineError, CrystalError) as error:
            if isinstance(error, CrystalError) or isinstance(error.__cause__, CrystalError):
                # Atoms that leave their sites: a term of force constants knows no such structure.
                raise BlowUp(state.step + 1, before, before, self._lowest()) from error
            raise EngineError(f'the dynamics stopped in step {state.step + 1}: {error}') from error
        kelvin = temperature(moved[1], self.masses)
        if not np.isfinite(moved[2]).all() or not kelvin < parameters.blow_up_temperature:
            raise BlowUp(state.step + 1, kelvin, before, self._lowest())
        if state.step == 0 and (reason := self._too_long(moved[0], moved[2])) is not None:
            raise JobError(reason)
        if (reason := self._left_the_thermostat(kelvin)) is not None:
            raise JobError(reason)
        state.positions, state.velocities, state.forces = moved
        state.energy = self.energy
        state.step += 1
        self.last_frames.append(np.concatenate([[state.step], self._frame()]))
        if not equilibrating:
            self._record(kelvin)

    def _too_long(self, positions: NDArray[np.float64], forces: NDArray[np.float64]) -> str | None:
        """Return that the time step is too long for the vibrations of the crystal, or None.

        It asks of forces by an engine, which are dear and go into data sets; a force field may blow up. By how much the
        forces of the first step pull back is a mean over all vibrations, the stiff ones among them.
        """
        if hasattr(self.calculator, 'bind'):
            return None
        moved, pulled = positions - self.state.positions, forces - self.state.forces
        if not moved.any():
            return None
        square = -float(np.sum(moved * pulled)) / float(np.sum(self.masses[:, None] * moved**2))
        phase = float(np.sqrt(max(square, 0.0))) * self.parameters.step_fs * units.fs
        if phase <= _LONGEST_PHASE:
            return None
        longest = self.parameters.step_fs * _GOOD_PHASE / phase
        return (
            f'a time step of {self.parameters.step_fs:g} fs is too long: the vibrations of this crystal turn by '
            f'{phase:.1f} rad in it: set `time_step_fs` to {longest:.2g} or less'
        )

    def _left_the_thermostat(self, kelvin: float) -> str | None:
        """Return that the crystal has become far hotter than its thermostat, or None.

        As for the time step, it asks of forces by an engine. The mean over some steps of a harmonic crystal scatters by
        no more than the temperature of a single one does, and by chance it is never six times that off.
        """
        if hasattr(self.calculator, 'bind') or self.parameters.ensemble != 'langevin':
            return None
        self.last_temperatures.append(kelvin)
        if len(self.last_temperatures) < _STEPS_OF_A_MEAN:
            return None
        aim = max(self.parameters.target_temperature(self.state.step), self.parameters.initial_temperature_K)
        mean = float(np.mean(self.last_temperatures))
        if mean <= aim * (1 + _DEVIATIONS * np.sqrt(2 / (3 * len(self.masses)))) + _SLACK_K:
            return None
        set_to = self.parameters.target_temperature(self.state.step)
        return (
            f'the crystal is at {mean:.0f} K on average of the {_STEPS_OF_A_MEAN} steps up to {self.state.step + 1}, '
            f'where the thermostat is at {set_to:.0f} K: '
            'take a smaller `time_step_fs`, or forces that are converged better; the frames are not used'
        )

    def _record(self, kelvin: float) -> None:
        parameters, state = self.parameters, self.state
        step = state.step - parameters.equilibration_steps
        total_energy = state.energy + kinetic_energy(state.velocities, self.masses)
        state.averages.add(1e-3 * step * parameters.step_fs, kelvin, total_energy)
        if step % parameters.record_every:
            return
        if self.velocities is not None:
            self.velocities.add(state.velocities)
        if self.frames is not None:
            self.frames.append(self._frame())
        state.n_recorded += 1

    def _frame(self) -> NDArray[np.float64]:
        state = self.state
        return np.concatenate([[state.energy], state.positions.ravel(), state.forces.ravel()])

    def checkpoint(self) -> None:
        """Bring all that the next step depends on to the disk."""
        if self.frames is not None:
            self.frames.flush()
        if self.velocities is not None:
            self.state.correlation = self.velocities.correlator.state()
        self.state.last_frames = np.array(self.last_frames)
        self.state.random = self.rng.bit_generator.state
        if hasattr(self.calculator, 'state'):
            self.state.calculator = self.calculator.state()
        self.state.write(self.job.checkpoint, self.identity)

    def write_trajectory(self, last_frames: bool = False) -> None:
        """Write the snapshots recorded so far, if there are any, and where asked for those of the last steps.

        A run for snapshots has the recorded ones only: they go into data sets, where a blow-up does not belong.
        """
        records = None if self.frames is None else np.asarray(self.frames.read())
        if last_frames and self.parameters.record == 'vacf':
            recorded = self.parameters.equilibration_steps + self.state.n_recorded * self.parameters.record_every
            new = [f[1:] for f in self.last_frames if records is None or not len(records) or f[0] > recorded]
            if new:
                records = np.array(new) if records is None else np.concatenate([records, new])
        if records is not None and len(records):
            self._write_frames(records)

    def _write_frames(self, records: NDArray[np.float64]) -> None:
        n_frames, n_atoms = len(records), len(self.atoms)
        positions, forces = records[:, 1:].reshape(n_frames, 2, n_atoms, 3).transpose(1, 0, 2, 3)
        cells = np.repeat(self.start.cells, n_frames, axis=0)
        label = Label(records[:, 0].copy(), np.ascontiguousarray(forces), self.calculator.label_source)
        snapshots = Snapshots(self.start.symbols, cells, positions, {self.calculator.label_method: label})
        snapshots.save(self.job.folder / TRAJECTORY_FILE)

    def write_vacf(self) -> None:
        """Write the velocity autocorrelation, where it was recorded."""
        if self.velocities is None:
            return
        harmonic: tuple[NormalModes, float] | None = None
        if kept := self.state.harmonic:
            elements = tuple(dict.fromkeys(self.start.symbols))
            modes = NormalModes(kept['frequencies_cm1'], elements, kept['weights'])
            harmonic = modes, float(kept['residual_force_eV_A'])
        elif self.site_map is not None:
            try:
                harmonic = self._modes(self.site_map)
            except _NO_MODES as error:
                # They are something to compare with: no reason to lose a run that came to its end.
                self.no_modes = f'the forces about rest cannot be computed: {error}'
        known = {**self.summary(), 'seed': int(self.job.require('seed'))}
        self.velocities.write(self.job.folder, known, harmonic)

    def _modes(self, site_map: SiteMap) -> tuple[NormalModes, float]:
        """Return the normal modes of the start, in double precision, and the largest force there (eV/Å)."""
        spec = self.job.require('calculator')
        # One of its own: what this one has seen must not change the dynamics.
        double = {'dtype': 'float64'} if spec.get('kind') == 'force-field' else {}
        calculator = build_calculator({**spec, **double}, self.job.folder)
        return modes_at_rest(calculator, self.start.atoms(0), site_map)

    def summary(self) -> MdSummary:
        """Return what ``output.json`` says of the run."""
        state, parameters = self.state, self.parameters
        slope = state.averages.energy_slope if parameters.ensemble == 'nve' else None
        summary: MdSummary = {
            'steps_done': max(state.step - parameters.equilibration_steps, 0),
            'n_steps': parameters.n_steps,
            'equilibration_steps_done': min(state.step, parameters.equilibration_steps),
            'mean_temperature_K': state.averages.mean_temperature,
            'energy_drift_mev_per_atom_ps': None if slope is None else 1000 * slope / len(self.masses),
        }
        if self.no_modes is not None:
            summary['no_harmonic_modes_because'] = self.no_modes
        return summary
