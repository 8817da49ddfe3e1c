"""The velocity autocorrelation of a molecular-dynamics job: gathered while it runs, written at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import units
from numpy.typing import NDArray

from aiida_mlcc.runtime.md.settings import MD
from aiida_mlcc.runtime.task import JobError
from aiida_mlcc.science.dynamics.velocity_correlation import VelocityCorrelator
from aiida_mlcc.science.npz import write_npz
from aiida_mlcc.science.phonons.commensurate import NormalModes

VACF_FILE = 'vacf.npz'


class VelocityRecord:
    """The correlation of the recorded steps; its memory depends on the longest lag, not on the length of the run.

    :param state: of the same run, from a checkpoint; empty for a new one.
    """

    def __init__(
        self,
        parameters: MD,
        symbols: Sequence[str],
        masses: NDArray[np.float64],
        state: Mapping[str, NDArray[Any]],
    ) -> None:
        n_recorded = parameters.n_steps // parameters.record_every
        if n_recorded < 2:
            raise JobError(
                f'{n_recorded} recorded steps have no autocorrelation: raise n_steps, or record more often than every '
                f'{parameters.record_every} steps'
            )
        lags = (parameters.max_lag_steps or parameters.n_steps // 2) // parameters.record_every
        self.parameters, self.symbols = parameters, symbols
        self.correlator = VelocityCorrelator(symbols, masses, min(max(lags, 1), n_recorded - 1))
        if state:
            self.correlator.restore(state)

    def add(self, velocities: NDArray[np.float64]) -> None:
        """Take in the velocities of one step, in ASE's units."""
        self.correlator.add(velocities * units.fs)

    def write(
        self, folder: Path, description: Mapping[str, object], harmonic: tuple[NormalModes, float] | None
    ) -> None:
        """Write all there is to know for a spectrum, and the harmonic modes of the same supercell, if any.

        :param harmonic: the modes, and the largest force on the crystal at rest (eV/Å).
        """
        found, blocks = self.correlator.result()
        spacing = self.parameters.record_every * self.parameters.step_fs
        lags = np.arange(self.correlator.max_lag + 1)
        arrays = {'time_fs': spacing * lags, 'blocks': blocks}
        for symbol, series in found.items():
            arrays |= {f'vacf_{symbol}': series.sum(axis=0), f'vacf_{symbol}_xyz': series}
        content = {
            **description,
            'n_atoms': len(self.symbols),
            'counts': {symbol: list(self.symbols).count(symbol) for symbol in found},
            'elements': list(found),
            'time_step_fs': spacing,
            'integrator_step_fs': self.parameters.step_fs,
            'n_steps': self.correlator.n_steps,
            'steps_of_a_block': self.correlator.steps_of_a_block,
        }
        if harmonic is not None:
            modes, residual_force = harmonic
            arrays |= {'harmonic_frequencies_cm1': modes.frequencies_cm1, 'harmonic_weights': modes.weights}
            content |= {'harmonic_elements': list(modes.elements), 'residual_force_eV_A': residual_force}
        write_npz(folder / VACF_FILE, arrays, content)
