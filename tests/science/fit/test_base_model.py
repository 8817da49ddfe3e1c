"""Bases of force constants: what is known is recovered, from few frames, and members differ as far as frames do."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from aiida_mlcc.science.crystal.cells import supercell
from aiida_mlcc.science.fit.base_model import BaseForceConstants, drawn_frames, fit_base, fitter
from aiida_mlcc.science.fit.delta import FitError, FitInput
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError
from tests.crystals import heated, snapshots_of, spring_term, stretched

DIAMOND = bulk('C', 'diamond', a=3.56)
CONVENTIONAL = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
BOND, CUBIC = 1.6, -30.0


def frames(n_frames: int, noise: float = 0.0) -> Snapshots:
    """Springs between neighbours, anharmonic along each bond, in the cube of eight atoms.

    :param noise: of each component of the forces, eV/Å.
    """
    cell = supercell(DIAMOND, CONVENTIONAL)
    moved = heated(cell, n_frames)
    bound = ForceConstantsModel(spring_term(DIAMOND, BOND, along=40.0)).bind(cell)
    found = [bound.energy_forces(cell.positions + displaced) for displaced in moved]
    more = stretched(cell, moved, BOND, CUBIC)
    forces = np.array([pulls for _, pulls in found]) + more[1]
    forces += np.random.default_rng(5).normal(scale=noise, size=forces.shape)
    label = Label(np.array([energy for energy, _ in found]) + more[0] - 100.0, forces, {'engine': 'springs'})
    return snapshots_of(cell, moved, {'LDA': label})


def given(snapshots: Snapshots, seed: int = 1) -> FitInput:
    settings = BaseForceConstants.of(BaseForceConstants.defaults())
    return FitInput(snapshots, 'LDA', settings, seed, primitive=DIAMOND)


def test_springs_and_their_anharmonicity_are_recovered_from_the_forces_of_a_few_frames() -> None:
    fit = fit_base(frames(6), DIAMOND, 'LDA')
    assert fit.errors['forces_rmse_mev_angstrom'] < 0.1
    found, truth = (
        ForceConstantsModel(term).bind(supercell(DIAMOND, CONVENTIONAL)).force_constants()
        for term in (fit.terms[0], spring_term(DIAMOND, BOND, along=40.0))
    )
    assert np.allclose(found, truth, atol=0.01)
    assert fit.height == pytest.approx(-100.0, abs=1e-3)


def test_parameters_that_the_cell_does_not_show_are_counted_by_order() -> None:
    missing = fit_base(frames(6, 0.02), DIAMOND, 'LDA').errors['undetermined']
    assert missing.get('third', 0) > 0, 'in a cube of eight atoms next-nearest neighbours meet their images'
    assert 'second' not in missing


def test_a_member_tells_its_errors_on_the_frames_that_it_did_not_draw() -> None:
    noise = 0.02
    fit = fitter(given(frames(40, noise)))('LDA')
    counts = drawn_frames(40, 1)
    assert (fit.errors['n_train'], fit.errors['n_valid']) == (int((counts > 0).sum()), int((counts == 0).sum()))
    assert fit.errors['valid_forces_rmse_mev_angstrom'] == pytest.approx(1000 * noise, rel=0.1)
    assert fit.force_field.method == 'LDA'
    shifts = [mode['shift_cm1'] for mode in fit.errors['projected_residuals']]
    assert np.abs(shifts).max() < 10


def test_members_differ_by_their_frames_and_are_the_same_again() -> None:
    snapshots = frames(12, 0.05)
    first, again, other = (fitter(given(snapshots, seed))('LDA').force_field for seed in (1, 1, 2))
    assert first.content_hash() == again.content_hash() != other.content_hash()


@pytest.mark.parametrize('n_frames', [3, 12, 200])
def test_every_draw_has_as_many_frames_and_leaves_some_out(n_frames) -> None:
    for seed in range(20):
        counts = drawn_frames(n_frames, seed)
        assert counts.sum() == n_frames
        assert 2 <= (counts > 0).sum() < n_frames


def test_without_forces_or_a_crystal_there_is_no_base() -> None:
    bare = frames(4)
    bare = bare.with_label('PBE', Label(bare.labels['LDA'].energies))
    with pytest.raises(SnapshotsError, match='0 of 4 frames carry PBE forces'):
        fitter(given(bare))('PBE')
    with pytest.raises(FitError, match='need the primitive cell'):
        fitter(FitInput(bare, 'LDA', BaseForceConstants.of(BaseForceConstants.defaults()), 1))


@pytest.mark.parametrize(('noise', 'remarked'), [(0.01, False), (1.0, True)])
def test_a_network_is_recommended_where_much_of_the_forces_is_left(noise, remarked) -> None:
    errors = fitter(given(frames(40, noise)))('LDA').errors
    assert ('a network on what they leave may help' in errors.get('remark', '')) is remarked


@pytest.mark.nightly
def test_in_a_cell_that_resolves_little_every_mode_of_it_is_still_described() -> None:
    """The cube of rock salt tells nearest neighbours apart, and shows the others in sums: they make its modes all the
    same."""
    primitive = bulk('LiF', 'rocksalt', a=4.0)
    cell = supercell(primitive, CONVENTIONAL)
    moved = heated(cell, 12)
    truth = ForceConstantsModel(spring_term(primitive, 3.0, along=8.0)).bind(cell)
    forces = np.array([truth.energy_forces(cell.positions + displaced)[1] for displaced in moved])
    fit = fit_base(snapshots_of(cell, moved, {'LDA': Label(np.zeros(12), forces)}), primitive, 'LDA')
    assert fit.errors['forces_rmse_mev_angstrom'] < 1e-3
    assert fit.errors['undetermined'].get('second', 0) > 0


def test_held_out_frames_choose_nothing() -> None:
    """Frames that a member did not draw may be anything: its force constants are the same."""
    snapshots = frames(40, 0.02)
    unseen = drawn_frames(40, 1) == 0
    label = snapshots.labels['LDA']
    wild = np.where(unseen[:, None, None], 1e3 * label.forces, label.forces)
    other = snapshots.with_label('LDA', Label(label.energies, wild, label.source))
    ours, theirs = (fitter(given(one))('LDA').force_field.terms[0] for one in (snapshots, other))
    assert ours.content_hash == theirs.content_hash
