"""SnapshotsData: what goes in comes out, and equal content is an equal node."""

from dataclasses import replace

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.labels.snapshots import Label, Snapshots
from tests.crystals import rocksalt


def labelled(shift: float = 0.0) -> Snapshots:
    atoms = rocksalt()
    positions = atoms.positions + np.array([np.zeros((2, 3)), np.full((2, 3), 0.1)]) + shift
    cells = np.array([atoms.cell.array] * 2)
    forces = np.arange(12.0).reshape(2, 2, 3)
    hf = Label(np.array([-3.0, np.nan]), source={'basis': 'gth-szv'}, contributions={'hf': np.array([-3.0, np.nan])})
    labels = {'CCSD(T)': hf, 'LDA': Label(np.array([-1.0, -2.0]), forces, {'xc': 'LDA'})}
    return Snapshots(tuple(atoms.get_chemical_symbols()), cells, positions, labels)


@pytest.mark.usefixtures('aiida_profile')
def test_stored_node_gives_back_every_array_and_source():
    snapshots = labelled()
    node = orm.load_node(SnapshotsData(snapshots).store().pk)
    back = node.get_snapshots()
    assert back.content_hash() == snapshots.content_hash() == node.content_hash
    assert np.array_equal(back.labels['LDA'].forces, snapshots.labels['LDA'].forces)
    assert back.labels['CCSD(T)'].source == {'basis': 'gth-szv'}
    assert np.array_equal(back.labels['CCSD(T)'].contributions['hf'], [-3.0, np.nan], equal_nan=True)


@pytest.mark.usefixtures('aiida_profile')
def test_attributes_can_be_queried():
    node = SnapshotsData(labelled()).store()
    other = SnapshotsData(replace(labelled(), labels={'LDA': labelled().labels['LDA']})).store()
    query = orm.QueryBuilder().append(SnapshotsData, filters={'attributes.methods': {'contains': ['CCSD(T)']}})
    found = {result.uuid for result in query.all(flat=True)}
    assert node.uuid in found
    assert other.uuid not in found
    assert node.methods == ['LDA', 'CCSD(T)']
    assert node.base.attributes.get('n_labelled') == {'LDA': 2, 'CCSD(T)': 1}


def test_equal_content_is_an_equal_key_to_the_cache(aiida_profile):
    first, second, other = (SnapshotsData(labelled(shift)) for shift in (0.0, 0.0, 0.01))
    keys = [node.store().base.caching.compute_hash() for node in (first, second, other)]
    assert keys[0] == keys[1] != keys[2]


def test_node_without_snapshots_is_not_stored(aiida_profile):
    with pytest.raises(ValidationError, match='no snapshots'):
        SnapshotsData().store()


def test_frame_as_ase_atoms_is_periodic(aiida_profile):
    atoms = SnapshotsData(labelled()).get_ase(1)
    assert atoms.pbc.all()
    assert atoms.get_chemical_symbols() == ['Li', 'F']
    assert np.allclose(atoms.positions, rocksalt().positions + 0.1)
