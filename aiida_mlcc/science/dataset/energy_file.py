"""One file with the energies of one method, read in full, with what is wrong in it named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import floor, log10
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.dataset.file_content import ContentError, checksum
from aiida_mlcc.science.dataset.frame_files import Frame, plain_name, read_frames
from aiida_mlcc.science.dataset.label_keys import (
    ENERGY_KEY,
    KeysError,
    energy_entries,
    energy_key,
    force_columns,
    forces_key,
    read_number,
)
from aiida_mlcc.science.dataset.label_units import Units
from aiida_mlcc.science.labels.free_pairing import right_handed
from aiida_mlcc.science.labels.methods import slug_of
from aiida_mlcc.science.labels.snapshots import Snapshots, SnapshotsError

_ONE_CELL = 1e-6
_TURNED = 'the lattice vectors are left-handed: two of them are exchanged, and the atoms stay where they are'
_ISOLATED = ('isolatedatom', 'isolated_atom', 'isolated atom')


class DatasetError(ValueError):
    """Files from which no data set can be made."""


@dataclass(frozen=True)
class LabelSource:
    """A file with the labels of a method, and how they stand in it.

    :param sigma: standard error of the energies in their unit: one number, or the entry that holds that of each frame;
        ``sigma_SLUG``, as this package writes, where it is None.
    :param energy_key: the entry that holds the energy, chosen as in
        :func:`~aiida_mlcc.science.dataset.label_keys.energy_key` where it is None; `forces_key`: the column that holds
        forces, alike.
    """

    path: Path
    energy_key: str | None = None
    forces_key: str | None = None
    units: Units = field(default_factory=Units)
    sigma: float | str | None = None


@dataclass(frozen=True)
class LabelledFile:
    """The frames of one file, those of isolated atoms left out.

    :param name: of the file, without folder and without ``.gz``.
    :param sha256: of its content, unpacked: a compressed copy has the same.
    :param structures: all frames, without labels.
    :param numbers: the place of each frame in the file, shape (n_frames,).
    :param energies: eV per cell, shape (n_frames,), NaN for the frames in `unusable`.
    :param unusable: frame → why it has no energy.
    :param decimals: the most decimals that any energy is written with, in eV.
    :param forces: eV/Å, shape (n_frames, n_atoms, 3), NaN where a frame has none; None where no frame has any.
    :param sigma: standard error of each energy, eV per cell, NaN where it is not known; None where none is.
    :param how: what of its reading a label's source says: the entry and the units, where they are not the usual ones.
    :param others: further entries that look like an energy.
    :param remarks: what else is to be known, in sentences without a full stop.
    """

    name: str
    sha256: str
    structures: Snapshots
    numbers: NDArray[np.int64]
    energies: NDArray[np.float64]
    unusable: Mapping[int, str]
    decimals: int
    forces: NDArray[np.float64] | None
    sigma: NDArray[np.float64] | None
    how: Mapping[str, str]
    others: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def n_frames(self) -> int:
        """How many frames the file has, isolated atoms left out."""
        return self.structures.n_frames


def read_labelled_file(source: LabelSource | Path | str, method: str) -> LabelledFile:
    """Read a file with energies of `method` and, it may be, forces.

    Files are read as by :func:`~aiida_mlcc.science.dataset.frame_files.read_frames`.

    An energy that is missing, empty, no number or not finite makes its frame unusable, and nothing else. Frames of
    isolated atoms are left out.

    :raises DatasetError: for a file that cannot be read or breaks off, one without any energy or with several that may
        be meant, and frames of other species or cells than the first.
    """
    given = source if isinstance(source, LabelSource) else LabelSource(Path(source))
    name = plain_name(given.path)
    try:
        every = read_frames(given.path)
        sha256 = checksum(given.path)
    except ContentError as error:
        raise DatasetError(str(error)) from None
    numbers = _of_crystal(every)
    frames = [every[number] for number in numbers]
    try:
        key = energy_key(frames, method, given.energy_key)
    except KeysError as error:
        raise DatasetError(f'{name}: {error}') from None
    read = [read_number(frame.entries, key) for frame in frames]
    unusable = {frame: reason for frame, (_, reason) in enumerate(read) if reason is not None}
    if len(unusable) == len(frames):
        raise DatasetError(
            f'{name}: none of its {len(frames)} frames has an energy to use; of frame {numbers[0]}, {unusable[0]}'
        )
    structures = _structures(name, frames, numbers)
    turned = np.linalg.det(frames[0].atoms.cell.array) < 0
    column = forces_key(frames, key, given.forces_key)
    in_ev = given.units.energy_in_ev(structures.symbols)
    forces = _forces(frames, column)
    decimals = max(_decimals(energy) for energy, _ in read if np.isfinite(energy))
    others = tuple(entry for entry in energy_entries(frames) if entry != key)
    return LabelledFile(
        name=name,
        sha256=sha256,
        structures=structures,
        numbers=np.array(numbers, dtype=np.int64),
        energies=np.array([energy for energy, _ in read]) * in_ev,
        unusable=unusable,
        decimals=max(0, floor(decimals - log10(in_ev) + 1e-9)),
        forces=None if forces is None else forces * given.units.force_in_ev_per_angstrom,
        sigma=_sigma(name, frames, given.sigma, f'sigma_{slug_of(method)}', in_ev),
        how={
            **({} if given.energy_key is None else {'entry': key}),
            **({} if given.units == Units() else {'units': str(given.units)}),
        },
        others=others,
        remarks=(
            *([_TURNED] if turned else []),
            *_remarks(every, frames, numbers, method, key, others, column, forces is not None),
        ),
    )


def _of_crystal(frames: Sequence[Frame]) -> list[int]:
    """Return the frames that are not of isolated atoms, which sets for training carry along."""
    several = max(len(frame.atoms) for frame in frames) > 1
    found = []
    for number, frame in enumerate(frames):
        named = str(frame.entries.get('config_type', '')).lower() in _ISOLATED
        if not (named or (several and len(frame.atoms) == 1)):
            found.append(number)
    return found or list(range(len(frames)))


def _remarks(
    every: Sequence[Frame],
    frames: Sequence[Frame],
    numbers: Sequence[int],
    method: str,
    key: str,
    others: Sequence[str],
    column: str,
    with_forces: bool,
) -> list[str]:
    remarks = []
    if n_isolated := len(every) - len(frames):
        remarks.append(f'{n_isolated} frames of isolated atoms are left out')
    for name in (key, column):
        repeated = [str(number) for number, frame in zip(numbers, frames, strict=True) if name in frame.repeated]
        if repeated:
            at = ', '.join(repeated[:5]) + (f' and {len(repeated) - 5} more' if len(repeated) > 5 else '')
            remarks.append(f'{name} stands more than once in frames {at}: the last one is taken')
    own = f'{ENERGY_KEY}_{slug_of(method)}'
    if key not in (ENERGY_KEY, own) or (key == ENERGY_KEY and others):
        beside = f'; the frames also have {", ".join(others)}' if others else ''
        remarks.append(f'the energy is the entry {key}{beside}')
    if not with_forces and (alike := force_columns(frames)):
        remarks.append(f'no forces are taken: there is no column {column}, but {", ".join(alike)} (--forces-key)')
    return remarks


def _structures(name: str, frames: Sequence[Frame], numbers: Sequence[int]) -> Snapshots:
    try:
        structures = Snapshots.from_atoms([frame.atoms for frame in frames])
    except SnapshotsError as error:
        raise DatasetError(f'{name}: {error}') from None
    apart = np.abs(structures.cells - structures.cells[0]).max(axis=(1, 2))
    if apart.max() > _ONE_CELL:
        frame = numbers[int(np.argmax(apart > _ONE_CELL))]
        raise DatasetError(
            f'{name}: the cell of frame {frame} differs from that of frame {numbers[0]} by up to {apart.max():.3g} Å; '
            'a data set holds one cell: put each into a file of its own'
        )
    order = right_handed(structures.cells[0])
    return Snapshots(structures.symbols, structures.cells[:, order], structures.positions)


def _sigma(
    name: str, frames: Sequence[Frame], given: float | str | None, usual: str, in_ev: float
) -> NDArray[np.float64] | None:
    if isinstance(given, float):
        found = np.full(len(frames), given)
    else:
        found = np.array([read_number(frame.entries, given or usual)[0] for frame in frames])
    if given is not None and not np.isfinite(found).any():
        raise DatasetError(f'{name}: no frame has a standard error {given}=…')
    if (found < 0).any() or (found == 0).any():
        raise DatasetError(f'{name}: a standard error of an energy must be positive, not {np.nanmin(found):g}')
    return found * in_ev if np.isfinite(found).any() else None


def _forces(frames: Sequence[Frame], column: str) -> NDArray[np.float64] | None:
    found = [frame.columns.get(column) for frame in frames]
    if all(values is None for values in found):
        return None
    absent = np.full((len(frames[0].atoms), 3), np.nan)
    forces = np.array([absent if values is None else values for values in found], dtype=float)
    forces[~np.isfinite(forces).all(axis=(1, 2))] = np.nan
    return forces


def _decimals(energy: float) -> int:
    """Return the decimals of the shortest number that reads as this one."""
    exponent = Decimal(repr(float(energy))).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
