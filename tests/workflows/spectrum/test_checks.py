"""When a dynamics that came to its end is not believed, and what is said of it."""

import numpy as np
import pytest

from aiida_mlcc.runtime.md.settings import MD
from aiida_mlcc.science.dynamics.settings import DynamicsLimits, SpectrumSettings
from aiida_mlcc.workflows.spectrum.checks import distrust

LIMITS = DynamicsLimits(temperature=0.1, energy_drift=0.1)
AT_300 = MD.of({**MD.defaults(), 'temperature_start_K': 300.0, 'n_steps': 10000, 'time_step_fs': 1.0})


def summary(kelvin: float = 300.0, drift: float | None = 0.0):
    return {'mean_temperature_K': kelvin, 'energy_drift_mev_per_atom_ps': drift}


@pytest.mark.parametrize('found', [summary(), summary(drift=None), summary(310.0, 0.5), summary(None)])
def test_what_is_within_the_limits_is_believed(found):
    assert distrust(found, AT_300, 512, LIMITS) is None


def test_a_drift_is_told_with_its_rate_and_what_it_comes_to():
    # 1 meV an atom and ps for 10 ps is 10 meV on 3 k_B: 38.7 K.
    reason = distrust(summary(drift=1.0), AT_300, 512, LIMITS)
    assert 'drifts by 1 meV an atom and ps, +38.7 K over 10 ps, more than 30.0 K' in reason


def test_the_wrong_temperature_is_told_beside_the_right_one():
    assert 'its mean temperature is 150.0 K, not the 300 K' in distrust(summary(150.0), AT_300, 512, LIMITS)


def test_a_small_crystal_may_be_off_by_chance():
    assert distrust(summary(390.0), AT_300, 512, LIMITS) is not None
    assert distrust(summary(390.0), AT_300, 16, LIMITS) is None


@pytest.mark.parametrize('kelvin', [245.0, 355.0])
def test_128_atoms_at_300_kelvin_are_not_off_by_a_sixth(kelvin):
    # √(0.1² + (2/√381)²) of 300 K is 43 K.
    assert 'within 43.0 K' in distrust(summary(kelvin), AT_300, 128, LIMITS)
    assert distrust(summary(300.0 + (kelvin - 300.0) * 0.75), AT_300, 128, LIMITS) is None


@pytest.mark.parametrize('n_atoms', [16, 128, 512])
def test_of_runs_that_are_right_hardly_any_is_left_out_and_of_runs_too_hot_by_half_most(n_atoms):
    """At constant energy a harmonic crystal keeps what it drew: 3N − 3 energies of mean k_B·T."""
    modes = 3 * n_atoms - 3
    drawn = 300.0 * np.random.default_rng(0).gamma(modes, size=1000) / modes
    left_out = [
        np.mean([distrust(summary(kelvin), AT_300, n_atoms, LIMITS) is not None for kelvin in warmth * drawn])
        for warmth in (1.0, 1.5)
    ]
    assert left_out[0] < 0.05
    assert left_out[1] > 0.75


@pytest.mark.parametrize('value', ['0.1', None, True, [0.1], -1, float('nan')])
@pytest.mark.parametrize('name', ['temperature', 'energy_drift'])
def test_limits_that_are_not_fractions_are_refused_with_a_sentence(name, value):
    assert f'`{name}`' in DynamicsLimits.refuse({**LIMITS.to_dict(), name: value})
    assert DynamicsLimits.refuse(LIMITS.to_dict()) is None


@pytest.mark.parametrize(
    'change', [{'highest_cm1': '2000'}, {'highest_cm1': 0}, {'resolution_cm1': [5.0]}, {'window': None}, {'widow': 1}]
)
def test_settings_of_the_spectrum_that_make_no_sense_are_refused_with_a_sentence(change):
    settings = {'window': 'hann', 'highest_cm1': None, 'resolution_cm1': None}
    assert SpectrumSettings.refuse(settings) is None
    assert f'`{next(iter(change))}`' in SpectrumSettings.refuse({**settings, **change})
