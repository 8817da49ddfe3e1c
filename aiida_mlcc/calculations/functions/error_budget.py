"""How much each frequency at the special points can be trusted, and what that is made of."""

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, calcfunction
from aiida_phonopy.data.phonopy import PhonopyData

from aiida_mlcc.calculations.functions.phonon_curves import phonopy_of
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.crystal import from_phonopy
from aiida_mlcc.science.delta_samples import DeltaSamples
from aiida_mlcc.science.dispersion import frequencies
from aiida_mlcc.science.error_budget import budget, commensurate, delta_spread


@calcfunction
def error_budget(
    special_points: orm.Dict,
    science: orm.Str,
    delta_samples: orm.ArrayData | None = None,
    training_snapshots: SnapshotsData | None = None,
    **phonons: Any,
) -> orm.Dict:
    """Return LABEL → ``qpoint``, ``sd`` (cm⁻¹, a number a mode), ``contributions`` to it and ``commensurate``.

    It ends with the reason where the budget cannot be made.

    :param special_points: as ``phonon_curves`` gives them, with the members.
    :param delta_samples: Δ from resampled labels.
    :param training_snapshots: of the cell that the force fields were trained in.
    :param phonons: ``members`` → NAME → PhonopyData; ``alternatives`` → KIND → NAME → PhonopyData, the same members
        with another kind of Δ.
    """
    points = {label: entry for label, entry in special_points.get_dict().items() if 'qpoint' in entry}
    qpoints = {label: entry['qpoint'] for label, entry in points.items()}
    members = phonons['members']
    try:
        phonon = phonopy_of(next(iter(members.values())))
        delta = None
        if delta_samples is not None:
            arrays = {name: delta_samples.get_array(name) for name in delta_samples.get_arraynames()}
            delta = delta_spread(phonon, DeltaSamples.from_arrays(arrays), np.array(list(qpoints.values())))
        found = budget(
            np.array([entry['members'] for entry in points.values()]).swapaxes(0, 1),
            {kind: _of_members(nodes, qpoints) for kind, nodes in phonons.get('alternatives', {}).items()},
            delta,
        )
        held = {}
        if training_snapshots is not None:
            held = commensurate(qpoints, from_phonopy(phonon.primitive), training_snapshots.get_ase())
    except ValueError as error:
        return ExitCode(400, str(error))
    return orm.Dict(
        {
            label: {
                'qpoint': qpoint,
                'sd': found['sd'][i].tolist(),
                'contributions': {
                    name: None if values is None else values[i].tolist()
                    for name, values in found['contributions'].items()
                },
                'commensurate': held.get(label),
            }
            for i, (label, qpoint) in enumerate(qpoints.items())
        }
    )


def _of_members(nodes: dict[str, PhonopyData], qpoints: dict[str, list[float]]) -> np.ndarray:
    phonons = [phonopy_of(node) for _, node in sorted(nodes.items())]
    return np.array([frequencies(phonon, list(qpoints.values())) for phonon in phonons])
