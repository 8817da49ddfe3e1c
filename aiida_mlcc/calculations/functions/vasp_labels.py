"""Frames labelled by VASP's single points."""

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal.species_order import species_order
from aiida_mlcc.science.dataset.vasp_files.vasprun import parse_vasprun
from aiida_mlcc.science.labels.snapshots import Label, concatenate


@calcfunction
def vasp_labels(
    snapshots: SnapshotsData, method: orm.Str, energy: orm.Str, source: orm.Dict, science: orm.Str, **retrieved
) -> SnapshotsData:
    """Return the frames N of which ``frame_N`` was retrieved, with energy and forces of `method` and nothing else.

    :param energy: which energy is the label, one of :data:`~aiida_mlcc.science.dataset.vasp_files.vasprun.ENERGIES`.
    """
    content = snapshots.get_snapshots().without_labels()
    back = np.argsort(species_order(content.symbols))
    runs = {
        name: parse_vasprun(retrieved[name].get_object_content('vasprun.xml', 'rb'))
        for name in sorted(retrieved, key=_frame)
    }
    version = ', '.join(sorted({f'VASP {run.version}' for run in runs.values()}))
    parts = []
    for name, run in runs.items():
        step = run.steps[0]
        assert step.forces is not None
        label = Label(
            np.array([step.energies[energy.value]]),
            step.forces[None, back],
            {**source.get_dict(), 'version': version},
        )
        parts.append(content.select([_frame(name)]).with_label(method.value, label))
    return SnapshotsData(concatenate(parts))


def _frame(name: str) -> int:
    return int(name.removeprefix('frame_'))
