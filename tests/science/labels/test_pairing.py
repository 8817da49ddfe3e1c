import numpy as np
import pytest

from aiida_mlcc.science.labels import pairing
from aiida_mlcc.science.labels.pairing import AmbiguousPairing, distance_to_nearest, pair_by_geometry, repeated_frames
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError

CELL = np.array([[4.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.0, 0.5, 5.0]])


def frames(n: int, seed: int = 0) -> Snapshots:
    positions = np.random.default_rng(seed).uniform(-1, 6, size=(n, 3, 3))
    return Snapshots(('Li', 'H', 'H'), np.array([CELL] * n), positions)


def test_frames_are_found_shuffled_wrapped_and_rounded():
    reference = frames(8)
    order = np.random.default_rng(1).permutation(8)
    jumps = np.random.default_rng(2).integers(-2, 3, size=(8, 3, 3)) @ CELL
    other = Snapshots(reference.symbols, reference.cells, np.round(reference.positions[order] + jumps, 5))
    found = pair_by_geometry(reference, other)
    assert np.array_equal(order[found.indices], np.arange(8))
    assert len(found.unmatched) == 0


def test_frames_without_a_partner_are_named_on_both_sides():
    reference = frames(5)
    other = reference.select([4, 2])
    strangers = frames(1, seed=9)
    both = Snapshots(
        other.symbols,
        np.concatenate([strangers.cells, other.cells]),
        np.concatenate([strangers.positions, other.positions]),
    )
    found = pair_by_geometry(reference, both)
    assert np.array_equal(found.indices, [-1, -1, 2, -1, 1])
    assert np.array_equal(found.matched, [2, 4])
    assert np.array_equal(found.unmatched, [0])


def test_a_displacement_beyond_the_tolerance_is_another_structure():
    reference = frames(1)
    moved = reference.positions.copy()
    moved[0, 1, 2] += 2e-4
    other = Snapshots(reference.symbols, reference.cells, moved)
    assert pair_by_geometry(reference, other).indices[0] == -1
    assert pair_by_geometry(reference, other, tolerance=1e-3).indices[0] == 0


def test_another_lattice_is_another_structure():
    reference = frames(1)
    other = Snapshots(reference.symbols, reference.cells * 1.001, reference.positions)
    assert pair_by_geometry(reference, other).indices[0] == -1


def test_equal_structures_with_different_energies_are_ambiguous():
    reference = frames(2)
    twice = reference.select([1, 0, 1])
    agreeing = twice.with_label('HF', Label(np.array([-1.0, -2.0, -1.0])))
    assert np.array_equal(pair_by_geometry(reference, agreeing).indices, [1, 0])
    differing = twice.with_label('HF', Label(np.array([-1.0, -2.0, -1.1])))
    with pytest.raises(AmbiguousPairing, match=r'frames 0, 2 .* match frame 1, but their HF energies differ by 0.1 eV'):
        pair_by_geometry(reference, differing)


def test_of_equal_structures_the_labelled_one_is_taken():
    reference = frames(1)
    twice = reference.select([0, 0]).with_label('HF', Label(np.array([np.nan, -1.0])))
    assert pair_by_geometry(reference, twice).indices[0] == 1


def test_other_species_cannot_be_paired():
    reference = frames(1)
    with pytest.raises(SnapshotsError, match='other species'):
        pair_by_geometry(reference, Snapshots(('H', 'Li', 'H'), reference.cells, reference.positions))


def test_frames_that_repeat_a_structure_are_grouped():
    reference = frames(4)
    repeated = reference.select([0, 1, 2, 1, 3, 1, 0])
    assert [group.tolist() for group in repeated_frames(repeated)] == [[0, 6], [1, 3, 5]]


def test_the_nearest_frame_is_as_far_as_the_atom_that_moved():
    reference = frames(3)
    moved = reference.positions.copy()
    moved[1, 2] += CELL[0] + [0.0, 0.03, 0.04]
    other = Snapshots(reference.symbols, reference.cells, moved)
    assert distance_to_nearest(reference, other, 1) == pytest.approx(0.05)


def test_the_frames_looked_at_hold_every_frame_that_is_the_same():
    """At the very tolerance, in other cells and with jumps by lattice vectors: as a search through all frames does."""
    generator = np.random.default_rng(5)
    reference = frames(40, seed=3)
    origin = generator.integers(0, 40, 200)
    jumps = generator.integers(-3, 4, size=(200, 3, 3)) @ CELL
    off = generator.normal(size=(200, 3, 3))
    off *= generator.uniform(0.2, 1.2, (200, 1, 1)) * 1e-3 / np.linalg.norm(off, axis=2, keepdims=True)
    cells = reference.cells[origin] + generator.uniform(-1e-3, 1e-3, (200, 3, 3))
    other = Snapshots(reference.symbols, cells, reference.positions[origin] + jumps + off)
    near = pairing._Near(other, 1e-3, reference)
    everything = np.arange(200)
    n_same = 0
    for frame in range(40):
        same = pairing._same_structure(reference, frame, other, 1e-3, everything)
        assert set(same) <= set(near.candidates(reference, frame))
        n_same += len(same)
    assert 20 < n_same < 180, 'the case is at the edge'


def test_few_frames_are_looked_at_even_where_most_atoms_are_at_rest():
    generator = np.random.default_rng(6)
    positions = np.tile(generator.uniform(0, 20, (64, 3)), (500, 1, 1))
    positions[:, 40] += generator.normal(scale=0.05, size=(500, 3))
    snapshots = Snapshots(('C',) * 64, np.tile(20.0 * np.eye(3), (500, 1, 1)), positions)
    near = pairing._Near(snapshots, 1e-4, snapshots)
    assert sum(len(near.candidates(snapshots, frame)) for frame in range(500)) < 5 * 500
