"""The spectrum of one member from its trajectories, beside that of the harmonic crystal, and how well it is sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.commensurate import NormalModes
from aiida_mlcc.science.vdos import FS_TO_CM, VibrationalSpectrum, counts_at_rest, spectrum, transform
from aiida_mlcc.science.vdos_peaks import PeakCurves
from aiida_mlcc.science.vdos_sampling import Sampling, sampling_of, sampling_sd, single_sample_variance

PADDING = 4


@dataclass(frozen=True)
class Run:
    """What a molecular-dynamics job wrote: see :mod:`aiida_mlcc.runtime.md`.

    :param arrays: ``time_fs``, ``blocks``, ``vacf_SYMBOL_xyz``, and ``harmonic_…`` where there are harmonic modes.
    :param description: ``n_atoms``, ``elements``, ``integrator_step_fs``, ``steps_of_a_block`` and more.
    """

    arrays: Mapping[str, NDArray[Any]]
    description: Mapping[str, Any]

    @property
    def spacing_fs(self) -> float:
        return float(self.description['time_step_fs'])

    @property
    def step_fs(self) -> float:
        return float(self.description['integrator_step_fs'])

    @property
    def longest_lag_fs(self) -> float:
        return float(self.arrays['time_fs'][-1])

    @property
    def modes(self) -> NormalModes | None:
        """The harmonic modes of the same supercell, if they were computed."""
        if 'harmonic_weights' not in self.arrays:
            return None
        elements = tuple(self.description['harmonic_elements'])
        return NormalModes(self.arrays['harmonic_frequencies_cm1'], elements, self.arrays['harmonic_weights'])


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
    runs: Sequence[Run], counts: Mapping[str, int], masses: Mapping[str, float], window: str, highest_cm1: float
) -> MemberSpectrum:
    """Return the spectrum of one member, normalised to the 3N − 3 modes that move: the centre of mass rests.

    :param runs: of equal length and lag; with different velocities.
    :param counts: element → atoms in the primitive cell.
    :param masses: element → amu.
    """
    first = runs[0]
    n_cells = round(first.description['n_atoms'] / sum(counts.values()))
    shares = counts_at_rest(counts, masses, n_cells)
    lag = first.longest_lag_fs

    def spectrum_of(correlation: Mapping[str, NDArray[np.float64]]) -> VibrationalSpectrum:
        return spectrum(correlation, shares, first.spacing_fs, window, highest_cm1, PADDING, first.step_fs)

    found = spectrum_of({s: np.mean([run.arrays[f'vacf_{s}_xyz'] for run in runs], axis=0) for s in counts})
    modes = first.modes
    harmonic = None if modes is None else spectrum_of(modes.correlation(first.arrays['time_fs'], first.step_fs))
    # The expected spectrum, where it is known, is a better measure of what energies scatter than the one found.
    variance = single_sample_variance((harmonic or found).total, n_cells, window, lag)
    blocks = [_block_spectra(run, shares, window, highest_cm1) for run in runs]
    sampling = tuple(
        sampling_of(of_run, variance, 1e-3 * run.spacing_fs * run.description['steps_of_a_block'])
        for run, of_run in zip(runs, blocks, strict=True)
    )
    peaks = None
    if modes is not None and harmonic is not None:
        n_independent = sum(run.n_independent for run in sampling)
        real = modes.frequencies_cm1[modes.frequencies_cm1 >= 0]
        peaks = PeakCurves(harmonic.total, found.total, np.concatenate(blocks), real, n_independent, n_cells)
    return MemberSpectrum(found, harmonic, sampling_sd(variance, sampling), sampling, peaks)


def _block_spectra(run: Run, shares: Mapping[str, float], window: str, highest_cm1: float) -> NDArray[np.float64]:
    """Return the total spectrum of each block, shape (n_blocks, n_frequencies)."""
    blocks = run.arrays['blocks']
    elements = run.description['elements']
    scales = np.array([3 * shares[s] / run.arrays[f'vacf_{s}_xyz'][:, 0].sum() for s in elements])
    together = np.einsum('e,bel->bl', scales, blocks)
    return transform(together, run.spacing_fs, window, highest_cm1, PADDING, run.step_fs)[1]


def resolution_of_lag(lag_fs: float) -> float:
    """Return the resolution that a longest lag gives, 1/(c·lag), cm⁻¹."""
    return 1 / (lag_fs * FS_TO_CM)
