"""The velocity autocorrelation of a molecular dynamics run while it runs, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

MOST_BLOCKS = 64
"""Blocks whose sums are kept apart; where a run gives more, neighbours are merged. An even number."""

_COLUMNS_AT_ONCE = 64
"""What fits the caches of a processor with its transform."""

_N_DIRECTIONS = 3


class VelocityCorrelator:
    """Σ_i m_i v_iα(t)·v_iα(t+τ) of each element and Cartesian direction α, from velocities given step by step.

    The steps are cut into blocks as long as the longest lag. A block is transformed once, with zeros behind it, and its
    spectrum correlated with itself and with that of the block before: all pairs of times up to the longest lag are
    counted, each once, and no lag wraps around. Kept are two blocks and the sums of at most :data:`MOST_BLOCKS`.

    :param masses: amu, shape (n_atoms,); velocities in Å/fs then give amu Å²/fs².
    :param max_lag: in steps.
    """

    def __init__(self, symbols: Sequence[str], masses: ArrayLike, max_lag: int) -> None:
        weights = np.asarray(masses, dtype=float)
        if weights.shape != (len(symbols),) or not symbols:
            raise ValueError(f'masses {weights.shape} do not fit {len(symbols)} atoms')
        if max_lag < 1:
            raise ValueError(f'a longest lag of {max_lag} steps has no autocorrelation: take one or more')
        self.elements = tuple(dict.fromkeys(symbols))
        self.max_lag = max_lag
        self.block = _fast_length(max_lag)
        self._root_masses = np.repeat(np.sqrt(weights), _N_DIRECTIONS).astype(np.float32)
        members = [[n for n, other in enumerate(symbols) if other == symbol] for symbol in self.elements]
        groups = [[3 * n + axis for n in atoms] for atoms in members for axis in range(_N_DIRECTIONS)]
        self._chunks = [
            (group, np.array(columns[start : start + _COLUMNS_AT_ONCE]))
            for group, columns in enumerate(groups)
            for start in range(0, len(columns), _COLUMNS_AT_ONCE)
        ]
        # Single precision: a relative error of 1e-7 in each velocity, for half the memory and a third of the time.
        self._buffer = np.zeros((self.block, len(self._root_masses)), dtype=np.float32)
        self._before = [np.zeros((self.block + 1, len(c)), dtype=np.complex64) for _, c in self._chunks]
        self._sums = np.zeros((MOST_BLOCKS, len(groups), max_lag + 1))
        self._pairs = np.zeros((MOST_BLOCKS, max_lag + 1))
        self._filled, self._n_blocks, self._span = 0, 0, 1

    @property
    def n_steps(self) -> int:
        """How many steps were given."""
        return self._n_blocks * self.block + self._filled

    def add(self, velocities: NDArray[Any]) -> None:
        """Take in one step, shape (n_atoms, 3)."""
        self._buffer[self._filled] = velocities.ravel()
        self._filled += 1
        if self._filled == self.block:
            self._close_block()

    def _close_block(self) -> None:
        entry = self._n_blocks // self._span
        if entry == MOST_BLOCKS:
            for array in (self._sums, self._pairs):
                array[: MOST_BLOCKS // 2] = array[::2] + array[1::2]
                array[MOST_BLOCKS // 2 :] = 0
            self._span *= 2
            entry = MOST_BLOCKS // 2
        sums, pairs = self._correlate(keep=True)
        self._sums[entry] += sums
        self._pairs[entry] += pairs
        self._n_blocks += 1
        self._filled = 0

    def _correlate(self, keep: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return sums over all pairs that end in the current block, and how many pairs of times there are."""
        length = 2 * self.block
        self._buffer[self._filled :] = 0
        # A lag reaches into the block before: its spectrum is shifted by half of the length.
        signs = 1 - 2 * (np.arange(self.block + 1) % 2)
        spectra = np.zeros((len(self.elements) * _N_DIRECTIONS, self.block + 1), dtype=np.complex128)
        for number, (group, columns) in enumerate(self._chunks):
            moving = np.take(self._buffer, columns, axis=1)
            moving *= self._root_masses[columns]
            found = fft.rfft(moving, n=length, axis=0)
            spectra[group] += _products(found, found) + signs * _products(self._before[number], found)
            if keep:
                self._before[number] = found
        sums = fft.irfft(spectra, n=length, axis=1)[:, : self.max_lag + 1]
        lags = np.arange(self.max_lag + 1)
        pairs = np.maximum(self._filled - lags, 0) + (np.minimum(lags, self._filled) if self._n_blocks else 0)
        return sums, pairs.astype(float)

    def result(self) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
        """Return the averages over the run so far.

        :returns: element → correlation of each direction, shape (3, max_lag + 1); and those of each block, all
            directions together, shape (n_blocks, n_elements, max_lag + 1), elements in the order of the first. Blocks
            that hold few pairs at some lag are not among them.
        :raises ValueError: where the run is no longer than the longest lag.
        """
        if self.n_steps <= self.max_lag:
            raise ValueError(f'a run of {self.n_steps} recorded steps has no lag of {self.max_lag}')
        used = -(-self._n_blocks // self._span)
        sums, pairs = self._sums[:used], self._pairs[:used]
        if self._filled:
            last = self._correlate(keep=False)
            sums = np.concatenate([sums, last[0][None]])
            pairs = np.concatenate([pairs, last[1][None]])
        mean = sums.sum(axis=0) / pairs.sum(axis=0)
        shape = (len(self.elements), _N_DIRECTIONS, -1)
        full = pairs.min(axis=1) > 0.5 * pairs.max()
        of_blocks = sums[full] / pairs[full, None]
        blocks = of_blocks.reshape(len(of_blocks), *shape[:2], self.max_lag + 1).sum(axis=2)
        return dict(zip(self.elements, mean.reshape(shape), strict=True)), blocks

    @property
    def steps_of_a_block(self) -> int:
        """How many steps each block of :meth:`result` holds, merged as they may be."""
        return self.block * self._span

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that the correlation so far consists of."""
        return {
            'buffer': self._buffer[: self._filled],
            'before': np.concatenate(self._before, axis=1),
            'sums': self._sums,
            'pairs': self._pairs,
            'counters': np.array([self._filled, self._n_blocks, self._span]),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`state` gave, bit by bit."""
        self._filled, self._n_blocks, self._span = (int(n) for n in state['counters'])
        self._buffer[: self._filled] = state['buffer']
        edges = np.cumsum([len(columns) for _, columns in self._chunks])[:-1]
        self._before = [np.ascontiguousarray(part) for part in np.split(state['before'], edges, axis=1)]
        self._sums[:] = state['sums']
        self._pairs[:] = state['pairs']


def _fast_length(at_least: int) -> int:
    """Return a power of two or three times one: scipy transforms these twice as fast as other round numbers."""
    power = 1 << max(at_least - 1, 0).bit_length()
    return 3 * power // 4 if power >= 4 and 3 * power // 4 >= at_least else power


def _products(first: NDArray[np.complex64], second: NDArray[np.complex64]) -> NDArray[Any]:
    """Return Σ conj(first)·second over each row."""
    # NumPy has had it since version 2; the sum is the same.
    if hasattr(np, 'vecdot'):
        return np.vecdot(first, second)
    return np.einsum('fc,fc->f', first.conj(), second)
