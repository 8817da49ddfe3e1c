"""Costs of force fields against times that were measured, of diamond on one core."""

import pytest

from aiida_mlcc.science.force_field.model_cost import Network, force_hours, training_hours


@pytest.mark.parametrize(
    ('network', 'n_frames', 'seconds'),
    [(Network(16, 50), 160, 456), (Network(8, 25), 160, 59), (Network(8, 1), 5 * 160, 160 * 0.081), (None, 200, 10)],
)
def test_trainings_take_what_was_measured_within_a_factor_of_two(network, n_frames, seconds):
    assert 0.5 < 3600 * training_hours(n_frames, 32, network) / seconds < 2.0


def test_double_precision_costs_more():
    single, double = (training_hours(160, 32, Network(16, 50, double)) for double in (False, True))
    assert 1.6 < double / single < 2.0


@pytest.mark.parametrize(('channels', 'double', 'seconds'), [(16, True, 430), (16, False, 240), (0, True, 8)])
def test_a_thousand_steps_of_512_atoms_take_what_was_measured(channels, double, seconds):
    assert 0.5 < 3600 * force_hours(1000, 512, channels, double) / seconds < 2.0
