"""What the correlation of a long run costs: ``python -m tests.benchmarks.vdos``.

Prints one JSON object: CPU seconds and peak memory of gathering the velocity autocorrelation of 512 atoms and 30000
frames while they come, and of its spectrum, in a process of its own; and how many times as long others take, measured
on some atoms in the same run and scaled to all: a loop over atoms and directions of FFTs in plain NumPy, complex ones
or those of real numbers, the direct sum over all pairs of times, and the package tidynamics where it is installed. All
use one thread; the others read their atoms from a trajectory of all of them in memory, which these ways need.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.dynamics.vdos import spectrum
from aiida_mlcc.science.dynamics.velocity_correlation import VelocityCorrelator

_AT_ONCE = 500
_KILOBYTES_OF_A_GIGABYTE = 1e6
TIME_STEP_FS = 1.0
MASS = 12.011


def gather(n_atoms: int, n_frames: int, max_lag: int, seed: int) -> dict[str, Any]:
    """Return the seconds of gathering and transforming, without those of making velocities, and the peak memory."""
    random = np.random.default_rng(seed)
    correlator = VelocityCorrelator(['C'] * n_atoms, np.full(n_atoms, MASS), max_lag)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = 0.0
    for start in range(0, n_frames, _AT_ONCE):
        velocities = random.standard_normal((min(_AT_ONCE, n_frames - start), n_atoms, 3))
        started = time.process_time()
        for step in velocities:
            correlator.add(step)
        seconds += time.process_time() - started
    started = time.process_time()
    found, _ = correlator.result()
    spectrum(found, {'C': n_atoms}, TIME_STEP_FS)
    seconds += time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        'seconds': seconds,
        'peak_memory_gb': peak / _KILOBYTES_OF_A_GIGABYTE,
        'peak_memory_before_gb': before / _KILOBYTES_OF_A_GIGABYTE,
    }


def streaming(velocities: NDArray[np.float64], max_lag: int) -> NDArray[np.float64]:
    """Return the correlation as the package has it."""
    n_atoms = velocities.shape[1]
    correlator = VelocityCorrelator(['C'] * n_atoms, np.ones(n_atoms), max_lag)
    for step in velocities:
        correlator.add(step)
    return correlator.result()[0]['C'].sum(axis=0)


def real_fft_loop(velocities: NDArray[np.float64], max_lag: int) -> NDArray[np.float64]:
    """Return the correlation by one FFT for each atom and direction, and one back."""
    n_frames, n_atoms, _ = velocities.shape
    total = np.zeros(max_lag + 1)
    for atom in range(n_atoms):
        for axis in range(3):
            transformed = np.fft.rfft(velocities[:, atom, axis].astype(float), n=2 * n_frames)
            total += np.fft.irfft(np.abs(transformed) ** 2)[: max_lag + 1]
    return total / (n_frames - np.arange(max_lag + 1))


def complex_fft_loop(velocities: NDArray[np.float64], max_lag: int) -> NDArray[np.float64]:
    """Return the same by complex transforms, as one writes it down first."""
    n_frames, n_atoms, _ = velocities.shape
    total = np.zeros(max_lag + 1)
    for atom in range(n_atoms):
        for axis in range(3):
            transformed = np.fft.fft(velocities[:, atom, axis].astype(float), n=2 * n_frames)
            total += np.fft.ifft(np.abs(transformed) ** 2)[: max_lag + 1].real
    return total / (n_frames - np.arange(max_lag + 1))


def direct(velocities: NDArray[np.float64], max_lag: int) -> NDArray[np.float64]:
    """Return the correlation as a sum over all pairs of times."""
    n_frames = len(velocities)
    flat = np.ascontiguousarray(velocities.reshape(n_frames, -1).T, dtype=float)
    total = [np.vdot(flat[:, lag:], flat[:, : n_frames - lag]) for lag in range(max_lag + 1)]
    return np.array(total) / (n_frames - np.arange(max_lag + 1))


def tidynamics_acf(velocities: NDArray[np.float64], max_lag: int) -> NDArray[np.float64]:
    """Return the correlation by the package tidynamics, atom by atom."""
    import tidynamics

    return sum(tidynamics.acf(velocities[:, atom].astype(float))[: max_lag + 1] for atom in range(velocities.shape[1]))


def compare(
    n_atoms: int, n_frames: int, max_lag: int, n_some: int, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the seconds an atom of every other way, and how far its result is from ours, relative to lag 0."""
    trajectory = np.random.default_rng(seed).standard_normal((n_frames, n_atoms, 3), dtype=np.float32)
    velocities = trajectory[:, :n_some]
    ours = streaming(velocities, max_lag)
    ways: dict[str, Callable[..., NDArray[np.float64]]] = {
        'complex_fft_loop': complex_fft_loop,
        'real_fft_loop': real_fft_loop,
        'direct': direct,
    }
    if find_spec('tidynamics') is not None:
        ways['tidynamics'] = tidynamics_acf
    seconds, differences = {}, {}
    for name, way in ways.items():
        started = time.process_time()
        found = way(velocities, max_lag)
        seconds[name] = (time.process_time() - started) / n_some
        differences[name] = float(np.abs(found - ours).max() / ours[0])
    return seconds, differences


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--atoms', type=int, default=512)
    parser.add_argument('--frames', type=int, default=30000)
    parser.add_argument('--max-lag', type=int, default=1500, help='in frames')
    parser.add_argument('--some-atoms', type=int, default=8, help='on which the others are measured')
    parser.add_argument('--seed', type=int, default=5192)
    parser.add_argument('--gather', action='store_true', help='only the package itself, in this process')
    options = parser.parse_args()
    if options.gather:
        print(json.dumps(gather(options.atoms, options.frames, options.max_lag, options.seed)))
        return
    size = [f'--{name}={getattr(options, name.replace("-", "_"))}' for name in ('atoms', 'frames', 'max-lag', 'seed')]
    command = [sys.executable, '-m', 'tests.benchmarks.vdos', '--gather', *size]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    ours = json.loads(done.stdout)
    an_atom, differences = compare(options.atoms, options.frames, options.max_lag, options.some_atoms, options.seed)
    result = {
        'benchmark': 'vdos',
        'n_atoms': options.atoms,
        'n_frames': options.frames,
        'max_lag': options.max_lag,
        'n_atoms_of_the_others': options.some_atoms,
        **ours,
        'seconds_of_the_others': {name: value * options.atoms for name, value in an_atom.items()},
        'ratios': {name: value * options.atoms / ours['seconds'] for name, value in an_atom.items()},
        'largest_difference': differences,
    }
    print(json.dumps(result))


if __name__ == '__main__':
    main()
