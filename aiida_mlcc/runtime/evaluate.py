"""The task ``evaluate``: energies and forces of many structures, with one or several calculators, in one job.

Input: ``{"snapshots": FILE, "calculators": {NAME: SPEC}, "parameters": {…}}``; SPEC as in
:mod:`aiida_mlcc.runtime.calculators`, parameters as in :class:`~aiida_mlcc.runtime.evaluate_settings.Evaluate`. With
``relax``, as in :mod:`aiida_mlcc.runtime.relax`, each calculator relaxes the structures first. Output:
``evaluated_NAME.npz``, the snapshots, relaxed or as they were, with the label of that calculator; a structure that
failed has none and is named in ``output.json`` under ``failures``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aiida_mlcc.runtime.calculators import build_calculator, energy_and_forces
from aiida_mlcc.runtime.evaluate_settings import Evaluate
from aiida_mlcc.runtime.programs import EngineError
from aiida_mlcc.runtime.relax import relaxed
from aiida_mlcc.runtime.task import Job, JobError
from aiida_mlcc.science.npz import read_npz, write_npz
from aiida_mlcc.science.snapshots import Label, Snapshots

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
        complete = _evaluate(job, evaluation, calculator, total, lambda: sum(e.n_done for e in evaluations.values()))
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
        spec: Mapping[str, Any],
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

    def evaluate(self, frame: int, calculator: Any) -> None:
        """Evaluate one frame, relaxed before where that is asked for.

        :raises EngineError: where the structure has no energy, or no forces.
        """
        atoms = self.snapshots.atoms(frame)
        if self.relax is not None:
            atoms = relaxed(calculator, atoms, self.relax)
        energy, forces = energy_and_forces(calculator, atoms, self.forces is not None)
        if not np.isfinite(energy):
            raise EngineError('the energy is not a number')
        if forces is not None and not np.isfinite(forces).all():
            raise EngineError(f'the force on atom {np.argwhere(~np.isfinite(forces))[0, 0]} is not a number')
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
        return self.snapshots.n_frames - len(self.open_frames)

    def write_result(self, path: Path, calculator: Any) -> None:
        """Write the snapshots with the labels there are; without a label where there is none at all."""
        labelled = Snapshots(self.snapshots.symbols, self.cells, self.positions)
        if np.isfinite(self.energies).any():
            label = Label(self.energies, self.forces, calculator.label_source)
            labelled = labelled.with_label(calculator.label_method, label)
        labelled.save(path)


def _evaluate(job: Job, evaluation: Evaluation, calculator: Any, total: int, n_done: Any) -> bool:
    longest, written = 0.0, time.monotonic()
    for frame in evaluation.open_frames:
        if job.must_stop(reserve=2 * longest):
            evaluation.write()
            return False
        started = time.monotonic()
        try:
            evaluation.evaluate(frame, calculator)
        except EngineError as error:
            evaluation.failures[frame] = str(error)
        now = time.monotonic()
        longest = max(longest, now - started)
        # Hundreds of structures a second are cheaper to compute again than to write one by one.
        if now - written > _SECONDS_BETWEEN_CHECKPOINTS or now - started > 0.1 * _SECONDS_BETWEEN_CHECKPOINTS:
            evaluation.write()
            written = now
        job.progress(n_done(), total, 'structure')
    evaluation.write()
    return True


def _failures(evaluations: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    return [
        {'calculator': name, 'snapshot': frame, 'reason': reason}
        for name, evaluation in evaluations.items()
        for frame, reason in sorted(evaluation.failures.items())
    ]
