"""Steps that an earlier run finished: where a rerun starts, and why it may not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from ase import Atoms

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs, Place
from aiida_mlcc.engines.vasp.incar import CHAIN, MESH, STEPS, chain_step, other_tag
from aiida_mlcc.engines.vasp.jobs import GAMMA
from aiida_mlcc.engines.vasp.settings import VaspIntegrals, potentials, refuse_head
from aiida_mlcc.engines.vasp.steps import Orbitals, failure_of, orbitals_of, outcar_of, step_before, tracks
from aiida_mlcc.science.crystal.species_order import species_order

FINISHED_STEPS: Final = 'finished_steps'
_SAME_PLACE = 1e-6
"""Å: the structures of two jobs are the same where they are made of the same snapshot."""


def finished_steps_port(spec: WorkChainSpec) -> None:
    """Declare the namespace `finished_steps`."""
    if FINISHED_STEPS in spec.inputs:
        return
    spec.input_namespace(
        FINISHED_STEPS,
        valid_type=orm.RemoteData,
        required=False,
        dynamic=True,
        help='Folders of steps of VASP that an earlier run finished, by any names: the last one of the steps at Γ, and '
        'the last one of those on the k-mesh, of each structure. What comes before them is found by their provenance.',
    )


def steps_behind(folder: orm.RemoteData) -> dict[str, orm.CalcJobNode]:
    """Return step → job of the step that left `folder` and of those from whose orbitals it started, the first first.

    :raises ValueError: where no step towards Cc4s left the folder, saying so.
    """
    found: dict[str, orm.CalcJobNode] = {}
    here: orm.RemoteData | None = folder
    while here is not None:
        job = here.creator
        if not isinstance(job, orm.CalcJobNode) or job.label not in STEPS or 'parameters' not in job.inputs:
            raise ValueError('is not the folder of a step of VASP towards Cc4s')
        # Where a job went on from one of its own step, that one did not end the step.
        found.setdefault(job.label, job)
        here = job.inputs.restart_folder if 'restart_folder' in job.inputs else None
    first = next(reversed(found))
    if (before := step_before(first)) is not None:
        raise ValueError(f'is of a run in which `{first}` did not start from the orbitals of `{before}`')
    return dict(reversed(found.items()))


def choose_steps(
    folders: Iterable[orm.RemoteData], settings: VaspIntegrals
) -> tuple[dict[str, orm.CalcJobNode], list[str]]:
    """Return step → job from which a run may go on, and sentences on folders that were emptied.

    A step counts if its folder is still there, or that of a later one: of those before, what was retrieved is enough.
    """
    chosen: dict[str, orm.CalcJobNode] = {}
    notes = []
    for track in tracks(settings):
        furthest: dict[str, orm.CalcJobNode] = {}
        for folder in folders:
            behind = {step: job for step, job in steps_behind(folder).items() if step in track}
            while behind and behind[last := next(reversed(behind))].outputs.remote_folder.is_cleaned:
                if last == MESH[-1]:
                    break  # nothing starts from it
                notes.append(f'the folder of `{last}`, {_name(behind.pop(last))}, was emptied')
            if len(behind) > len(furthest):
                furthest = behind
        chosen |= furthest
    return chosen, notes


def fitting(snapshots: SnapshotsData, frame: int, folders: Mapping[str, orm.RemoteData]) -> dict[str, orm.RemoteData]:
    """Return those of `folders` whose steps are of the structure of a frame."""
    frames = {frame: snapshots.get_ase(frame)} if folders else {}
    return {name: folder for name, folder in folders.items() if frame_of(_structure_of(folder), frames) is not None}


def frame_of(structure: Atoms, frames: Mapping[int, Atoms]) -> int | None:
    """Return which of `frames` has the structure of a job, whose atoms are sorted by species; None where none has."""
    for number, atoms in frames.items():
        ordered = atoms[species_order(atoms.get_chemical_symbols())]
        if ordered.get_chemical_symbols() != structure.get_chemical_symbols():
            continue
        apart = [np.abs(ordered.cell - structure.cell).max(), np.abs(ordered.positions - structure.positions).max()]
        if max(apart) < _SAME_PLACE:
            return number
    return None


def refuse_finished_steps(
    snapshots: SnapshotsData, settings: VaspIntegrals, inputs: Inputs, frames: Sequence[int] | None = None
) -> str | None:
    """Return why the folders that are given are of no use to the run, in a sentence, or None.

    :param settings: of the integrals.
    :param inputs: with `vasp` and `finished_steps`.
    :param frames: of which frames the steps must be; None for any.
    """
    folders = inputs.get(FINISHED_STEPS) or {}
    numbers = (frames if frames is not None else range(snapshots.n_frames)) if folders else ()
    content = snapshots.get_snapshots() if folders else None
    structures = {} if content is None else {number: content.atoms(number) for number in numbers}
    for name, folder in folders.items():
        try:
            _refuse_folder(folder, structures, settings, inputs['vasp'])
        except ValueError as error:
            return f'`{FINISHED_STEPS}.{name}`, RemoteData<{folder.pk}>, {error}'
    return None


def find_finished_steps(snapshots: SnapshotsData, settings: VaspIntegrals) -> dict[str, orm.RemoteData]:
    """Return the folders of this profile from which a run on `snapshots` can go on, by names fit for links.

    :param settings: of the integrals; steps of other settings are left out.
    """
    content = snapshots.get_snapshots()
    frames = {number: content.atoms(number) for number in range(content.n_frames)}
    query = orm.QueryBuilder()
    query.append(orm.WorkChainNode, filters={'process_type': {'like': '%mlcc.vasp_integrals'}}, tag='chain')
    query.append(orm.CalcJobNode, with_incoming='chain', filters={'label': {'in': list(STEPS)}}, tag='job', project='*')
    latest: dict[tuple[int, str], orm.RemoteData] = {}
    for job in query.order_by({'job': {'id': 'desc'}}).all(flat=True):
        if 'remote_folder' not in job.outputs or failure_of(job, job.label) is not None:
            continue
        folder = job.outputs.remote_folder
        if (frame := frame_of(_structure_of(folder), frames)) is None:
            continue
        track = MESH if job.label in MESH else CHAIN
        known = latest.get((frame, track[0]))
        if known is not None and track.index(known.creator.label) >= track.index(job.label):
            continue
        try:
            _refuse_folder(folder, {frame: frames[frame]}, settings, {})
        except ValueError:
            continue
        if job.label in choose_steps([folder], settings)[0]:
            latest[frame, track[0]] = folder
    return {f'folder_{folder.uuid[:8]}': folder for folder in latest.values()}


def _refuse_folder(
    folder: orm.RemoteData, structures: Mapping[int, Atoms], settings: VaspIntegrals, vasp: Place
) -> None:
    """Refuse a folder of another structure, other settings, another computer or a step that was not finished.

    :raises ValueError: with the end of a sentence.
    """
    jobs = steps_behind(folder)
    last = next(reversed(jobs))
    frame = frame_of(_structure_of(folder), structures)
    if frame is None:
        asked = f'snapshot {next(iter(structures))}' if len(structures) == 1 else 'any of the snapshots'
        raise ValueError(f'is of another structure than {asked}: give finished steps of that structure alone')
    code = vasp.get('code')
    if code is not None and code.computer is not None and code.computer.uuid != folder.computer.uuid:
        raise ValueError(f'lies on {folder.computer.label}, but `vasp.code` runs on {code.computer.label}')
    for step, job in jobs.items():
        if (failure := failure_of(job, step)) is not None:
            raise ValueError(f'is of no use, since its step `{step}` was not finished: {failure.reason}')
    outcar = outcar_of(jobs.get('hartree_fock', jobs[next(iter(jobs))]))
    assert outcar is not None  # of a step that was finished
    if last not in MESH and (reason := refuse_head(outcar, settings.gamma_only)) is not None:
        raise ValueError(f'has other orbitals: {reason}')
    orbitals = orbitals_of(outcar, settings) if 'hartree_fock' in jobs else None
    for step, job in jobs.items():
        _refuse_settings(step, job, settings, orbitals)


def _refuse_settings(step: str, job: orm.CalcJobNode, settings: VaspIntegrals, orbitals: Orbitals | None) -> None:
    asked = chain_step(settings, step, *_numbers(orbitals))
    if (tag := other_tag(step, job.inputs.parameters.get_dict(), asked)) is not None:
        name, theirs, ours = tag
        raise ValueError(f'was made with {name} = {theirs} in `{step}`, but the settings give {ours}')
    mesh, wanted = job.inputs.kpoints.get_kpoints_mesh()[0], settings.hf_kpoints if step in MESH else GAMMA
    if list(mesh) != list(wanted):
        raise ValueError(f'was made with the k-mesh {list(mesh)} in `{step}`, but the settings give {list(wanted)}')
    symbols = [site.kind_name for site in job.inputs.structure.sites]
    for element, ours in potentials(symbols, settings.potentials).items():
        theirs = job.inputs.potential[element]
        if theirs.sha512 != ours.sha512:
            raise ValueError(
                f'was made with the potential {theirs.full_name} of {element}, but the settings give {ours.full_name}'
            )


def _numbers(orbitals: Orbitals | None) -> tuple[int | None, int | None, int | None]:
    return (None, None, None) if orbitals is None else (orbitals.n_all, orbitals.n_kept, orbitals.n_occupied)


def _structure_of(folder: orm.RemoteData) -> Atoms:
    """Return the structure of the step that left a folder; an empty one where none did."""
    job = folder.creator
    return job.inputs.structure.get_ase() if job is not None and 'structure' in job.inputs else Atoms()


def _name(job: orm.CalcJobNode) -> str:
    return f'{job.process_label}<{job.pk}>'
