"""Snapshots of several cells of as many atoms: what one of them does not hold is learnt from another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from ase import Atoms

from aiida_mlcc.science.crystal.cells import map_onto_crystal, supercell
from aiida_mlcc.science.crystal.training_cells import Points, training_cells
from aiida_mlcc.science.fit.base_model import BaseForceConstants, fit_base, fitter
from aiida_mlcc.science.fit.delta import FitInput
from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel, harmonic_model
from aiida_mlcc.science.fit.learning_curve import frequencies_of_samples
from aiida_mlcc.science.force_field import Term
from aiida_mlcc.science.force_field.force_constants import ForceConstantsModel
from aiida_mlcc.science.labels.snapshots import Snapshots, concatenate
from aiida_mlcc.science.phonons.modes import frequency_of
from tests.crystals import heated, rocksalt, snapshots_of, spring_label, spring_term

PRIMITIVE = rocksalt()
BASE = spring_term(PRIMITIVE, 3.0, along=8.0, across=1.0)
TRUTH = spring_term(PRIMITIVE, 3.0, along=9.0, across=1.2)
L = np.array([0.5, 0.5, 0.5])


@dataclass(frozen=True)
class Frames:
    cube: Snapshots
    other: Snapshots

    @property
    def both(self) -> Snapshots:
        return concatenate([self.cube, self.other])


@pytest.fixture(scope='module')
def frames() -> Frames:
    """Frames of the cube, which holds Γ and X, and of the 8 atoms that hold L besides."""
    points = Points(PRIMITIVE)
    skew = training_cells(PRIMITIVE, [points.read('X'), points.read('L')], 8)[0].atoms()
    cube = supercell(PRIMITIVE, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    return Frames(_labelled(cube, 0), _labelled(skew, 1))


def _labelled(cell: Atoms, seed: int) -> Snapshots:
    moved = heated(cell, 16, seed)
    energies = spring_label(TRUTH, cell, moved)
    return snapshots_of(cell, moved, {'LDA': spring_label(BASE, cell, moved)}).with_label(
        'HF', type(energies)(energies.energies)
    )


def at_l(term: Term) -> list[float]:
    """Return the frequencies of force constants at L, cm⁻¹."""
    model = HarmonicModel(ForceConstantsModel(term), map_onto_crystal(PRIMITIVE, PRIMITIVE))
    return [frequency_of(value) for value in np.linalg.eigvalsh(model.dynamical_matrix(L))]


def test_a_base_of_two_cells_has_what_only_one_of_them_holds(frames) -> None:
    assert at_l(fit_base(frames.both, PRIMITIVE, 'LDA').terms[0]) == pytest.approx(at_l(BASE), abs=1.0)


def test_the_cube_alone_does_not_hold_it(frames) -> None:
    found = at_l(fit_base(frames.cube, PRIMITIVE, 'LDA').terms[0])
    assert np.abs(np.array(found) - at_l(BASE)).max() > 5.0


def test_each_cell_judges_the_base_by_its_own_modes(frames) -> None:
    settings = BaseForceConstants.of(BaseForceConstants.defaults())
    errors = fitter(FitInput(frames.both, 'LDA', settings, 1, PRIMITIVE))('LDA').errors
    # Nine frequencies at Γ, X and L, of which the cube holds those at Γ and X: each star comes once.
    found = errors['projected_residuals']
    assert len(found) == 9
    assert sum(entry['degeneracy'] for entry in found if entry['qpoint'] == [0.0, 0.0, 0.0]) == 3
    # A base of both cells is judged in both: it leaves as little of the forces of either.
    assert errors['train_forces_rmse_mev_angstrom'] < 1.0


def test_a_delta_of_two_cells_has_what_only_one_of_them_holds(frames) -> None:
    model = harmonic_model(frames.both, PRIMITIVE, 'LDA')
    fit = fit_delta(frames.both, PRIMITIVE, 'LDA', 'HF', n_folds=4)
    found = frequencies_of_samples(model, fit.samples, {'l': tuple(L)})['frequencies_cm1']['l']
    assert found == pytest.approx(at_l(TRUTH), abs=2.0)


def test_cells_of_other_sizes_are_refused(frames) -> None:
    with pytest.raises(ValueError, match='other species, or in another order'):
        concatenate([frames.cube, _labelled(supercell(PRIMITIVE, 2), 2)])
