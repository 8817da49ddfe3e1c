"""Training settings and the parts of the loop that need no network of their own."""

from __future__ import annotations

import pytest

from aiida_mlcc.runtime.training_settings import SCHEDULES, Training, TrainingError
from tests.runtime.alloy import TRAINING


def test_a_constant_rate_stays() -> None:
    training = Training.from_settings({**TRAINING, 'schedule': 'constant', 'learning_rate': 0.02})
    assert [training.rate(progress) for progress in (0.0, 0.5, 1.0)] == [0.02, 0.02, 0.02]


@pytest.mark.parametrize('schedule', ['exponential', 'cosine'])
def test_a_falling_rate_ends_at_a_hundredth(schedule: str) -> None:
    training = Training.from_settings({**TRAINING, 'schedule': schedule, 'learning_rate': 0.02})
    rates = [training.rate(progress / 10) for progress in range(11)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.0002)
    assert rates == sorted(rates, reverse=True)


def test_half_way_the_exponential_has_fallen_to_a_tenth_and_the_cosine_to_half() -> None:
    exponential = Training.from_settings({**TRAINING, 'schedule': 'exponential', 'learning_rate': 1.0})
    cosine = Training.from_settings({**TRAINING, 'schedule': 'cosine', 'learning_rate': 1.0})
    assert exponential.rate(0.5) == pytest.approx(0.1)
    assert cosine.rate(0.5) == pytest.approx(0.505)


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'schedule': 'stepwise'}, f'choose from {", ".join(SCHEDULES)}'),
        ({'epochs': 0}, 'at least one epoch'),
        ({'frame_weights': 'hot'}, "unknown frame_weights 'hot'"),
        ({'valid_fraction': 1.0}, 'valid_fraction is 1'),
        ({'learning_rat': 0.1}, "unknown training setting 'learning_rat'"),
    ],
)
def test_a_wrong_setting_is_named(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(TrainingError, match=sentence):
        Training.from_settings({**TRAINING, **change})


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(TrainingError, match="lacks the setting 'forces_weight'"):
        Training.from_settings({name: value for name, value in TRAINING.items() if name != 'forces_weight'})


def test_patience_and_averaging_may_be_left_out() -> None:
    settings = {name: value for name, value in TRAINING.items() if name not in ('patience', 'ema_decay')}
    training = Training.from_settings(settings)
    assert training.patience is None
    assert training.ema_decay is None
