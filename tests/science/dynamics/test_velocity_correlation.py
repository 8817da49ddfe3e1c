"""The correlation gathered block by block is the average over all pairs of times."""

import numpy as np
import pytest

from aiida_mlcc.science.dynamics import velocity_correlation
from aiida_mlcc.science.dynamics.velocity_correlation import VelocityCorrelator

SYMBOLS, MASSES = ['H', 'Li', 'H', 'Li', 'Li'], np.array([1.0, 7.0, 1.0, 7.0, 7.0])


def motion(n_steps):
    return np.random.default_rng(0).normal(size=(n_steps, len(SYMBOLS), 3))


def gathered(velocities, max_lag):
    correlator = VelocityCorrelator(SYMBOLS, MASSES, max_lag)
    for step in velocities:
        correlator.add(step)
    return correlator


@pytest.mark.parametrize(('n_steps', 'max_lag'), [(60, 7), (61, 11), (23, 22), (8, 7), (300, 3), (2, 1)])
def test_every_pair_of_times_counts_once_whatever_the_blocks(n_steps, max_lag):
    velocities = motion(n_steps)
    found, _ = gathered(velocities, max_lag).result()
    for symbol, members in (('H', [0, 2]), ('Li', [1, 3, 4])):
        for lag in range(max_lag + 1):
            products = velocities[lag:, members] * velocities[: n_steps - lag, members]
            expected = np.einsum('tia,i->a', products, MASSES[members]) / (n_steps - lag)
            assert np.allclose(found[symbol][:, lag], expected, rtol=1e-5, atol=1e-5 * found[symbol][:, 0].max())


def test_merged_blocks_keep_the_sums_and_the_memory(monkeypatch):
    monkeypatch.setattr(velocity_correlation, 'MOST_BLOCKS', 4)
    velocities = motion(211)
    few = gathered(velocities, 5)
    monkeypatch.setattr(velocity_correlation, 'MOST_BLOCKS', 64)
    many = gathered(velocities, 5)
    assert few.state()['sums'].shape[0] == 4
    assert few.steps_of_a_block > many.steps_of_a_block
    assert len(few.result()[1]) <= 4
    for symbol in ('H', 'Li'):
        assert np.allclose(few.result()[0][symbol], many.result()[0][symbol])


def test_the_mean_of_the_blocks_is_the_whole_but_for_the_ends():
    correlator = gathered(motion(4000), 10)
    found, blocks = correlator.result()
    assert blocks.shape[1:] == (2, 11)
    whole = np.array([found[symbol].sum(axis=0) for symbol in correlator.elements])
    assert np.allclose(blocks.mean(axis=0), whole, atol=0.02 * whole.max())


@pytest.mark.parametrize('cut', [1, 10, 35, 99])
def test_a_correlation_goes_on_from_its_state_bit_by_bit(cut):
    velocities = motion(100)
    whole = gathered(velocities, 9).result()
    first = gathered(velocities[:cut], 9)
    second = VelocityCorrelator(SYMBOLS, MASSES, 9)
    second.restore({name: array.copy() for name, array in first.state().items()})
    for step in velocities[cut:]:
        second.add(step)
    found = second.result()
    assert all(np.array_equal(found[0][symbol], whole[0][symbol]) for symbol in whole[0])
    assert np.array_equal(found[1], whole[1])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='do not fit 5 atoms'):
        VelocityCorrelator(SYMBOLS, MASSES[:2], 3)
    with pytest.raises(ValueError, match='longest lag of 0'):
        VelocityCorrelator(SYMBOLS, MASSES, 0)
    with pytest.raises(ValueError, match='no lag of 9'):
        gathered(motion(9), 9).result()
