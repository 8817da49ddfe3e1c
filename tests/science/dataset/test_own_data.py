"""Δ on data of the engine itself, against frozen phonons that no fit has touched."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_mlcc.science.fit.force_constants import fit_delta
from aiida_mlcc.science.fit.harmonic_model import HarmonicModel, harmonic_model
from aiida_mlcc.science.fit.learning_curve import frequencies_of_samples
from aiida_mlcc.science.labels.snapshots import Snapshots
from tests.benchmarks.data import load, load_frozen

pytestmark = pytest.mark.nightly

GAMMA_TO = {'HF': 412.6, 'MP2': 388.4, 'CCSD': 390.5, 'CCSD(T)': 390.3}
"""cm⁻¹, LiF at 3.93 Å: ``python -m tests.frozen_phonon``, two energies at a fifth of the design's amplitude."""


@pytest.fixture(scope='module')
def lithium_fluoride() -> tuple[Snapshots, HarmonicModel]:
    dynamics, primitive = load(None, 'lif8')
    return load_frozen('lif8'), harmonic_model(dynamics, primitive, 'LDA')


@pytest.mark.parametrize('method', GAMMA_TO)
def test_a_dozen_energies_of_frozen_phonons_give_the_frequency_of_small_displacements(lithium_fluoride, method) -> None:
    frozen, model = lithium_fluoride
    assert frozen.n_frames == 12
    fit = fit_delta(frozen, model.force_constants.primitive, 'LDA', method, n_folds=4)
    found = frequencies_of_samples(model, fit.samples, {'gamma': (0.0, 0.0, 0.0)})
    frequency, deviation = found['frequencies_cm1']['gamma'][3], found['sd_cm1']['gamma'][3]
    assert deviation < 6.0
    assert frequency == pytest.approx(GAMMA_TO[method], abs=2 * deviation)


def test_the_fourth_order_is_needed_where_energies_are_quartic(lithium_fluoride) -> None:
    frozen, model = lithium_fluoride
    primitive = model.force_constants.primitive
    assert fit_delta(frozen, primitive, 'LDA', 'HF', n_folds=4).errors['fourth_order']


def test_energies_of_the_undisplaced_crystal_do_not_depend_on_where_it_lies(lithium_fluoride) -> None:
    frozen, _ = lithium_fluoride
    for label in frozen.labels.values():
        assert np.ptp(label.energies[:2]) < 3e-4


@pytest.mark.parametrize('method', ['HF', 'CCSD(T)'])
def test_ten_frozen_phonons_of_diamond_say_what_thirty_frames_of_dynamics_say(method) -> None:
    """Two sets that share no frame: Γ and X of the cell of eight atoms."""
    dynamics, primitive = load(None, 'diamond8')
    model, frozen = harmonic_model(dynamics, primitive, 'LDA'), load_frozen('diamond8')
    assert (frozen.n_frames, dynamics.n_frames) == (10, 30)
    found = []
    for snapshots, n_folds in ((frozen, 4), (dynamics, 10)):
        fit = fit_delta(snapshots, primitive, 'LDA', method, n_folds=n_folds)
        found.append(frequencies_of_samples(model, fit.samples, {'gamma': (0.0, 0.0, 0.0), 'x': (0.0, 0.5, 0.5)}))
    for point, index in (('gamma', 3), ('x', 0), ('x', 2), ('x', 4)):
        one, other = (entry['frequencies_cm1'][point][index] for entry in found)
        error = np.hypot(*(entry['sd_cm1'][point][index] for entry in found))
        assert one == pytest.approx(other, abs=3 * error)
