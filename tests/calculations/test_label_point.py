"""The label of a point: its energies, and the forces of Hartree–Fock."""

import numpy as np
import pytest
from aiida import orm
from ase import Atoms

from aiida_mlcc.calculations.functions.label_point import label_point
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.snapshots import Snapshots


def test_forces_of_hartree_fock_stand_in_the_order_of_the_snapshot(aiida_profile):
    """VASP has Li, Li, F, F where the snapshot has Li, F, Li, F."""
    atoms = Atoms('LiFLiF', positions=[[0, 0, 0], [2, 0, 0], [4, 0, 0], [6, 0, 0]], cell=[8, 4, 4], pbc=True)
    sorted_forces = np.array([[0, 0, 1.0], [0, 0, 3.0], [0, 0, 2.0], [0, 0, 4.0]])
    labelled = label_point(
        SnapshotsData(Snapshots.from_atoms([atoms])),
        orm.Int(0),
        orm.List(['HF', 'CCSD']),
        orm.Dict({'engine': 'vasp+cc4s', 'cc4s': {'ccsd': {}}}),
        orm.Str('science'),
        hf_energy=orm.Float(-20.0),
        hf_forces=orm.ArrayData({'forces': sorted_forces}),
        energies=orm.Dict({'ccsd': -1.0}),
    ).get_snapshots()
    np.testing.assert_array_equal(labelled.labels['HF'].forces[0, :, 2], [1, 2, 3, 4])
    assert labelled.labels['HF'].energies == pytest.approx([-20.0])
    assert labelled.labels['CCSD'].energies == pytest.approx([-21.0])
    assert labelled.labels['CCSD'].forces is None, 'those of Hartree–Fock are not its own'
