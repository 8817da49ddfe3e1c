"""One extended XYZ file with the energies of one method, as such files lie about: read in full, its hazards named."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from numpy.typing import NDArray

from aiida_mlcc.science.extxyz import read_content
from aiida_mlcc.science.methods import slug_of
from aiida_mlcc.science.snapshots import Snapshots, SnapshotsError

ENERGY_KEY, FORCES_KEY = 'energy', 'forces'
_ONE_CELL = 1e-6


class DatasetError(ValueError):
    """Files from which no data set can be made."""


@dataclass(frozen=True)
class LabelledFile:
    """The frames of one file.

    :param name: of the file, without folder and without ``.gz``.
    :param sha256: of its content, decompressed: a gzipped copy has the same.
    :param structures: all frames, without labels.
    :param energies: eV per cell, shape (n_frames,), NaN for the frames in `unusable`.
    :param unusable: frame → why it has no energy.
    :param decimals: the most decimals that any energy is written with.
    :param forces: eV/Å, shape (n_frames, n_atoms, 3), NaN where a frame has none; None where no frame has any.
    """

    name: str
    sha256: str
    structures: Snapshots
    energies: NDArray[np.float64]
    unusable: Mapping[int, str]
    decimals: int
    forces: NDArray[np.float64] | None

    @property
    def n_frames(self) -> int:
        return self.structures.n_frames


def read_labelled_file(
    path: Path | str, method: str, energy_key: str | None = None, forces_key: str | None = None
) -> LabelledFile:
    """Read a plain or gzipped extended XYZ file with energies (eV per cell) and, it may be, forces (eV/Å) of `method`.

    An energy that is missing, empty, no number or not finite makes its frame unusable, and nothing else.

    :param energy_key: the entry that holds the energy; by default ``energy_SLUG``, as this package writes, where any
        frame has it, and ``energy`` otherwise.
    :param forces_key: the column that holds the forces; by default the one that goes with the energy.
    :raises DatasetError: for a file that cannot be read or breaks off, one without any energy, and frames of other
        species or cells than the first.
    """
    source = Path(path)
    name = source.name.removesuffix('.gz')
    try:
        content = read_content(source)
        text = content.decode()
    except SnapshotsError as error:
        raise DatasetError(str(error)) from None
    except UnicodeDecodeError:
        raise DatasetError(f'{source} holds no text, so no extended XYZ') from None
    blocks = list(_blocks(name, text.splitlines()))
    if not blocks:
        raise DatasetError(f'{source} is empty')
    own = f'{ENERGY_KEY}_{slug_of(method)}'
    ours = energy_key is None and any(_entry(block[1], own) is not None for block in blocks)
    key = energy_key or (own if ours else ENERGY_KEY)
    column = forces_key or (f'{FORCES_KEY}_{slug_of(method)}' if ours else FORCES_KEY)
    written = [_entry(block[1], key) for block in blocks]
    energies, unusable = _energies(written)
    if len(unusable) == len(blocks):
        raise DatasetError(_without_energies(name, key, blocks[0][1], unusable))
    images = [_image(name, frame, block) for frame, block in enumerate(blocks)]
    return LabelledFile(
        name=name,
        sha256=hashlib.sha256(content).hexdigest(),
        structures=_structures(name, images),
        energies=energies,
        unusable=unusable,
        decimals=max(_decimals(text) for text, energy in zip(written, energies, strict=True) if np.isfinite(energy)),
        forces=_forces(images, column),
    )


def _blocks(name: str, lines: list[str]) -> Iterator[list[str]]:
    """Cut a file into frames: the number of atoms, the line of entries, a line for each atom."""
    start, frame = 0, 0
    while start < len(lines):
        if not lines[start].strip():
            start += 1
            continue
        try:
            n_atoms = int(lines[start])
        except ValueError:
            raise DatasetError(
                f'{name}, line {start + 1}: the number of atoms of frame {frame} should stand here, not '
                f'{lines[start].strip()[:40]!r}'
            ) from None
        block = lines[start : start + n_atoms + 2]
        if len(block) < n_atoms + 2:
            raise DatasetError(
                f'{name} breaks off in frame {frame}: {max(len(block) - 2, 0)} of its {n_atoms} atoms are there'
            )
        yield block
        start += n_atoms + 2
        frame += 1


def _entry(comment: str, key: str) -> str | None:
    """Return the text of ``key=…``, '' where it is empty, None where there is no such entry.

    ASE takes the name of the next entry for the value of an empty one, and loses that entry.
    """
    found = re.search(rf'(?<!\S){re.escape(key)}\s*=\s*', comment)
    if found is None:
        return None
    rest = comment[found.end() :]
    if re.match(r'[^\s="\']+\s*=', rest):
        return ''
    value = re.match(r'"([^"]*)"|\'([^\']*)\'|(\S*)', rest)
    return '' if value is None else next(text for text in value.groups() if text is not None).strip()


def _energies(written: list[str | None]) -> tuple[NDArray[np.float64], dict[int, str]]:
    energies, unusable = np.full(len(written), np.nan), {}
    for frame, text in enumerate(written):
        if text is None or not text:
            unusable[frame] = 'no energy' if text is None else 'the energy is empty'
            continue
        try:
            energies[frame] = float(text)
        except ValueError:
            unusable[frame] = f'the energy is no number: {text[:40]!r}'
            continue
        if not np.isfinite(energies[frame]):
            unusable[frame] = f'the energy is {text}'
            energies[frame] = np.nan
    return energies, unusable


def _without_energies(name: str, key: str, comment: str, unusable: Mapping[int, str]) -> str:
    if set(unusable.values()) != {'no energy'}:
        return f'{name}: none of its {len(unusable)} frames has an energy to use; of frame 0, {unusable[0]}'
    entries = [entry for entry in re.findall(r'(?<!\S)([^\s="\']+)\s*=', comment)]
    known = ', '.join(entries) if entries else 'nothing'
    return f'{name}: none of its {len(unusable)} frames has an entry {key}=…; frame 0 has {known}'


def _image(name: str, frame: int, block: list[str]) -> Atoms:
    """Read the structure and the columns of one frame, without entries that could confuse the reader."""
    kept = {key: _entry(block[1], key) for key in ('Lattice', 'Properties', 'pbc')}
    comment = ' '.join(f'{key}="{text}"' for key, text in kept.items() if text)
    try:
        atoms = read(io.StringIO('\n'.join([block[0], comment, *block[2:]]) + '\n'), format='extxyz')
    except Exception as error:  # ASE's reader raises whatever its parsers do
        raise DatasetError(f'{name}: frame {frame} is no extended XYZ: {error}') from None
    if not isinstance(atoms, Atoms) or not np.isfinite(atoms.positions).all():
        raise DatasetError(f'{name}: frame {frame} has a position that is no finite number')
    return atoms


def _structures(name: str, images: list[Atoms]) -> Snapshots:
    try:
        structures = Snapshots.from_atoms(images)
    except SnapshotsError as error:
        raise DatasetError(f'{name}: {error}') from None
    apart = np.abs(structures.cells - structures.cells[0]).max(axis=(1, 2))
    if apart.max() > _ONE_CELL:
        frame = int(np.argmax(apart > _ONE_CELL))
        raise DatasetError(
            f'{name}: the cell of frame {frame} differs from that of frame 0 by up to {apart[frame]:.3g} Å; a data set '
            'holds one cell: put each into a file of its own'
        )
    return structures


def _forces(images: list[Atoms], column: str) -> NDArray[np.float64] | None:
    shape = (len(images[0]), 3)
    found = [_column(atoms, column) for atoms in images]
    if all(values is None for values in found):
        return None
    forces = np.array([np.full(shape, np.nan) if values is None else values for values in found], dtype=float)
    forces[~np.isfinite(forces).all(axis=(1, 2))] = np.nan
    return forces


def _column(atoms: Atoms, name: str) -> NDArray[np.float64] | None:
    """Return a column of three numbers an atom; ASE files one called ``forces`` under the results of a calculator."""
    results = {} if atoms.calc is None else atoms.calc.results
    values = results.get(name, atoms.arrays.get(name))
    return values if values is not None and values.shape == (len(atoms), 3) else None


def _decimals(text: str | None) -> int:
    try:
        exponent = Decimal(text or '').as_tuple().exponent
    except InvalidOperation:
        return 0
    return max(0, -exponent) if isinstance(exponent, int) else 0
