"""Vibrational density of states from the velocity autocorrelation of a molecular dynamics run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants, fft

_FLOATS_AT_ONCE = 8_000_000
WINDOWS = ('hann', 'none')


@dataclass(frozen=True)
class VibrationalSpectrum:
    """Modes per cm⁻¹: `total` and each of `elements` on `frequencies_cm1`, all of shape (n_frequencies,).

    :param resolution_cm1: full width at half maximum of a single sharp mode.
    """

    frequencies_cm1: NDArray[np.float64]
    total: NDArray[np.float64]
    elements: dict[str, NDArray[np.float64]]
    resolution_cm1: float


def velocity_autocorrelation(
    velocities: ArrayLike, masses: ArrayLike, symbols: Sequence[str], max_lag: int
) -> dict[str, NDArray[np.float64]]:
    """Return Σ_i m_i ⟨v_i(t)·v_i(t+τ)⟩ of each element, averaged over all times t, for lags of 0 … `max_lag` steps.

    Computed as power spectra with zero padding (no lag wraps around), a few atoms at a time, so `velocities` may be a
    memory map larger than the memory.

    :param velocities: shape (n_steps, n_atoms, 3), in any unit; masses in amu and Å/fs give amu Å²/fs².
    :param masses: shape (n_atoms,).
    :raises ValueError: where shapes do not fit, or `max_lag` is not shorter than the run.
    """
    recorded = velocities if isinstance(velocities, np.ndarray) else np.asarray(velocities, dtype=float)
    weights = np.asarray(masses, dtype=float)
    if recorded.ndim != 3 or recorded.shape[1:] != (len(symbols), 3) or weights.shape != (len(symbols),):
        raise ValueError(f'velocities {recorded.shape} and masses {weights.shape} do not fit {len(symbols)} atoms')
    n_steps = len(recorded)
    if not 0 <= max_lag < n_steps:
        raise ValueError(f'a run of {n_steps} recorded steps has no lag of {max_lag}')
    length = fft.next_fast_len(n_steps + max_lag + 1, real=True)
    at_once = max(1, _FLOATS_AT_ONCE // (3 * length))
    pairs = n_steps - np.arange(max_lag + 1)
    correlation = {}
    for symbol in dict.fromkeys(symbols):
        members = np.array([number for number, other in enumerate(symbols) if other == symbol])
        power = np.zeros(length // 2 + 1)
        for start in range(0, len(members), at_once):
            chosen = members[start : start + at_once]
            moving = np.asarray(recorded[:, chosen], dtype=float) * np.sqrt(weights[chosen])[:, None]
            transformed = fft.rfft(moving.reshape(n_steps, -1), n=length, axis=0)
            power += np.sum(transformed.real**2 + transformed.imag**2, axis=1)
        correlation[symbol] = fft.irfft(power, n=length)[: max_lag + 1] / pairs
    return correlation


def spectrum(
    correlation: Mapping[str, ArrayLike],
    counts: Mapping[str, int],
    time_step_fs: float,
    window: str = 'hann',
    max_frequency_cm1: float | None = None,
    padding: int = 4,
) -> VibrationalSpectrum:
    """Return the spectrum of velocity autocorrelations, normalised to 3 modes per atom.

    Each element is normalised by its own value at lag 0, so that 3·`counts` modes of it remain however unevenly a
    finite run has shared its kinetic energy. A run with its centre of mass at rest has three modes fewer; they are
    not subtracted, and all others weigh a little more for it.

    :param correlation: element → values at lags 0, 1, … recorded steps, any unit, all of one length.
    :param counts: element → number of its atoms; those of one primitive cell give the spectrum of that cell.
    :param time_step_fs: between lags, fs. Modes above 1/(2·time step) fold back: record often enough.
    :param window: ``hann`` (cos², width 1/longest lag, no ringing) or ``none``.
    :param max_frequency_cm1: where to cut the spectrum; default none.
    :param padding: how much finer than the longest lag the frequencies lie.
    :raises ValueError: for an unknown window, one lag only, or elements that do not fit.
    """
    if window not in WINDOWS:
        raise ValueError(f'unknown window {window!r}: choose from {", ".join(WINDOWS)}')
    values = {symbol: np.asarray(series, dtype=float) for symbol, series in correlation.items()}
    lengths = {len(series) for series in values.values()}
    if set(values) != set(counts) or len(lengths) != 1 or min(lengths) < 2:
        raise ValueError('every element needs a count and a correlation, all of one length of two lags or more')
    if padding < 1 or not time_step_fs > 0:
        raise ValueError('padding is 1 or more, and the time step is positive')
    longest = lengths.pop() - 1
    lags = np.arange(longest + 1)
    weights = np.cos(0.5 * np.pi * lags / longest) ** 2 if window == 'hann' else np.ones(longest + 1)
    size = 2 * fft.next_fast_len(padding * longest, real=True)
    cm1 = 1 / (time_step_fs * constants.femto * constants.c * 100)
    points = np.arange(size // 2 + 1) * cm1 / size
    keep = slice(None) if max_frequency_cm1 is None else points <= max_frequency_cm1

    elements = {}
    for symbol, series in values.items():
        if not series[0] > 0:
            raise ValueError(f'{symbol} does not move: its autocorrelation at lag 0 is {series[0]}')
        even = np.zeros(size)
        even[: longest + 1] = weights * series / series[0]
        # The correlation is even in time: the negative lags follow from the end.
        even[size - longest :] = even[longest:0:-1]
        # The trapezoid rule over all frequencies returns lag 0: one, of which 0 … Nyquist is one half.
        elements[symbol] = (2 * 3 * counts[symbol] / cm1 * fft.rfft(even).real)[keep]
    total = np.sum(list(elements.values()), axis=0)
    return VibrationalSpectrum(points[keep], total, elements, _resolution(window, longest) * cm1)


def _resolution(window: str, longest: int) -> float:
    """Full width at half maximum of a cosine's line, in units of 1/time step."""
    # Hann over −T … T: the main lobe falls to one half at ±1/(2T). Without a window: sin(x)/x = ½ at x = 1.8955.
    return (1.0 if window == 'hann' else 1.895494267033981 / np.pi) / longest
