"""Errors along a path: what they are where they are known, and what symmetry asks of them elsewhere."""

import numpy as np
import pytest

from aiida_mlcc.science.errors.band_error_bars import base_errors_along, path_spreads
from aiida_mlcc.science.errors.frequency_error_bars import delta_spread
from aiida_mlcc.science.phonons.branches import branches_of, path_matrices
from aiida_mlcc.science.phonons.dispersion import band_path
from tests.science.errors.test_frequency_error_bars import DIAMOND, base, phonopy_of, residuals, samples, total

__all__ = ('base', 'samples', 'total')

GAMMA, X, L = (0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.5, 0.5)
FREQUENCIES = np.array([500.0, 500.0, 700.0, 1000.0, 1200.0, 1200.0])
AT_GAMMA = np.array([0.0, 0.0, 0.0, 1300.0, 1300.0, 1300.0])
KNOWN = residuals((GAMMA, 1300.0, 3, 13.0, 0.0), (X, 500.0, 2, 10.0, 0.0), (X, 700.0, 1, 7.0, 0.0))
KNOWN += residuals((X, 1000.0, 1, 10.0, 0.0), (X, 1200.0, 2, 12.0, 0.0))


def errors_at(qpoints, entries=KNOWN, frequencies=None):
    points = np.array(qpoints, dtype=float)
    found = np.tile(FREQUENCIES, (len(points), 1)) if frequencies is None else np.array(frequencies, dtype=float)
    found[np.abs(points).max(axis=1) < 1e-8] = AT_GAMMA
    return base_errors_along([{'projected_residuals': entries}], found, points, DIAMOND, lambda _: FREQUENCIES)


def test_where_the_error_of_the_base_was_measured_it_is_that():
    found = errors_at([GAMMA, X])
    assert found[0] == pytest.approx([0, 0, 0, 13, 13, 13])
    assert found[1] == pytest.approx([10, 10, 7, 10, 12, 12])


def test_wave_vectors_that_symmetry_makes_equal_have_the_same_error():
    """U and K are the same wave vector of the face-centred lattice; a path jumps from one to the other."""
    found = errors_at([GAMMA, X, (0.625, 0.25, 0.625), (0.375, 0.375, 0.75)])
    assert found[2] == pytest.approx(found[3], rel=1e-9)


def test_between_two_measured_wave_vectors_the_relative_error_lies_between_theirs():
    """At Γ it is 1 % of the optical modes, at X it is 1 % of all but of the lowest two, 2 %."""
    found = errors_at([GAMMA, X, (0.0, 0.25, 0.25)])[2] / FREQUENCIES
    assert found == pytest.approx([0.02, 0.02, 0.01, 0.01, 0.01, 0.01], rel=1e-6)


def test_acoustic_modes_keep_the_relative_error_on_their_way_to_zero():
    soft = np.array([5.0, 5.0, 7.0, 1300.0, 1300.0, 1300.0])
    found = errors_at([GAMMA, X, (0.0, 0.005, 0.005)], frequencies=[AT_GAMMA, FREQUENCIES, soft])[2]
    assert found[:3] == pytest.approx([0.1, 0.1, 0.07], rel=1e-6)


def test_what_gamma_alone_tells_of_optical_modes_holds_for_all():
    found = errors_at([GAMMA, X], entries=residuals((GAMMA, 1300.0, 3, 13.0, 0.0)))
    assert found[1] == pytest.approx(0.01 * FREQUENCIES)


def test_branches_that_have_crossed_have_the_error_of_their_frequency():
    crossed = FREQUENCIES[::-1]
    found = errors_at([GAMMA, X], frequencies=[AT_GAMMA, crossed])
    assert found[1] == pytest.approx([12, 12, 10, 7, 10, 10])


def test_a_measured_wave_vector_that_the_path_does_not_meet_counts():
    """The path from Γ to X has no point L; what is known there is 1 % of every frequency."""
    at_l = residuals(*((L, frequency, 1, 0.01 * frequency, 0.0) for frequency in FREQUENCIES))
    assert errors_at([X, (0.0, 0.25, 0.25)], entries=at_l) == pytest.approx(np.tile(0.01 * FREQUENCIES, (2, 1)))


def test_modes_that_are_not_all_known_tell_nothing():
    assert errors_at([GAMMA, X], entries=residuals((L, 1300.0, 3, 13.0, 0.0))) is None
    assert errors_at([GAMMA, X], entries=[]) is None


def test_the_spread_on_the_path_is_that_at_the_special_points_it_meets(total, samples):
    phonon, softer = phonopy_of(total), phonopy_of(0.9 * total)
    path = band_path(DIAMOND, points=3)
    others, delta = path_spreads({'one': phonon}, {'readout': {'one': softer}}, samples, path.qpoints, path.segments)
    for index, label in path.labels:
        alone = delta_spread(phonon, samples, {label: path.points[label]})
        for name in ('bootstrap', 'label_noise'):
            assert delta[name][index] == pytest.approx(alone[name][0], rel=1e-6, abs=1e-6)
    frequencies = branches_of([path_matrices(phonon, path)]).frequencies_cm1(path_matrices(phonon, path))
    # A tenth less of all force constants is √0.9 of every frequency; what is zero by symmetry is so up to rounding.
    assert others['readout'][0] == pytest.approx(np.sqrt(0.9) * frequencies, abs=1e-3)


def test_without_labels_drawn_again_there_is_no_spread(total):
    path = band_path(DIAMOND, points=2)
    assert path_spreads({'one': phonopy_of(total)}, {}, None, path.qpoints, path.segments) == ({}, None)
