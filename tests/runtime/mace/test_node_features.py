"""Features of a frozen network: their slopes, and what they are summed over."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_mlcc.runtime.mace import node_features
from aiida_mlcc.runtime.mace.node_features import FeatureExtractor
from aiida_mlcc.science.force_field import ForceFieldError
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.runtime.mace.alloy import random_term, rattled

ELEMENTS = ('Au', 'Cu')


def extractor() -> FeatureExtractor:
    return FeatureExtractor(random_term(), ELEMENTS)


def test_forces_of_the_features_are_their_slopes() -> None:
    frame = rattled(1)[0]
    step, atom, axis = 1e-4, 2, 1
    moved = []
    for sign in (1, -1):
        atoms = frame.copy()
        atoms.positions[atom, axis] += sign * step
        moved.append(atoms)
    plus, minus = extractor().features(Snapshots.from_atoms(moved))
    slopes = extractor().forces(Snapshots.from_atoms([frame]))[0]
    assert slopes[3 * atom + axis] == pytest.approx(-(plus - minus) / (2 * step), abs=1e-6)


def test_batches_do_not_mix_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = Snapshots.from_atoms(rattled(5))
    together, slopes = extractor().features(frames), extractor().forces(frames)
    monkeypatch.setattr(node_features, '_EDGES_AT_A_TIME', 1)
    assert np.allclose(extractor().features(frames), together, rtol=0, atol=1e-12)
    assert np.allclose(extractor().forces(frames), slopes, rtol=0, atol=1e-12)


def test_a_supercell_has_as_many_features_as_its_cells_together() -> None:
    frame = rattled(1)[0]
    one, eight = (extractor().features(Snapshots.from_atoms([atoms]))[0] for atoms in (frame, frame * (2, 2, 2)))
    assert eight == pytest.approx(8 * one, rel=1e-10)


def test_elements_are_kept_apart() -> None:
    without_copper = rattled(1)[0][:1]
    features = extractor().features(Snapshots.from_atoms([without_copper]))[0].reshape(2, -1)
    assert np.abs(features[0]).max() > 0
    assert np.abs(features[1]).max() == 0


def test_an_element_that_the_network_does_not_know_is_named() -> None:
    with pytest.raises(ForceFieldError, match='never seen Ag'):
        FeatureExtractor(random_term(), ('Ag', 'Cu'))
