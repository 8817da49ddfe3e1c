"""The task ``integrals``: Hartree–Fock of many structures, and the integrals over its orbitals as Cc4s reads them.

Input: ``{"snapshots": FILE, "label_hf": true, "engine": {"name": "pyscf", …, "natural_orbitals_per_occupied": 10}}``.
The engine's settings are those of :class:`~aiida_mlcc.runtime.pyscf.settings.PyscfIntegrals`.

Each structure has a folder ``frames/0007`` with ``CoulombVertex`` and ``EigenEnergies``, which appears when it is
complete, and a file in ``checkpoint/``. A job that goes on from another's checkpoint finds that one's folders under
``previous_frames`` and takes them over. Output: ``labelled.npz``, the snapshots with their HF energies; ``output.json``
lists under ``tensors`` what was written, and under ``failures`` what is missing and why.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from ase import Atoms
from ase.units import Hartree

from aiida_mlcc.runtime.cc4s.tensors import TENSOR_FILES, write_coulomb_vertex, write_eigen_energies
from aiida_mlcc.runtime.programs import INTEGRALS, EngineError, settings_of
from aiida_mlcc.runtime.pyscf.engine import build_cell, failures_in_a_sentence, hartree_fock
from aiida_mlcc.runtime.pyscf.fitted_factors import blocks_of_factors, fitted_factors
from aiida_mlcc.runtime.pyscf.natural_orbitals import natural_orbitals, second_order
from aiida_mlcc.runtime.pyscf.settings import NATURAL_ORBITALS, PyscfIntegrals, PyscfSettings
from aiida_mlcc.runtime.task import Job, JobError, read_result, replacing
from aiida_mlcc.runtime.task_records import IntegralsOfFrame, IntegralsOutput, SnapshotFailure, WrittenTensors
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from aiida_mlcc.science.npz import write_json
from aiida_mlcc.science.settings import SettingsError

LABELLED_FILE = 'labelled.npz'
FRAMES_FOLDER = 'frames'
PREVIOUS_FRAMES_FOLDER = 'previous_frames'

_SHARE_OF_MEMORY = 0.5
_BYTES_OF_A_MEGABYTE = 1e6


def run(job: Job) -> None:
    """Make what no earlier job has; a structure that fails is named, and the others go on."""
    snapshots = Snapshots.load(job.path_of('snapshots')).without_labels()
    label_hf = bool(job.require('label_hf'))
    settings, per_occupied = _settings(job)
    _refuse_more_orbitals_than_there_are(snapshots, settings, per_occupied)
    results: list[IntegralsOfFrame | None] = [None] * snapshots.n_frames
    longest = 0.0
    for frame in range(snapshots.n_frames):
        path = job.checkpoint / f'snapshot_{frame:05d}.json'
        identity = _identity(snapshots, frame, settings, per_occupied)
        try:
            result = _finished(job, path, identity)
            if result is None and job.must_stop(reserve=1.5 * longest):
                break
            if result is None:
                started = time.monotonic()
                result = _compute(snapshots.atoms(frame), settings, per_occupied, job.folder, folder_of(frame))
                write_json(path, {'identity': identity, **result})
                longest = max(longest, time.monotonic() - started)
        except (OSError, MemoryError) as error:
            output = _write_output(job, snapshots, settings, label_hf, results)
            raise JobError(
                f'the tensors of snapshot {frame} cannot be written: {error or type(error).__name__}. Make room, and '
                'give the folder of this job to the next as its parent_folder',
                **output,
            ) from error
        results[frame] = result
        job.progress(frame + 1, snapshots.n_frames, 'snapshot')
    output = _write_output(job, snapshots, settings, label_hf, results)
    end = job.pause if None in results else job.finish
    end(**output)


def folder_of(frame: int) -> str:
    """Return where the tensors of a frame lie, relative to the job's folder."""
    return f'{FRAMES_FOLDER}/{frame:04d}'


def _write_output(
    job: Job,
    snapshots: Snapshots,
    settings: PyscfSettings,
    label_hf: bool,
    results: Sequence[IntegralsOfFrame | None],
) -> IntegralsOutput:
    energies = np.array([np.nan if r is None or r['hf'] is None else r['hf'] for r in results], dtype=float)
    labelled = snapshots
    if label_hf and np.isfinite(energies).any():
        labelled = snapshots.with_label('HF', Label(energies, None, settings.source('HF'), {'hf': energies}))
    labelled.save(job.folder / LABELLED_FILE)
    tensors = {str(n): r['tensors'] for n, r in enumerate(results) if r is not None and r['tensors'] is not None}
    failures: list[SnapshotFailure] = []
    for frame, result in enumerate(results):
        if result is not None and result['error'] is not None:
            without = ['HF'] if label_hf and result['hf'] is None else []
            failures.append({'snapshot': frame, 'methods': without, 'reason': result['error']})
    return {
        'tensors': tensors,
        'failures': failures,
        'n_tensors': len(tensors),
        'n_snapshots': snapshots.n_frames,
        'bytes': sum(record['bytes'] or 0 for record in tensors.values()),
    }


def _settings(job: Job) -> tuple[PyscfIntegrals, float | None]:
    try:
        settings = settings_of(INTEGRALS, job.require('engine'))
    except SettingsError as error:
        raise JobError(str(error)) from error
    return settings, settings.natural_orbitals_per_occupied


def _refuse_more_orbitals_than_there_are(
    snapshots: Snapshots, settings: PyscfSettings, per_occupied: float | None
) -> None:
    """All frames have the same atoms and so the same basis: say it once, before the first Hartree–Fock."""
    if per_occupied is None or not snapshots.n_frames:
        return
    try:
        cell = build_cell(snapshots.atoms(0), settings, 'HF')
    except EngineError:
        return  # the failures will say it of every frame
    try:
        n_occupied = cell.nelectron // 2
        _n_kept(n_occupied, int(cell.nao) - n_occupied, per_occupied)
    except EngineError as error:
        raise JobError(str(error)) from error


def _n_kept(n_occupied: int, n_virtual: int, per_occupied: float | None) -> int:
    if per_occupied is None:
        return n_virtual
    wanted = max(1, round(per_occupied * n_occupied))
    if wanted > n_virtual:
        raise EngineError(
            f'{NATURAL_ORBITALS} = {per_occupied:g} asks for {wanted} virtual orbitals for {n_occupied} occupied, '
            f'but the basis has only {n_virtual}: ask for at most {n_virtual / n_occupied:.4g}, take a larger basis, '
            'or give null to keep all'
        )
    return wanted


def _compute(
    atoms: Atoms, settings: PyscfIntegrals, per_occupied: float | None, folder: Path, name: str
) -> IntegralsOfFrame:
    started = time.monotonic()
    result: IntegralsOfFrame = {'hf': None, 'tensors': None, 'error': None}
    try:
        mean_field = hartree_fock(atoms, settings)
        on_mesh = hartree_fock(atoms, settings, mesh=settings.hf_mesh) if settings.hf_mesh else mean_field
        energy = float(on_mesh.e_tot) * Hartree
        result['hf'] = energy
        with failures_in_a_sentence('the integrals'):
            result['tensors'] = {
                'folder': name,
                'hf': energy,
                **write_tensors(mean_field, per_occupied, folder / name),
                'seconds': round(time.monotonic() - started, 3),
            }
    except EngineError as error:
        result['error'] = str(error)
    return result


def write_tensors(mean_field: Any, per_occupied: float | None, target: Path) -> WrittenTensors:
    """Write the integrals over the orbitals of a converged Hartree–Fock into the folder `target`.

    :returns: how many electrons, orbitals, auxiliary functions and bytes there are, and MP2's correlation energy (eV
        per cell) over all virtual orbitals and over those that are kept.
    :raises EngineError: where there are fewer virtual orbitals than asked for, or none at all.
    """
    occupied = mean_field.mo_occ > 0
    n_occupied, n_virtual = int(occupied.sum()), int((~occupied).sum())
    if not n_virtual:
        raise EngineError('the basis has no virtual orbitals, so that there is no correlation: take a larger one')
    n_kept = _n_kept(n_occupied, n_virtual, per_occupied)
    max_bytes = _SHARE_OF_MEMORY * mean_field.cell.max_memory * _BYTES_OF_A_MEGABYTE
    coefficients = np.asarray(mean_field.mo_coeff)
    below, above = coefficients[:, occupied], coefficients[:, ~occupied]
    low, high = mean_field.mo_energy[occupied], mean_field.mo_energy[~occupied]

    factors = fitted_factors(mean_field, below, above, max_bytes)
    full = truncated = second_order(factors, low, high)
    if per_occupied is not None:
        natural = natural_orbitals(full.density, high, n_kept)
        above, high = above @ natural.rotation, natural.energies
        truncated = second_order(factors @ natural.rotation, low, high)
    n_auxiliary, n_states = len(factors), n_occupied + n_kept
    del factors

    orbitals = np.hstack([below, above])
    target.parent.mkdir(exist_ok=True)
    with replacing(target) as scratch:
        scratch.mkdir()
        write_eigen_energies(scratch, np.concatenate([low, high]), n_occupied)
        write_coulomb_vertex(scratch, blocks_of_factors(mean_field, orbitals, max_bytes), n_auxiliary, n_states)
    return {
        'n_electrons': int(mean_field.cell.nelectron),
        'n_occupied': n_occupied,
        'n_virtual': n_kept,
        'n_virtual_full': n_virtual,
        'n_auxiliary': n_auxiliary,
        'bytes': _bytes_of(target),
        'mp2_full': full.energy * Hartree,
        'mp2_truncated': truncated.energy * Hartree,
    }


def _bytes_of(folder: Path) -> int | None:
    paths = [folder / name for name in TENSOR_FILES]
    return sum(path.stat().st_size for path in paths) if all(path.is_file() for path in paths) else None


def _identity(snapshots: Snapshots, frame: int, settings: PyscfSettings, per_occupied: float | None) -> str:
    """Hash of what fixes the tensors, so that those of other structures or settings are not taken for these."""
    one = snapshots.select([frame]).content_hash()
    content = [one, settings.source('HF'), settings.max_cycle, per_occupied]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _finished(job: Job, path: Path, identity: str) -> IntegralsOfFrame | None:
    """Return what an earlier job found of a frame, its tensors now being in the folder of this one."""
    kept = job.kept(path, lambda kept: read_result(kept, identity, 'hf', 'tensors', 'error'))
    result = cast(IntegralsOfFrame | None, kept)
    if result is None:
        return None
    folder, tensors = job.folder, result['tensors']
    if tensors is None:
        return result
    here = folder / tensors['folder']
    previous = folder / PREVIOUS_FRAMES_FOLDER / here.name
    if _bytes_of(here) != tensors['bytes'] and _bytes_of(previous) == tensors['bytes']:
        _take_over(previous, here)
    return result if _bytes_of(here) == tensors['bytes'] else None


def _take_over(previous: Path, target: Path) -> None:
    """Link the files, so that they outlive the folder of the job that wrote them; copy them to another file system."""
    target.parent.mkdir(exist_ok=True)
    with replacing(target) as scratch:
        scratch.mkdir()
        for name in TENSOR_FILES:
            try:
                os.link((previous / name).resolve(), scratch / name)
            except OSError:
                shutil.copyfile(previous / name, scratch / name)
