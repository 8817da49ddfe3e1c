"""The task ``correlate``: HF, MP2, CCSD and CCSD(T) energies of many structures in one job.

Input: ``{"snapshots": FILE, "methods": [METHOD, …], "engine": {"name": "pyscf", …}}``, the engine with its settings for
energies, as :mod:`aiida_mlcc.runtime.programs` has them. Each structure is one file in ``checkpoint/``; a finished one
is never computed again. Output: ``labelled.npz``, the snapshots with a label for each method that succeeded somewhere,
its contributions beside it; ``output.json`` lists under ``failures`` what is missing and why.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.runtime.programs import ENERGIES, EngineError, run_of, settings_of
from aiida_mlcc.runtime.task import Job, JobError, read_result
from aiida_mlcc.runtime.task_records import CorrelateOutput, EnergiesOfFrame, SnapshotFailure
from aiida_mlcc.science.labels.merging import label_by_contributions
from aiida_mlcc.science.labels.methods import CONTRIBUTIONS, WAVEFUNCTION_METHODS
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.npz import write_json
from aiida_mlcc.science.settings import SettingsError

LABELLED_FILE = 'labelled.npz'


def run(job: Job) -> None:
    """Compute what no earlier job has; a structure that fails is named, and the others go on."""
    snapshots = Snapshots.load(job.path_of('snapshots')).without_labels()
    methods = _methods(job)
    settings = _settings(job)
    results: list[EnergiesOfFrame | None] = []
    longest = 0.0
    for frame in range(snapshots.n_frames):
        path = job.checkpoint / f'snapshot_{frame:05d}.json'
        identity = _identity(snapshots, frame, settings, methods)
        result = job.kept(path, partial(_read, identity=identity))
        if result is None and job.must_stop(reserve=1.5 * longest):
            break
        if result is None:
            started = time.monotonic()
            try:
                result = _compute(snapshots, frame, settings, methods)
                write_json(path, {'identity': identity, **result})
            except (OSError, MemoryError) as error:
                output = _write_output(job, snapshots, methods, settings, results)
                raise JobError(f'snapshot {frame}: {type(error).__name__}: {error}', **output) from error
            longest = max(longest, time.monotonic() - started)
        results.append(result)
        job.progress(frame + 1, snapshots.n_frames, 'snapshot')
    output = _write_output(job, snapshots, methods, settings, results)
    end = job.pause if len(results) < snapshots.n_frames else job.finish
    end(**output)


def _read(path: Path, identity: str) -> EnergiesOfFrame | None:
    """Return the result of one snapshot.

    :raises ValueError: where it is not one.
    """
    found = cast(EnergiesOfFrame | None, read_result(path, identity, 'contributions', 'missing', 'error'))
    if found is not None and not all(isinstance(value, float) for value in dict(found['contributions']).values()):
        raise ValueError('an energy is not a number')
    return found


def _write_output(
    job: Job, snapshots: Snapshots, methods: Sequence[str], settings: Any, results: Sequence[EnergiesOfFrame | None]
) -> CorrelateOutput:
    """Write the labels there are, and return what ``output.json`` says of them."""
    reached = [*results, *[None] * (snapshots.n_frames - len(results))]
    labelled, failures = assemble(snapshots, methods, settings, reached)
    labelled.save(job.folder / LABELLED_FILE)
    n_labelled = {method: int(label.labelled.sum()) for method, label in labelled.labels.items()}
    return {'failures': failures, 'n_labelled': n_labelled, 'n_snapshots': snapshots.n_frames}


def assemble(
    snapshots: Snapshots, methods: Sequence[str], settings: Any, results: Sequence[EnergiesOfFrame | None]
) -> tuple[Snapshots, list[SnapshotFailure]]:
    """Make labels of the contributions of each snapshot, and say of each that lacks one why.

    :param results: one of each snapshot, as the checkpoint files hold them; None where it was not reached.
    """
    contributions: dict[str, NDArray[np.float64]] = {}
    for name in ('hf', 'mp2', 'ccsd', 'triples'):
        values = [np.nan if r is None else r['contributions'].get(name, np.nan) for r in results]
        contributions[name] = np.array(values, dtype=float)
    labelled = label_by_contributions(snapshots, methods, contributions, settings.source)
    failures: list[SnapshotFailure] = []
    for frame, result in enumerate(results):
        if result is None:
            continue
        if result['error'] is not None:
            failures.append({'snapshot': frame, 'methods': list(methods), 'reason': result['error']})
            continue
        missing = [m for m in methods if any(name in result['missing'] for name in CONTRIBUTIONS[m])]
        if missing:
            reason = next(iter(result['missing'].values()))
            failures.append({'snapshot': frame, 'methods': missing, 'reason': reason})
    return labelled, failures


def _methods(job: Job) -> list[str]:
    methods = job.require('methods')
    if not methods:
        raise JobError('no method is asked for')
    if unknown := [method for method in methods if method not in WAVEFUNCTION_METHODS]:
        raise JobError(f'unknown method {unknown[0]!r}: choose from {", ".join(WAVEFUNCTION_METHODS)}')
    return list(methods)


def _settings(job: Job) -> Any:
    try:
        return settings_of(ENERGIES, job.require('engine'))
    except SettingsError as error:
        raise JobError(str(error)) from error


def _compute(snapshots: Snapshots, frame: int, settings: Any, methods: Sequence[str]) -> EnergiesOfFrame:
    try:
        found = run_of(ENERGIES, settings.name)(snapshots.atoms(frame), settings, methods)
    except EngineError as error:
        return {'contributions': {}, 'missing': {}, 'seconds': {}, 'error': str(error)}
    return {
        'contributions': found.contributions,
        'missing': found.missing,
        'seconds': found.seconds,
        'error': None,
    }


def _identity(snapshots: Snapshots, frame: int, settings: Any, methods: Sequence[str]) -> str:
    """Hash of what fixes the result, so that the checkpoint of other structures or settings is not taken for this."""
    one = snapshots.select([frame]).content_hash()
    content = [one, settings.source('HF'), settings.max_cycle, list(methods)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
