"""Displacements of frames as trajectories and data sets have them."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_mlcc.science.crystal.cells import CrystalError, supercell
from aiida_mlcc.science.fit.mapped_frames import frame_displacements, mapped_frames
from aiida_mlcc.science.labels.snapshots import Snapshots

SCALE = 0.05


def frames(primitive, n_frames=6, drift=0.3, wrap=True, seed=0):
    """Frames around the sites in one odd order, and their displacements without the rigid shift."""
    random = np.random.default_rng(seed)
    ideal = supercell(primitive, 2)
    ideal = ideal[random.permutation(len(ideal))]
    moved = random.normal(scale=SCALE, size=(n_frames, len(ideal), 3))
    moved -= moved.mean(axis=1, keepdims=True)
    images = []
    for frame, displacements in enumerate(moved):
        atoms = ideal.copy()
        atoms.positions += displacements + drift * frame * np.array([1.0, -0.5, 0.2])
        if wrap:
            atoms.wrap()
        images.append(atoms)
    return Snapshots.from_atoms(images), moved


@pytest.mark.parametrize('crystal', ['diamond', 'rock_salt', 'wurtzite'])
def test_displacements_are_those_put_in_whatever_drift_and_wrapping_did(crystal, request):
    snapshots, moved = frames(request.getfixturevalue(crystal))
    _, found = frame_displacements(snapshots, request.getfixturevalue(crystal))
    np.testing.assert_allclose(found, moved, atol=1e-8)


def test_atoms_that_changed_places_between_runs_come_in_a_group_of_their_own(diamond):
    snapshots, moved = frames(diamond)
    order = np.random.default_rng(3).permutation(snapshots.n_atoms)
    positions = snapshots.positions.copy()
    positions[[1, 4]] = positions[[1, 4]][:, order]
    groups = mapped_frames(Snapshots(snapshots.symbols, snapshots.cells, positions), diamond)
    assert [group.indices.tolist() for group in groups] == [[0, 2, 3, 5], [1, 4]]
    np.testing.assert_allclose(groups[1].displacements, moved[[1, 4]][:, order], atol=1e-8)


def test_frames_of_another_cell_come_in_a_group_of_their_own(diamond):
    cubes, plates = supercell(diamond, [2, 2, 2]), supercell(diamond, [4, 2, 1])
    snapshots = Snapshots.from_atoms([cubes, plates, cubes])
    groups = mapped_frames(snapshots, diamond)
    assert [group.indices.tolist() for group in groups] == [[0, 2], [1]]


def test_one_site_map_for_frames_of_different_cells_is_refused_by_the_first_that_differs(diamond):
    snapshots = Snapshots.from_atoms([supercell(diamond, [2, 2, 2])] * 2 + [supercell(diamond, [4, 2, 1])])
    with pytest.raises(CrystalError, match='frame 2 is the first that differs'):
        frame_displacements(snapshots, diamond)


def test_no_frames_are_refused(diamond):
    with pytest.raises(CrystalError, match='no frames'):
        frame_displacements(frames(diamond)[0].select([]), diamond)
