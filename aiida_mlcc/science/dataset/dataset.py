"""A data set from the files of several methods: paired by geometry, with an account of every frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.dataset.energy_file import DatasetError, LabelledFile, LabelSource, read_labelled_file
from aiida_mlcc.science.dataset.forces import OwnForces, check_base, own_forces
from aiida_mlcc.science.dataset.labels import check_label
from aiida_mlcc.science.dataset.report import Account, DatasetReport, describe
from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.free_pairing import pair_freely, same_lattice
from aiida_mlcc.science.labels.methods import COSTLY, DFT, in_order, refuse_name
from aiida_mlcc.science.labels.pairing import distance_to_nearest, repeated_frames
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError

TOLERANCE = 1e-4
"""How far atoms of one structure may be apart in two files, Å."""

_SAME_ENERGY_EV = (1e-6, 1e-3)


@dataclass(frozen=True)
class Dataset:
    """Snapshots with the labels of all methods, and what is to be known about them.

    :param primitive: the primitive cell of the crystal, None where none was given or found.
    """

    snapshots: Snapshots
    report: DatasetReport
    primitive: Atoms | None


def read_dataset(
    base: LabelSource | Path | str,
    base_method: str,
    others: Mapping[str, LabelSource | Path | str],
    primitive: Atoms | None = None,
    tolerance: float = TOLERANCE,
) -> Dataset:
    """Read the file of the base method and those of wave-function methods, and pair their frames by geometry.

    Frames and their order are those of `base`, less frames without energy or forces and repeated ones. Forces beside a
    wave-function energy are taken for that method's unless they are the base's or the energies contradict them.

    :param base: file with energies and forces of `base_method`, of any kind that
        :func:`~aiida_mlcc.science.dataset.frame_files.read_frames` reads, in eV per cell and eV/Å unless its
        :class:`~aiida_mlcc.science.dataset.energy_file.LabelSource` says otherwise.
    :param others: method → file; their forces are optional. Several methods may be in one file.
    :param primitive: the primitive cell of the crystal, in the orientation of the frames; looked for if not given.
    :param tolerance: Å, as in :func:`~aiida_mlcc.science.labels.pairing.pair_by_geometry`.
    :raises DatasetError: for a file that cannot be used, one of which no frame is in `base`, energies that are those of
        another method or in another unit, and a base whose energies contradict its forces.
    :raises aiida_mlcc.science.crystal.cells.CrystalError: where the frames are not supercells of `primitive`.
    """
    for method in (base_method, *others):
        if (reason := refuse_name(method)) is not None:
            raise DatasetError(reason)
    if base_method in others:
        raise DatasetError(f'{base_method} is the method of the base and of other labels: name one of them differently')
    snapshots, account = _take_base(read_labelled_file(base, base_method), base_method, tolerance)
    accounts = {base_method: account}
    for method in in_order(others):
        file = read_labelled_file(others[method], method)
        snapshots, accounts[method] = _add_labels(snapshots, base_method, file, method, account.file, tolerance)
    report, found = describe(snapshots, base_method, primitive, accounts)
    return Dataset(snapshots, report, found)


T = TypeVar('T')


def _take_base(file: LabelledFile, method: str, tolerance: float) -> tuple[Snapshots, Account]:
    if file.forces is None or not np.nan_to_num(file.forces).any():
        what = 'no frame has' if file.forces is None else 'all frames have zero'
        raise DatasetError(f'{file.name}: {what} forces, and the base is learnt from {method} energies and forces')
    dropped = dict(file.unusable)
    without_forces = np.flatnonzero(np.isnan(file.forces).any(axis=(1, 2)))
    dropped |= {int(frame): 'no forces' for frame in without_forces if int(frame) not in dropped}
    merged, contradicting = _repeated(file, dropped, tolerance)
    for frames in contradicting:
        energies = ', '.join(f'{file.energies[frame]:.10g}' for frame in frames)
        numbers = ', '.join(map(str, file.numbers[frames]))
        raise DatasetError(
            f'{file.name}: frames {numbers} are one structure with the energies {energies} eV of '
            f'{method}. The base needs one energy for each structure: remove the wrong ones'
        )
    kept = _remaining(file, dropped, merged)
    if len(kept) == 0:
        raise DatasetError(f'{file.name}: no frame has both an energy and forces')
    sigma = None if file.sigma is None else file.sigma[kept]
    label = Label(file.energies[kept], file.forces[kept], _source(file), sigma=sigma, kind=DFT)
    snapshots = file.structures.select(kept).with_label(method, label)
    account = Account(
        file.name,
        file.sha256,
        file.n_frames,
        len(kept),
        (),
        _plain(file, {frame: int(file.numbers[other]) for frame, other in merged.items()}),
        _plain(file, dropped),
        file.decimals,
        'own',
        (*file.remarks, *check_base(snapshots, method, file.name)),
    )
    return snapshots, account


def _add_labels(
    snapshots: Snapshots, base_method: str, file: LabelledFile, method: str, base_name: str, tolerance: float
) -> tuple[Snapshots, Account]:
    dropped = dict(file.unusable)
    merged, contradicting = _repeated(file, dropped, tolerance)
    for frames in contradicting:
        energies = file.energies[frames]
        for frame in frames:
            others = ', '.join(str(file.numbers[other]) for other in frames if other != frame)
            dropped[int(frame)] = f'one structure with frame {others}, energies {np.ptp(energies):.3g} eV apart'
    usable = _remaining(file, dropped, merged)
    if len(usable) == 0:
        reason = next(iter(dropped.values()))
        raise DatasetError(
            f'{file.name}: all {file.n_frames} labels are dropped, frame {file.numbers[next(iter(dropped))]}: {reason}'
        )
    structures = file.structures.select(usable)
    try:
        structures, turned = _in_cell_of(snapshots, structures, tolerance)
        pairing = pair_freely(snapshots, structures, tolerance)
    except SnapshotsError as error:
        raise DatasetError(f'{file.name} and {base_name}: {error}') from None
    paired = pairing.matched
    if len(paired) == 0:
        raise DatasetError(_unpaired(snapshots, file, usable, base_name, tolerance))
    origin = usable[pairing.indices[paired]]
    energies = np.full(snapshots.n_frames, np.nan)
    energies[paired] = file.energies[origin]
    known = snapshots.with_label(method, Label(energies))
    remarks = check_label(known, base_method, method, file.name, file.decimals, file.others)
    base_forces = snapshots.labels[base_method].forces
    forces, found = None, OwnForces(np.empty(0), 'none')
    if file.forces is not None and base_forces is not None:
        forces_there = np.take_along_axis(file.forces[origin], pairing.orders[paired][:, :, None], axis=1)
        found = own_forces(known.select(paired), base_method, method, forces_there)
        if np.isfinite(found.forces).any():
            forces = np.full(base_forces.shape, np.nan)
            forces[paired] = found.forces
    account = Account(
        file.name,
        file.sha256,
        file.n_frames,
        len(paired),
        tuple(file.numbers[usable[pairing.unmatched]].tolist()),
        _plain(file, {frame: int(file.numbers[other]) for frame, other in merged.items()}),
        _plain(file, dropped),
        file.decimals,
        found.whose,
        (*file.remarks, *turned, *pairing.describe(), *remarks, *found.remarks),
    )
    sigma = None
    if file.sigma is not None:
        sigma = np.full(snapshots.n_frames, np.nan)
        sigma[paired] = file.sigma[origin]
    return snapshots.with_label(method, Label(energies, forces, _source(file), sigma=sigma, kind=COSTLY)), account


def _in_cell_of(reference: Snapshots, other: Snapshots, tolerance: float) -> tuple[Snapshots, list[str]]:
    """Return `other` in the lattice vectors of `reference` where these span its lattice, and what was changed."""
    cell, own = reference.cells[0], other.cells[0]
    if np.abs(cell - own).max() <= tolerance:
        return other, []
    same = same_lattice(cell, own, tolerance)
    if not same and not same_lattice(cell, own.T, tolerance):
        return other, []
    cells = np.repeat(cell[None], other.n_frames, axis=0)
    how = 'are others of the same lattice' if same else 'stand as columns'
    return Snapshots(other.symbols, cells, other.positions), [
        f'the lattice vectors {how}: those of the base are taken, and the atoms stay where they are'
    ]


def _repeated(
    file: LabelledFile, dropped: Mapping[int, str], tolerance: float
) -> tuple[dict[int, int], list[NDArray[np.int64]]]:
    """Return repeated frames with the energy of an earlier one (frame → that one), and groups that disagree."""
    usable = _remaining(file, dropped, {})
    merged: dict[int, int] = {}
    contradicting = []
    # One unit of the last decimal, and a little for the arithmetic.
    tolerance_ev = 1.001 * float(np.clip(10.0**-file.decimals, *_SAME_ENERGY_EV))
    for group in repeated_frames(file.structures.select(usable), tolerance):
        frames = usable[group]
        if np.ptp(file.energies[frames]) > tolerance_ev:
            contradicting.append(frames)
        else:
            merged |= {int(frame): int(frames[0]) for frame in frames[1:]}
    return merged, contradicting


def _remaining(file: LabelledFile, dropped: Mapping[int, str], merged: Mapping[int, int]) -> NDArray[np.int64]:
    return np.array([f for f in range(file.n_frames) if f not in dropped and f not in merged], dtype=np.int64)


def _unpaired(
    snapshots: Snapshots, file: LabelledFile, usable: NDArray[np.int64], base_name: str, tolerance: float
) -> str:
    sentence = f'none of the {file.n_frames} structures of {file.name} is in {base_name}'
    if len(usable) == 0:
        return (
            f'{sentence}: all its labels were dropped, the first because of this: {next(iter(file.unusable.values()))}'
        )
    apart = float(np.abs(file.structures.cells[0] - snapshots.cells[0]).max())
    if apart > tolerance:
        return f'{sentence}: the cells differ by up to {apart:.3g} Å'
    nearest = distance_to_nearest(snapshots, file.structures, int(usable[0]))
    return (
        f'{sentence} within {tolerance:g} Å: in the structure most like frame {file.numbers[usable[0]]}, an atom is '
        f'{nearest:.3g} Å away from its place'
    )


def _source(file: LabelledFile) -> Source:
    return {'engine': 'imported', 'file': file.name, 'sha256': file.sha256, **file.how}


def _plain(file: LabelledFile, frames: Mapping[int, T]) -> dict[str, T]:
    """Return a mapping by frame with the keys that JSON has, the frames as numbered in the file, ascending."""
    return {str(file.numbers[frame]): frames[frame] for frame in sorted(frames)}
