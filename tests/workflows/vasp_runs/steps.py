"""Jobs of VASP as nodes that nobody ran, each with a folder on this computer."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from aiida_vasp.calcs.vasp import VaspCalculation
from aiida_vasp.data.potcar import PotcarData
from ase import Atoms

from aiida_mlcc.engines.vasp.incar import CHAIN, MESH, chain_step
from aiida_mlcc.engines.vasp.settings import VaspIntegrals
from tests.vasp_outputs import single_point_outputs
from tests.workflows.vasp_runs.settings import FAMILY

N_PLANE_WAVES = 10
"""With 8 electrons: 4 occupied orbitals, 19 in all at Γ."""


def vasp_job(
    computer: orm.Computer,
    folder: Path,
    step: str,
    *,
    atoms: Atoms,
    engine: Mapping[str, Any],
    files: Sequence[str] = ('WAVECAR',),
    status: int = 0,
    printed: str = '',
    before: orm.CalcJobNode | None = None,
    options: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    caller: orm.WorkChainNode | None = None,
    **outputs: Any,
) -> orm.CalcJobNode:
    """Store a job of a step with its inputs and outputs.

    :param folder: where its folder is made, with `files` in it.
    :param printed: what VASP and the scheduler wrote.
    :param before: the job from whose orbitals it started.
    :param tags: of INCAR, besides those of the settings.
    :param caller: the WorkChain that submitted it.
    :param outputs: what is other in the files that it left: ``n_electronic``, ``killed``, ``program``, ….
    """
    path = folder / f'{step}-{len(list(folder.iterdir()))}'
    path.mkdir()
    for name in files:
        (path / name).write_text(step)
    job = orm.CalcJobNode(computer=computer, process_type=VaspCalculation.build_process_type())
    job.label = step
    job.set_process_label('VaspCalculation')
    job.set_process_state('finished')
    job.set_exit_status(status)
    job.set_exit_message(None if not status else 'It failed.')
    given = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 4}, 'max_wallclock_seconds': 3600}
    for name, value in {**given, **(options or {})}.items():
        job.set_option(name, value)
    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh(engine['hf_kpoints'] if step in MESH else [1, 1, 1])
    asked = {**chain_step(VaspIntegrals.of(engine), step, 19, 16, 4), **(tags or {})}
    inputs = {'parameters': orm.Dict(asked), 'structure': orm.StructureData(ase=atoms), 'kpoints': kpoints}
    elements = list(dict.fromkeys(atoms.get_chemical_symbols()))
    for element, node in PotcarData.get_potcars_dict(elements, FAMILY, engine['potential_mapping']).items():
        inputs[f'potential__{element}'] = node
    if before is not None:
        inputs['restart_folder'] = before.outputs.remote_folder
    for name, node in inputs.items():
        job.base.links.add_incoming(_stored(node), link_type=LinkType.INPUT_CALC, link_label=name)
    if caller is not None:
        job.base.links.add_incoming(caller, link_type=LinkType.CALL_CALC, link_label=step)
    job.store()
    content = {**_left(step, atoms, **outputs), 'vasp_output': printed}
    retrieved = orm.FolderData()
    for name, text in content.items():
        retrieved.base.repository.put_object_from_filelike(io.BytesIO(text.encode()), name)
    left = {'retrieved': retrieved, 'remote_folder': orm.RemoteData(computer=computer, remote_path=str(path))}
    for name, node in left.items():
        node.base.links.add_incoming(job, link_type=LinkType.CREATE, link_label=name)
        node.store()
    return job


def chain_until(last: str, computer: orm.Computer, folder: Path, **how: Any) -> orm.CalcJobNode:
    """Store the jobs of all steps until `last`, each from the one before, and return that of `last`."""
    steps = MESH if last in MESH else CHAIN
    job = None
    for step in steps[: steps.index(last) + 1]:
        job = vasp_job(computer, folder, step, before=job, **how)
    assert job is not None
    return job


def _left(step: str, atoms: Atoms, **changed: Any) -> dict[str, str]:
    single_shot = step in ('virtuals', 'recanonicalise')
    numbers = {'n_electronic': 1 if single_shot else 5, 'nelm': 1 if single_shot else 9}
    settings = {**numbers, 'n_plane_waves': N_PLANE_WAVES, **changed}
    return single_point_outputs(atoms, -20.0, np.zeros((len(atoms), 3)), **settings)


def _stored(node: orm.Data) -> orm.Data:
    return node if node.is_stored else node.store()
