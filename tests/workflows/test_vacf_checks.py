"""When a dynamics that came to its end is not believed, and what is said of it."""

import pytest

from aiida_mlcc.workflows.vacf_checks import distrust

LIMITS = {'temperature': 0.1, 'energy_drift': 0.1}
MD = {'temperature_start_K': 300.0, 'n_steps': 10000, 'time_step_fs': 1.0}


def summary(kelvin: float = 300.0, drift: float | None = 0.0):
    return {'mean_temperature_K': kelvin, 'energy_drift_mev_per_atom_ps': drift}


@pytest.mark.parametrize('found', [summary(), summary(drift=None), summary(310.0, 0.5), summary(None)])
def test_what_is_within_the_limits_is_believed(found):
    assert distrust(found, MD, 512, LIMITS) is None


def test_a_drift_is_told_with_its_rate_and_what_it_comes_to():
    # 1 meV an atom and ps for 10 ps is 10 meV on 3 k_B: 38.7 K.
    reason = distrust(summary(drift=1.0), MD, 512, LIMITS)
    assert 'drifts by 1 meV an atom and ps, +38.7 K over 10 ps, more than 30.0 K' in reason


def test_the_wrong_temperature_is_told_beside_the_right_one():
    assert 'its mean temperature is 150.0 K, not the 300 K' in distrust(summary(150.0), MD, 512, LIMITS)


def test_a_small_crystal_may_be_off_by_chance():
    assert distrust(summary(390.0), MD, 512, LIMITS) is not None
    assert distrust(summary(390.0), MD, 16, LIMITS) is None
