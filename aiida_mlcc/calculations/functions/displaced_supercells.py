"""The displaced cells of a frozen-phonon calculation, all in one node."""

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from aiida_phonopy.data.preprocess import PreProcessData

from aiida_mlcc.calculations.functions.phonopy_instance import without_symmetry
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.snapshots import Snapshots

VOLUMES = ('at_rest', 'expanded', 'compressed')
"""The order in which cells of several volumes come."""


@calcfunction
def displaced_supercells(science: orm.Str, **preprocess: PreProcessData) -> SnapshotsData:
    """Return, volume after volume, the undisplaced supercell and then the displaced ones in phonopy's order."""
    cells = []
    for volume in VOLUMES:
        if volume in preprocess:
            phonon = without_symmetry(preprocess[volume]).get_phonopy_instance()
            cells += [phonon.supercell, *phonon.supercells_with_displacements]
    return SnapshotsData(
        Snapshots(
            tuple(cells[0].symbols),
            np.array([cell.cell for cell in cells]),
            np.array([cell.positions for cell in cells]),
        )
    )
