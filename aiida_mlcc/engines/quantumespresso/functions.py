"""What goes into Quantum ESPRESSO and comes out of it, as calcfunctions."""

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.quantumespresso.pw_xml import XML, parse_pw_xml
from aiida_mlcc.science.labels.methods import DFT, usual_kind
from aiida_mlcc.science.labels.snapshots import Label, concatenate


@calcfunction
def quantumespresso_structures(
    snapshots: SnapshotsData, frames: orm.List, science: orm.Str
) -> dict[str, orm.StructureData]:
    """Return ``frame_N`` → structure for each N in `frames`, one kind for each element."""
    content = snapshots.get_snapshots()
    return {f'frame_{frame}': orm.StructureData(ase=content.atoms(frame)) for frame in frames.get_list()}


@calcfunction
def quantumespresso_labels(
    snapshots: SnapshotsData, method: orm.Str, source: orm.Dict, science: orm.Str, **retrieved: orm.FolderData
) -> SnapshotsData:
    """Return the frames N of which ``frame_N`` was retrieved, with energy and forces of `method` and nothing else."""
    content = snapshots.get_snapshots().without_labels()
    names = sorted(retrieved, key=lambda name: int(name.removeprefix('frame_')))
    runs = {name: parse_pw_xml(retrieved[name].get_object_content(XML, 'rb')) for name in names}
    # Of a functional that the table of methods does not hold, the name does not tell that it is one.
    kind = '' if usual_kind(method.value) else DFT
    version = ', '.join(sorted({f'Quantum ESPRESSO {run.version}' for run in runs.values()}))
    parts = []
    for name, run in runs.items():
        label = Label(np.array([run.energy]), run.forces[None], {**source.get_dict(), 'version': version}, kind=kind)
        parts.append(content.select([int(name.removeprefix('frame_'))]).with_label(method.value, label))
    return SnapshotsData(concatenate(parts))


@calcfunction
def quantumespresso_ph_output(retrieved: orm.FolderData) -> orm.SinglefileData:
    """Return what ph.x printed, which is a file of Born charges and the dielectric tensor."""
    if not (names := [name for name in retrieved.list_object_names() if name == 'aiida.out']):
        return ExitCode(400, 'ph.x printed nothing')
    return orm.SinglefileData.from_string(retrieved.get_object_content(names[0]), filename='ph.out')
