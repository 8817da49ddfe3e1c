"""The task ``evaluate``: energies and forces of many structures, with one or several calculators, in one job.

Input: ``{"snapshots": FILE, "calculators": {NAME: SPEC}, "parameters": {…}, "n_processes": N}``; SPEC as in
:mod:`aiida_mlcc.runtime.calculators`, parameters as in :class:`~aiida_mlcc.runtime.tasks.evaluate_settings.Evaluate`. N
structures are evaluated at a time, each in a process of its own; where N is 1 or left out, in this one. With ``relax``,
as in :mod:`aiida_mlcc.runtime.tasks.relax`, each calculator relaxes the structures first. Output:
``evaluated_NAME.npz``, the snapshots, relaxed or as they were, with the label of that calculator; a structure that
failed has none and is named in ``output.json`` under ``failures``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.runtime.calculators import build_calculator, energy_and_forces
from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.task import Job, JobError
from aiida_mlcc.runtime.task_records import SnapshotFailure
from aiida_mlcc.runtime.tasks.evaluate_settings import Evaluate, Relax
from aiida_mlcc.runtime.tasks.relax import relaxed
from aiida_mlcc.runtime.tasks.side_by_side import Here, SideBySide, result_of
from aiida_mlcc.science.json_values import StoredSettings
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.science.npz import read_npz, write_npz
from aiida_mlcc.science.phonons.finite_displacements import NET_FORCE, by_the_sum_rule, displaced_atom

Evaluated = tuple[Atoms, float, NDArray[np.float64] | None]
"""A structure, its energy (eV) and its forces (eV/Å, shape (n_atoms, 3))."""

_SECONDS_BETWEEN_CHECKPOINTS = 10.0


def run(job: Job) -> None:
    """Evaluate what no earlier job has; a structure that is finished is never computed again."""
    snapshots = Snapshots.load(job.path_of('snapshots')).without_labels()
    settings = job.settings(Evaluate, 'parameters')
    specs = job.require('calculators')
    if not specs:
        raise JobError('there is no calculator to evaluate with')
    evaluations = {
        name: Evaluation(job.checkpoint / f'evaluated_{name}.npz', snapshots, spec, settings)
        for name, spec in specs.items()
    }
    for evaluation in evaluations.values():
        job.kept(evaluation.path, evaluation.resume)
    total = len(specs) * snapshots.n_frames
    for name, evaluation in evaluations.items():
        calculator = build_calculator(specs[name], job.folder)
        n_processes = min(int(job.input.get('n_processes') or 1), len(evaluation.open_frames))
        executor = Here(calculator) if n_processes < 2 else SideBySide(n_processes, specs[name], job.folder)
        with closing(executor):
            complete = _evaluate(
                job, evaluation, executor, n_processes, total, lambda: sum(e.n_done for e in evaluations.values())
            )
        if evaluation.n_done:
            evaluation.write_result(job.folder / f'evaluated_{name}.npz', calculator)
        if not complete:
            return job.pause(n_evaluated=sum(e.n_done for e in evaluations.values()), failures=_failures(evaluations))
    failures = _failures(evaluations)
    if len(failures) == total and failures:
        raise JobError(f'no structure could be evaluated. The first: {failures[0]["reason"]}', failures=failures)
    job.finish(n_evaluated=total - len(failures), failures=failures)
    return None


class Evaluation:
    """What one calculator has given so far, in a file that a later job goes on from."""

    def __init__(
        self,
        path: Path,
        snapshots: Snapshots,
        spec: StoredSettings,
        settings: Evaluate,
    ) -> None:
        self.path = path
        self.snapshots = snapshots
        self.relax = settings.relax
        self.identity = hashlib.sha256(
            json.dumps([snapshots.content_hash(), spec, settings.to_dict()], sort_keys=True).encode()
        ).hexdigest()
        self.cells, self.positions = snapshots.cells.copy(), snapshots.positions.copy()
        self.energies = np.full(snapshots.n_frames, np.nan)
        self.forces = np.full(snapshots.positions.shape, np.nan) if settings.forces else None
        self.failures: dict[int, str] = {}

    def resume(self, path: Path) -> None:
        """Take what an earlier job has evaluated."""
        arrays, description = read_npz(path)
        # The checkpoint of a job with other inputs says nothing about these.
        if description.get('identity') != self.identity:
            return
        failures = {int(frame): reason for frame, reason in description['failures'].items()}
        cells, positions, energies = arrays['cells'], arrays['positions'], arrays['energies']
        self.energies, self.forces, self.failures = energies, arrays.get('forces'), failures
        self.cells, self.positions = cells, positions

    def write(self) -> None:
        """Write the checkpoint."""
        arrays = {'energies': self.energies, 'cells': self.cells, 'positions': self.positions}
        arrays |= {} if self.forces is None else {'forces': self.forces}
        write_npz(self.path, arrays, {'identity': self.identity, 'failures': self.failures})

    def start(self, frame: int, executor: Here | SideBySide) -> Future[Evaluated]:
        """Let one frame be evaluated, relaxed before where that is asked for."""
        atoms, positions = self.snapshots.atoms(frame), self.snapshots.positions
        displaced = displaced_atom(positions[frame], positions[0]) if self.relax is None else None
        return executor.submit(evaluated, atoms, self.relax, self.forces is not None, displaced)

    def take(self, frame: int, future: Future[Evaluated]) -> None:
        """Keep what was evaluated of a frame, or why it was not."""
        try:
            atoms, energy, forces = result_of(future)
        except EngineError as error:
            self.failures[frame] = str(error)
            return
        self.energies[frame] = energy
        self.cells[frame], self.positions[frame] = atoms.cell.array, atoms.positions
        if self.forces is not None:
            self.forces[frame] = forces

    @property
    def open_frames(self) -> list[int]:
        """The frames that are neither labelled nor known to fail."""
        return [i for i in range(self.snapshots.n_frames) if np.isnan(self.energies[i]) and i not in self.failures]

    @property
    def n_done(self) -> int:
        """How many frames are evaluated."""
        return self.snapshots.n_frames - len(self.open_frames)

    def write_result(self, path: Path, calculator: Any) -> None:
        """Write the snapshots with the labels there are; without a label where there is none at all."""
        labelled = Snapshots(self.snapshots.symbols, self.cells, self.positions)
        if np.isfinite(self.energies).any():
            label = Label(self.energies, self.forces, calculator.label_source)
            labelled = labelled.with_label(calculator.label_method, label)
        labelled.save(path)


def evaluated(
    calculator: Any, atoms: Atoms, relax: Relax | None, with_forces: bool, displaced: int | None = None
) -> Evaluated:
    """Return a structure, relaxed where that is asked for, with its energy (eV) and its forces (eV/Å).

    :param displaced: the one atom that lies elsewhere than in the first structure, the crystal at rest: a net force
        that the calculator has found is its own.
    :raises EngineError: where the structure has no energy, or no forces.
    """
    if relax is not None:
        atoms = relaxed(calculator, atoms, relax)
    energy, forces = energy_and_forces(calculator, atoms, with_forces)
    if not np.isfinite(energy):
        raise EngineError('the energy is not a number')
    if forces is not None and not np.isfinite(forces).all():
        raise EngineError(f'the force on atom {np.argwhere(~np.isfinite(forces))[0, 0]} is not a number')
    if forces is not None and displaced is not None and NET_FORCE in calculator.results:
        forces = by_the_sum_rule(forces, calculator.results[NET_FORCE], displaced)
    # A relaxed structure carries a calculator, which may not be able to leave its process.
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc), energy, forces


def _evaluate(
    job: Job,
    evaluation: Evaluation,
    executor: Here | SideBySide,
    n_processes: int,
    total: int,
    n_done: Callable[[], int],
) -> bool:
    """Evaluate the open frames, and tell whether there was time for all."""
    longest, written = 0.0, time.monotonic()
    waiting, running = deque(evaluation.open_frames), dict[Future[Evaluated], tuple[int, float]]()
    while waiting or running:
        while waiting and len(running) < max(n_processes, 1) and not job.must_stop(reserve=2 * longest):
            frame, started = waiting.popleft(), time.monotonic()
            running[evaluation.start(frame, executor)] = frame, started
        if not running:
            evaluation.write()
            return False
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            frame, started = running.pop(future)
            evaluation.take(frame, future)
            now = time.monotonic()
            longest = max(longest, now - started)
            # Hundreds of structures a second are cheaper to compute again than to write one by one.
            if now - written > _SECONDS_BETWEEN_CHECKPOINTS or now - started > 0.1 * _SECONDS_BETWEEN_CHECKPOINTS:
                evaluation.write()
                written = now
            job.progress(n_done(), total, 'structure')
    evaluation.write()
    return True


def _failures(evaluations: Mapping[str, Evaluation]) -> list[SnapshotFailure]:
    return [
        {'calculator': name, 'snapshot': frame, 'reason': reason}
        for name, evaluation in evaluations.items()
        for frame, reason in sorted(evaluation.failures.items())
    ]
