"""Files with energies as groups publish them, made by hand with every hazard that was met."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk

from aiida_mlcc.science.labels.snapshots import Snapshots

N_FRAMES = 6


def crystal() -> Atoms:
    """Return the conventional cell of LiH."""
    return bulk('LiH', 'rocksalt', a=4.0, cubic=True)


def structures(n_frames: int = N_FRAMES, amplitude: float = 0.05, seed: int = 0) -> Snapshots:
    """Return frames of LiH with atoms off their sites by independent random numbers."""
    atoms = crystal()
    moves = np.random.default_rng(seed).normal(scale=amplitude, size=(n_frames, len(atoms), 3))
    cells = np.array([atoms.cell.array] * n_frames)
    return Snapshots(tuple(atoms.get_chemical_symbols()), cells, atoms.positions + moves)


def forces_of(frames: Snapshots, seed: int = 1) -> np.ndarray:
    """Return forces of some method."""
    return np.random.default_rng(seed).normal(size=frames.positions.shape).round(6)


def write(
    path: Path,
    frames: Snapshots,
    energies: Sequence[object] | None,
    forces: np.ndarray | None = None,
    key: str = 'energy',
) -> Path:
    """Write frames with the text of each energy as given, None for no entry; gzipped where the name ends in .gz."""
    text = ''
    for frame in range(frames.n_frames):
        lattice = ' '.join(map(str, frames.cells[frame].ravel()))
        energy = None if energies is None else energies[frame]
        # As in the published files, an entry follows that an empty energy could swallow.
        entries = ['' if energy is None else f'{key}={energy}', f'Lattice="{lattice}"', 'pbc="T T T"']
        columns = 'species:S:1:pos:R:3' + ('' if forces is None else ':forces:R:3')
        text += f'{frames.n_atoms}\nProperties={columns} {" ".join(entries)}\n'
        for atom, symbol in enumerate(frames.symbols):
            numbers = [*frames.positions[frame, atom], *([] if forces is None else forces[frame, atom])]
            text += f'{symbol} {" ".join(f"{number:.8f}" for number in numbers)}\n'
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == '.gz' else text.encode())
    return path
