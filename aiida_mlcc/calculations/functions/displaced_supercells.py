"""The displaced cells of a frozen-phonon calculation, all in one node."""

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from aiida_phonopy.data.preprocess import PreProcessData

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.snapshots import Snapshots


@calcfunction
def displaced_supercells(preprocess: PreProcessData, science: orm.Str) -> SnapshotsData:
    """Return the undisplaced supercell as frame 0, then the displaced ones in phonopy's order."""
    phonon = preprocess.get_phonopy_instance()
    cells = [phonon.supercell, *phonon.supercells_with_displacements]
    return SnapshotsData(
        Snapshots(
            tuple(phonon.supercell.symbols),
            np.array([cell.cell for cell in cells]),
            np.array([cell.positions for cell in cells]),
        )
    )
