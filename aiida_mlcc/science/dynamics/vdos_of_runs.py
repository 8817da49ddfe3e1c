"""The spectrum of one member from its trajectories, beside that of the harmonic crystal, and how well it is sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.dynamics.vdos import (
    FS_TO_CM,
    VibrationalSpectrum,
    counts_at_rest,
    resolution_cm1,
    spectrum,
    transform,
)
from aiida_mlcc.science.dynamics.vdos_peaks import PeakCurves
from aiida_mlcc.science.dynamics.vdos_sampling import Sampling, sampling_of, sampling_sd, single_sample_variance
from aiida_mlcc.science.phonons.commensurate import NormalModes

PADDING = 4

LARGEST_RESIDUAL_FORCE = 0.01
"""eV/Å. What remains on an atom at rest moves it by u = F/Φ₂, and a cubic potential then shifts a frequency by about
½·(Φ₃/Φ₂)·u. With the smallest usual stiffness, 5 eV/Å², and Φ₃/Φ₂ = 4/Å this force gives 0.4 %, as much as the
anharmonicity that peaks are to show. A relaxed crystal has a hundredth of it."""

_ROOM_ABOVE = 1.1
"""How far a spectrum reaches above the highest harmonic mode, besides two resolutions."""


class RunDescription(TypedDict):
    """What a molecular-dynamics job says of the autocorrelations that it wrote."""

    n_atoms: int
    counts: dict[str, int]
    elements: list[str]
    time_step_fs: float
    integrator_step_fs: float
    n_steps: int
    steps_of_a_block: int
    seed: int
    mean_temperature_K: float | None
    energy_drift_mev_per_atom_ps: float | None
    harmonic_elements: NotRequired[list[str]]
    residual_force_eV_A: NotRequired[float]
    no_harmonic_modes_because: NotRequired[str]


class TrajectorySampling(TypedDict):
    """How well a trajectory samples its spectrum."""

    member: str
    seed: int
    time_ps: float
    n_recorded: int
    block_ps: float
    n_blocks: int
    n_independent_blocks: float
    correlation_time_ps: float | None
    correlation_time_is_a_lower_bound: bool
    mean_temperature_K: float | None
    energy_drift_mev_per_atom_ps: float | None
    residual_force_eV_A: NotRequired[float | None]
    no_harmonic_modes_because: NotRequired[str | None]
    n_imaginary_modes: NotRequired[int | None]


class SpectrumSampling(TypedDict, total=False):
    """How well the trajectories of a method sample its spectrum, by their names and together."""

    runs: dict[str, TrajectorySampling]
    n_independent_blocks: float
    modes_per_primitive_cell: float
    share_of_modes_cut_off: float | None
    no_peaks_because: str | None


@dataclass(frozen=True)
class Run:
    """What a molecular-dynamics job wrote: see :mod:`aiida_mlcc.runtime.tasks.md`.

    :param arrays: ``time_fs``, ``blocks``, ``vacf_SYMBOL_xyz``, and ``harmonic_…`` where there are harmonic modes.
    :param description: ``n_atoms``, ``elements``, ``integrator_step_fs``, ``steps_of_a_block`` and more.
    """

    arrays: Mapping[str, NDArray[Any]]
    description: RunDescription

    @property
    def spacing_fs(self) -> float:
        """Time between lags, fs."""
        return float(self.description['time_step_fs'])

    @property
    def step_fs(self) -> float:
        """Time step of the integrator, fs."""
        return float(self.description['integrator_step_fs'])

    @property
    def longest_lag_fs(self) -> float:
        """The longest lag, fs."""
        return float(self.arrays['time_fs'][-1])

    @property
    def modes(self) -> NormalModes | None:
        """The harmonic modes of the same supercell, if they were computed."""
        if 'harmonic_weights' not in self.arrays:
            return None
        elements = tuple(self.description['harmonic_elements'])
        return NormalModes(self.arrays['harmonic_frequencies_cm1'], elements, self.arrays['harmonic_weights'])

    @property
    def residual_force(self) -> float | None:
        """The largest force on the crystal whose harmonic modes these are, eV/Å."""
        return self.description.get('residual_force_eV_A')


@dataclass(frozen=True)
class MemberSpectrum:
    """The spectrum of one member.

    :param found: from dynamics, and `harmonic` with the same window, modes per cm⁻¹ of a primitive cell.
    :param sd: of `found` because of its finite sampling, shape (n_frequencies,).
    :param sampling: of each run.
    :param peaks: what peaks are to be found in, where there is a harmonic spectrum.
    """

    found: VibrationalSpectrum
    harmonic: VibrationalSpectrum | None
    sd: NDArray[np.float64]
    sampling: tuple[Sampling, ...]
    peaks: PeakCurves | None


def member_spectrum(
    runs: Sequence[Run],
    counts: Mapping[str, int],
    masses: Mapping[str, float],
    window: str,
    highest_cm1: float | None,
) -> MemberSpectrum:
    """Return the spectrum of one member, normalised to the 3N − 3 modes that move: the centre of mass rests.

    The harmonic spectrum lacks the modes that are imaginary, and so does its integral.

    :param runs: of equal length and lag; with different velocities.
    :param counts: element → atoms in the primitive cell.
    :param masses: element → amu.
    :param highest_cm1: where the spectrum ends; None for as far as the records go.
    """
    first = runs[0]
    n_cells = round(first.description['n_atoms'] / sum(counts.values()))
    shares = counts_at_rest(counts, masses, n_cells)
    lag = first.longest_lag_fs

    def spectrum_of(
        correlation: Mapping[str, NDArray[np.float64]], modes_of: Mapping[str, float]
    ) -> VibrationalSpectrum:
        return spectrum(correlation, modes_of, first.spacing_fs, window, highest_cm1, PADDING, first.step_fs)

    found = spectrum_of({s: np.mean([run.arrays[f'vacf_{s}_xyz'] for run in runs], axis=0) for s in counts}, shares)
    modes = next((run.modes for run in runs if run.modes is not None), None)
    harmonic = None
    if modes is not None and min((real := modes.real_shares()).values()) > 0:
        of_modes = modes.correlation(first.arrays['time_fs'], first.step_fs)
        harmonic = spectrum_of(of_modes, {s: shares[s] * real[s] for s in counts})
    # The expected spectrum, where it is known, is a better measure of what energies scatter than the one found.
    expected = harmonic if harmonic is not None and modes is not None and not modes.n_imaginary else found
    variance = single_sample_variance(expected.total, n_cells, window, lag)
    blocks = [_block_spectra(run, shares, window, highest_cm1) for run in runs]
    sampling = tuple(
        sampling_of(of_run, variance, 1e-3 * run.spacing_fs * run.description['steps_of_a_block'])
        for run, of_run in zip(runs, blocks, strict=True)
    )
    peaks = None
    if modes is not None and harmonic is not None:
        n_independent = sum(run.n_independent for run in sampling)
        oscillating = modes.frequencies_cm1[modes.frequencies_cm1 >= 0]
        peaks = PeakCurves(harmonic.total, found.total, np.concatenate(blocks), oscillating, n_independent, n_cells)
    return MemberSpectrum(found, harmonic, sampling_sd(variance, sampling), sampling, peaks)


def reach_of_modes(runs: Sequence[Run], window: str) -> float | None:
    """Return where a spectrum may end that shows all harmonic modes of these runs, cm⁻¹; None where none are known."""
    highest = [run.modes.highest_cm1 for run in runs if run.modes is not None]
    if not highest:
        return None
    return _ROOM_ABOVE * max(highest) + 2 * resolution_cm1(window, runs[0].longest_lag_fs)


def no_peaks(runs: Sequence[Run]) -> str | None:
    """Return why peaks are not to be compared with the harmonic ones, in a sentence, or None.

    The harmonic modes are those of the structure as it was given: where that is not at rest, of another crystal.
    """
    largest = max((run.residual_force or 0.0 for run in runs), default=0.0)
    if largest <= LARGEST_RESIDUAL_FORCE:
        return None
    return (
        f'the harmonic modes are of a structure with forces of up to {largest:.2g} eV/Å, more than '
        f'{LARGEST_RESIDUAL_FORCE:g}: relax it first, or a shift is not anharmonicity'
    )


def _block_spectra(
    run: Run, shares: Mapping[str, float], window: str, highest_cm1: float | None
) -> NDArray[np.float64]:
    """Return the total spectrum of each block, shape (n_blocks, n_frequencies)."""
    blocks = run.arrays['blocks']
    elements = run.description['elements']
    scales = np.array([3 * shares[s] / run.arrays[f'vacf_{s}_xyz'][:, 0].sum() for s in elements])
    together = np.einsum('e,bel->bl', scales, blocks)
    return transform(together, run.spacing_fs, window, highest_cm1, PADDING, run.step_fs)[1]


def resolution_of_lag(lag_fs: float) -> float:
    """Return the resolution that a longest lag gives, 1/(c·lag), cm⁻¹."""
    return 1 / (lag_fs * FS_TO_CM)
