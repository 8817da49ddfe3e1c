"""Vibrational density of states from the velocity autocorrelation (VACF) of a dynamics, in total and
projected on each element."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants, fft
from scipy.interpolate import CubicSpline

WINDOWS = ('hann', 'none')
DIRECTIONS = ('x', 'y', 'z')

FS_TO_CM = constants.femto * constants.c * 100
"""Centimetres that light goes in a femtosecond: a frequency in cm⁻¹, times it and a time in fs, is a number."""


@dataclass(frozen=True)
class VibrationalSpectrum:
    """Modes per cm⁻¹: `total`, each of `elements` and `directions` on `frequencies_cm1`, of shape (n_frequencies,).

    :param resolution_cm1: full width at half maximum of a single sharp mode.
    :param directions: ``x``, ``y``, ``z``; empty where the correlation does not tell them apart.
    """

    frequencies_cm1: NDArray[np.float64]
    total: NDArray[np.float64]
    elements: dict[str, NDArray[np.float64]]
    resolution_cm1: float
    directions: dict[str, NDArray[np.float64]] = field(default_factory=dict)


def spectrum(
    correlation: Mapping[str, ArrayLike],
    counts: Mapping[str, float],
    time_step_fs: float,
    window: str = 'hann',
    max_frequency_cm1: float | None = None,
    padding: int = 4,
    integrator_step_fs: float | None = None,
) -> VibrationalSpectrum:
    """Return the spectrum of velocity autocorrelations, normalised to 3 modes per atom.

    Each element is normalised by its own value at lag 0, so that 3·`counts` modes of it remain however unevenly a
    finite run has shared its kinetic energy. For a run with its centre of mass at rest see :func:`counts_at_rest`.

    :param correlation: element → values at lags 0, 1, … recorded steps, any unit, all of one length; or of each
        direction, shape (3, n_lags).
    :param counts: element → number of its atoms; those of one primitive cell give the spectrum of that cell.
    :param time_step_fs: between lags, fs. Modes above 1/(2·time step) fold back: record often enough.
    :param window: ``hann`` (cos², width 1/longest lag, no ringing) or ``none``.
    :param max_frequency_cm1: where to cut the spectrum; default none.
    :param padding: how much finer than the longest lag the frequencies lie.
    :param integrator_step_fs: of velocity Verlet, fs: its frequencies, too high by about ω²h²/24, are set right.
    :raises ValueError: for an unknown window, one lag only, or elements that do not fit.
    """
    values = {symbol: np.atleast_2d(np.asarray(series, dtype=float)) for symbol, series in correlation.items()}
    shapes = {series.shape for series in values.values()}
    if set(values) != set(counts) or len(shapes) != 1 or min(shapes)[1] < 2:
        raise ValueError('every element needs a count and a correlation, all of one length of two lags or more')
    scaled = []
    for symbol, series in values.items():
        at_zero = series[:, 0].sum()
        if not at_zero > 0:
            raise ValueError(f'{symbol} does not move: its autocorrelation at lag 0 is {at_zero}')
        scaled.append(3 * counts[symbol] / at_zero * series)
    points, parts = transform(np.array(scaled), time_step_fs, window, max_frequency_cm1, padding, integrator_step_fs)
    by_direction = parts.sum(axis=0)
    return VibrationalSpectrum(
        points,
        by_direction.sum(axis=0),
        dict(zip(values, parts.sum(axis=1), strict=True)),
        resolution_cm1(window, (min(shapes)[1] - 1) * time_step_fs),
        dict(zip(DIRECTIONS, by_direction, strict=True)) if len(by_direction) == len(DIRECTIONS) else {},
    )


def transform(
    correlation: NDArray[np.float64],
    time_step_fs: float,
    window: str = 'hann',
    max_frequency_cm1: float | None = None,
    padding: int = 4,
    integrator_step_fs: float | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return frequencies (cm⁻¹) and the cosine transform of `correlation` along its last axis, as in :func:`spectrum`.

    What is 1 at lag 0 has an integral of 1 over all frequencies.
    """
    if window not in WINDOWS:
        raise ValueError(f'unknown window {window!r}: choose from {", ".join(WINDOWS)}')
    if padding < 1 or not time_step_fs > 0:
        raise ValueError('padding is 1 or more, and the time step is positive')
    longest = correlation.shape[-1] - 1
    lags = np.arange(longest + 1)
    weights = np.cos(0.5 * np.pi * lags / longest) ** 2 if window == 'hann' else np.ones(longest + 1)
    size = 2 * fft.next_fast_len(padding * longest, real=True)
    even = np.zeros((*correlation.shape[:-1], size))
    even[..., : longest + 1] = weights * correlation
    # The correlation is even in time: the negative lags follow from the end.
    even[..., size - longest :] = even[..., longest:0:-1]
    cm1 = 1 / (time_step_fs * FS_TO_CM)
    points = np.arange(size // 2 + 1) * cm1 / size
    # The trapezoid rule over all frequencies returns lag 0: one, of which 0 … Nyquist is one half.
    found = 2 / cm1 * fft.rfft(even).real
    if max_frequency_cm1 is None or max_frequency_cm1 > points[-1]:
        max_frequency_cm1 = points[-1]
    if integrator_step_fs is None:
        keep = points <= max_frequency_cm1
        return points[keep], found[..., keep]
    true = true_frequencies(points, integrator_step_fs)
    kept = points[(points <= max_frequency_cm1) & (points < true[-1])]
    shown = verlet_frequencies(kept, integrator_step_fs)
    slope = 1 / np.sqrt(1 - (np.pi * kept * FS_TO_CM * integrator_step_fs) ** 2)
    return kept, CubicSpline(points, found, axis=-1)(shown) * slope


def counts_at_rest(counts: Mapping[str, int], masses: Mapping[str, float], n_cells: int) -> dict[str, float]:
    """Return a third of the modes of each element where the centre of mass rests: 3N − 3 in all.

    The three modes that rest are shared by mass.

    :param counts: element → atoms of a primitive cell, of which the crystal has `n_cells`.
    :param masses: element → mass.
    """
    total = sum(masses[symbol] * number for symbol, number in counts.items())
    return {symbol: number * (1 - masses[symbol] / total / n_cells) for symbol, number in counts.items()}


def verlet_frequencies(frequencies_cm1: ArrayLike, step_fs: float) -> NDArray[np.float64]:
    """Return at which frequency velocity Verlet shows a harmonic mode: sin(ω'h/2) = ωh/2.

    :raises ValueError: for a mode that this step cannot follow.
    """
    half_phases = np.pi * np.asarray(frequencies_cm1, dtype=float) * FS_TO_CM * step_fs
    if np.any(np.abs(half_phases) >= 1):
        raise ValueError(f'a time step of {step_fs:g} fs is too long for a mode of {np.max(frequencies_cm1):.0f} cm⁻¹')
    shown: NDArray[np.float64] = np.arcsin(half_phases) / (np.pi * FS_TO_CM * step_fs)
    return shown


def true_frequencies(frequencies_cm1: ArrayLike, step_fs: float) -> NDArray[np.float64]:
    """Return the frequencies of harmonic modes that velocity Verlet shows at `frequencies_cm1`."""
    half_phases = np.pi * np.asarray(frequencies_cm1, dtype=float) * FS_TO_CM * step_fs
    true: NDArray[np.float64] = np.sin(np.minimum(half_phases, np.pi / 2)) / (np.pi * FS_TO_CM * step_fs)
    return true


def folding(highest_mode_cm1: float, record_every: int, step_fs: float) -> str | None:
    """Return why records so rare show a harmonic mode where there is none, in a sentence, or None.

    :param step_fs: of velocity Verlet, of which every `record_every`-th is recorded. A mode that it cannot follow
        folds nowhere: its dynamics blows up.
    """
    recorded = 1 / (2 * record_every * step_fs * FS_TO_CM)
    if highest_mode_cm1 <= 0 or highest_mode_cm1 * np.pi * FS_TO_CM * step_fs >= 1:
        return None
    shown = float(verlet_frequencies(highest_mode_cm1, step_fs))
    if shown <= recorded:
        return None
    return (
        f'the highest harmonic mode is {highest_mode_cm1:.0f} cm⁻¹, but recording every {record_every} steps of '
        f'{step_fs:g} fs shows modes up to {recorded:.0f} cm⁻¹ and folds the others back: take '
        f'{int(1 / (2 * step_fs * FS_TO_CM * shown))} for `record_every`'
    )


def resolution_cm1(window: str, longest_lag_fs: float) -> float:
    """Return the full width at half maximum (cm⁻¹) of a single sharp mode: about 1/(c·longest lag)."""
    # Hann over −T … T: the main lobe falls to one half at ±1/(2T). Without a window: sin(x)/x = ½ at x = 1.8955.
    return (1.0 if window == 'hann' else 1.895494267033981 / np.pi) / (longest_lag_fs * FS_TO_CM)


def line_shape(offsets_cm1: ArrayLike, window: str, longest_lag_fs: float) -> NDArray[np.float64]:
    """Return the line of a single sharp mode (1/(cm⁻¹), integral 1) at these distances from it."""
    reach = longest_lag_fs * FS_TO_CM
    phases = 2 * reach * np.asarray(offsets_cm1, dtype=float)
    if window == 'none':
        plain: NDArray[np.float64] = 2 * reach * np.sinc(phases)
        return plain
    line: NDArray[np.float64] = reach * (np.sinc(phases) + 0.5 * np.sinc(phases - 1) + 0.5 * np.sinc(phases + 1))
    return line


def line_overlap(window: str, longest_lag_fs: float) -> float:
    """Return the integral of the squared line of a single sharp mode, 1/(cm⁻¹): 1/it is how far a mode is smeared."""
    return (0.75 if window == 'hann' else 2.0) * longest_lag_fs * FS_TO_CM
