"""Training settings and the parts of the loop that need no network of their own."""

from __future__ import annotations

import re

import pytest

from aiida_mlcc.runtime.mace.training_settings import Network, Training
from aiida_mlcc.science.settings import SettingsError
from tests.runtime.mace.alloy import NETWORK, TRAINING


def test_a_constant_rate_stays() -> None:
    training = Training.of({**TRAINING, 'schedule': 'constant', 'learning_rate': 0.02})
    assert [training.rate(progress) for progress in (0.0, 0.5, 1.0)] == [0.02, 0.02, 0.02]


@pytest.mark.parametrize('schedule', ['exponential', 'cosine'])
def test_a_falling_rate_ends_at_a_hundredth(schedule: str) -> None:
    training = Training.of({**TRAINING, 'schedule': schedule, 'learning_rate': 0.02})
    rates = [training.rate(progress / 10) for progress in range(11)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.0002)
    assert rates == sorted(rates, reverse=True)


def test_half_way_the_exponential_has_fallen_to_a_tenth_and_the_cosine_to_half() -> None:
    exponential = Training.of({**TRAINING, 'schedule': 'exponential', 'learning_rate': 1.0})
    cosine = Training.of({**TRAINING, 'schedule': 'cosine', 'learning_rate': 1.0})
    assert exponential.rate(0.5) == pytest.approx(0.1)
    assert cosine.rate(0.5) == pytest.approx(0.505)


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'schedule': 'cosin'}, 'choose from constant, exponential, cosine'),
        ({'epochs': 0}, '`epochs` is 0, but must be at least 1'),
        ({'frame_weights': 'hot'}, 'choose from uniform, inverse-force'),
        ({'valid_fraction': 1.0}, '`valid_fraction` is 1.0, but must be above 0, below 1'),
        ({'ema_decay': 1.0}, '`ema_decay` is 1.0, but must be at least 0, below 1'),
        ({'dtype': 'float16'}, 'choose from float32, float64'),
        ({'learning_rat': 0.1}, 'unknown training setting `learning_rat`'),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Training.of({**TRAINING, **change})


@pytest.mark.parametrize('irreps', ['x', '16x1o', '0x0e', '8x0e + 8x1o', '16'])
def test_irreps_of_the_last_readout_are_scalars(irreps: str) -> None:
    assert Network.refuse({**NETWORK, 'MLP_irreps': '8x0e'}) is None
    with pytest.raises(SettingsError, match=re.escape(f'`MLP_irreps` is {irreps!r}: give a number of scalars')):
        Network.of({**NETWORK, 'MLP_irreps': irreps})


def test_nothing_is_left_to_a_default_that_may_change() -> None:
    for name in TRAINING:
        with pytest.raises(SettingsError, match=f'the training setting `{name}` is missing'):
            Training.of({key: value for key, value in TRAINING.items() if key != name})
