"""What a molecular-dynamics run must remember to go on as if it had never stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.json_values import Json
from aiida_mlcc.science.npz import read_npz, write_npz

STATE_FILE = 'md.npz'
_CALCULATOR = 'calculator_'
_CORRELATION = 'correlation_'
_HARMONIC = 'harmonic_'


@dataclass
class Averages:
    """Sums over the recorded part of the run: mean temperature, and the slope of the total energy."""

    n: int = 0
    temperature: float = 0.0
    first_energy: float = 0.0
    t: float = 0.0
    tt: float = 0.0
    e: float = 0.0
    te: float = 0.0

    def add(self, time_ps: float, kelvin: float, total_energy: float) -> None:
        """Take in one step; `total_energy` in eV per cell."""
        if not self.n:
            self.first_energy = total_energy
        change = total_energy - self.first_energy
        self.n += 1
        self.temperature += kelvin
        self.t += time_ps
        self.tt += time_ps * time_ps
        self.e += change
        self.te += time_ps * change

    @property
    def mean_temperature(self) -> float | None:
        """K."""
        return self.temperature / self.n if self.n else None

    @property
    def energy_slope(self) -> float | None:
        """eV per cell and ps, by least squares."""
        spread = self.n * self.tt - self.t**2
        return (self.n * self.te - self.t * self.e) / spread if self.n > 1 and spread > 0 else None


@dataclass
class MDState:
    """Everything the next step depends on, in ASE's units.

    The forces and the state of the random numbers are among it: a resumed run computes nothing twice.

    :param last_frames: of the last steps, equilibration included, oldest first: number of the step, energy, positions
        and forces, shape (n_frames, 2 + 6·n_atoms).
    :param harmonic: the normal modes of the start, where they are known.
    """

    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    forces: NDArray[np.float64]
    energy: float
    random: Json
    step: int = 0
    n_recorded: int = 0
    averages: Averages = field(default_factory=Averages)
    calculator: dict[str, NDArray[Any]] = field(default_factory=dict)
    correlation: dict[str, NDArray[Any]] = field(default_factory=dict)
    last_frames: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    harmonic: dict[str, NDArray[Any]] = field(default_factory=dict)

    def write(self, folder: Path, identity: str) -> None:
        """Write the checkpoint, atomically."""
        arrays = {'positions': self.positions, 'velocities': self.velocities, 'forces': self.forces}
        arrays['last_frames'] = self.last_frames
        arrays |= {f'{_CALCULATOR}{name}': array for name, array in self.calculator.items()}
        arrays |= {f'{_CORRELATION}{name}': array for name, array in self.correlation.items()}
        arrays |= {f'{_HARMONIC}{name}': array for name, array in self.harmonic.items()}
        description = {
            'identity': identity,
            'energy': self.energy,
            'random': self.random,
            'step': self.step,
            'n_recorded': self.n_recorded,
            'averages': vars(self.averages),
        }
        write_npz(folder / STATE_FILE, arrays, description)

    @classmethod
    def read(cls, path: Path, identity: str) -> MDState | None:
        """Return the checkpoint in a file; None where it is another run's."""
        arrays, description = read_npz(path)
        if description['identity'] != identity:
            return None
        return cls(
            positions=arrays['positions'],
            velocities=arrays['velocities'],
            forces=arrays['forces'],
            energy=description['energy'],
            random=description['random'],
            step=description['step'],
            n_recorded=description['n_recorded'],
            averages=Averages(**description['averages']),
            calculator=_with_prefix(arrays, _CALCULATOR),
            correlation=_with_prefix(arrays, _CORRELATION),
            last_frames=arrays.get('last_frames', np.empty((0, 0))),
            harmonic=_with_prefix(arrays, _HARMONIC),
        )


def _with_prefix(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


class Recording:
    """Records of equal size in a raw file that only grows: a step appends its own and rewrites nothing.

    :param n_kept: records that the checkpoint knows of. What a killed job wrote after it is cut off.
    """

    def __init__(self, path: Path, n_numbers: int, dtype: str, n_kept: int) -> None:
        self.path = path
        self.n_numbers = n_numbers
        self.dtype = np.dtype(dtype)
        path.touch()
        if path.stat().st_size < n_kept * self._size:
            raise OSError(f'{path.name} is shorter than its checkpoint says: the checkpoint was not copied whole')
        os.truncate(path, n_kept * self._size)
        self._stream = open(path, 'ab')  # noqa: SIM115

    @staticmethod
    def holds(path: Path, n_numbers: int, dtype: str, n_kept: int) -> bool:
        """Tell whether a file has as many records as the checkpoint knows of."""
        return (path.stat().st_size if path.exists() else 0) >= n_kept * n_numbers * np.dtype(dtype).itemsize

    @property
    def _size(self) -> int:
        return self.n_numbers * self.dtype.itemsize

    def append(self, numbers: NDArray[np.float64]) -> None:
        """Append one record."""
        self._stream.write(np.ascontiguousarray(numbers, dtype=self.dtype).tobytes())

    def flush(self) -> None:
        """Bring all records to the disk, before a checkpoint counts on them."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def read(self) -> NDArray[Any]:
        """Return all records as a memory map, shape (n_records, n_numbers)."""
        self._stream.flush()
        n_records = self.path.stat().st_size // self._size
        if not n_records:
            return np.empty((0, self.n_numbers), dtype=self.dtype)
        return np.memmap(self.path, dtype=self.dtype, mode='r', shape=(n_records, self.n_numbers))
