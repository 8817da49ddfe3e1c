"""The energies that a program of the engine `command` wrote, checked against the snapshots it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.calculations.command_settings import LABELS_FILE, SNAPSHOTS_FILE
from aiida_mlcc.runtime.task_records import SnapshotFailure
from aiida_mlcc.science.dataset.file_content import ContentError
from aiida_mlcc.science.dataset.frame_files import Frame, each_frame
from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.methods import slug_of
from aiida_mlcc.science.labels.snapshots import Label, Snapshots

VERSION, REASON = 'version', 'reason'
"""Entries of a frame: of the first one, the version of the program; of one without an energy, why it has none."""

TOLERANCE = 1e-3
"""Å by which a program may round the structures."""


class CommandLabelsError(ValueError):
    """A file whose energies cannot be told to be those of the snapshots, in a sentence."""


@dataclass(frozen=True)
class CommandLabels:
    """What a program returned.

    :param energies: method → eV per cell, shape (n_frames,), NaN where there is none.
    :param sigma: method → standard errors, eV per cell, shape (n_frames,), NaN where there is none.
    :param failures: for each snapshot that lacks an energy, ``snapshot``, ``methods`` and ``reason``.
    :param version: of the program, empty where it does not say.
    """

    energies: Mapping[str, NDArray[np.float64]]
    sigma: Mapping[str, NDArray[np.float64]]
    failures: list[SnapshotFailure] = field(default_factory=list)
    version: str = ''

    def onto(self, snapshots: Snapshots, source: Source) -> Snapshots:
        """Return `snapshots` with these energies as labels, and no others."""
        labelled = snapshots.without_labels()
        full = {**source, **({VERSION: self.version} if self.version else {})}
        for method, energies in self.energies.items():
            sigma = self.sigma[method]
            if np.isfinite(energies).any():
                known = sigma if np.isfinite(sigma).any() else None
                labelled = labelled.with_label(method, Label(energies, None, full, {}, known))
        return labelled


def read_command_labels(path: Path, snapshots: Snapshots, methods: Sequence[str]) -> CommandLabels:
    """Read ``labels.extxyz``, a frame for each of `snapshots`, in their order.

    A frame has ``energy_SLUG`` (eV per cell) for each of `methods`, and ``sigma_SLUG`` where the energy has a standard
    error; ``energy`` and ``sigma`` do where there is one method. A file that ends early has the energies up to there.

    :raises CommandLabelsError: where frames are not those of `snapshots`, in their order.
    """
    frames, ended = _frames(path)
    if len(frames) > snapshots.n_frames:
        raise CommandLabelsError(
            f'{LABELS_FILE} has {len(frames)} frames, but {SNAPSHOTS_FILE} has {snapshots.n_frames}: the program must '
            'write one for each'
        )
    for number, frame in enumerate(frames):
        _check_structure(snapshots, number, frame)
    energies = {method: np.full(snapshots.n_frames, np.nan) for method in methods}
    sigma = {method: np.full(snapshots.n_frames, np.nan) for method in methods}
    failures: list[SnapshotFailure] = []
    for number in range(snapshots.n_frames):
        reasons = {}
        for method in methods:
            if number >= len(frames):
                reasons[method] = ended or f'{LABELS_FILE} has {len(frames)} frames, {SNAPSHOTS_FILE} has ' + str(
                    snapshots.n_frames
                )
                continue
            energy, error, reason = _energy_of(frames[number], number, method, alone=len(methods) == 1)
            if reason is not None:
                reasons[method] = reason
            else:
                energies[method][number], sigma[method][number] = energy, error
        if reasons:
            first = next(iter(reasons.values()))
            failures.append({'snapshot': number, 'methods': list(reasons), 'reason': first})
    version = str(frames[0].entries.get(VERSION, '')) if frames else ''
    return CommandLabels(energies, sigma, failures, version)


def _frames(path: Path) -> tuple[list[Frame], str | None]:
    """Return the frames that can be read, and why there are no more."""
    frames: list[Frame] = []
    try:
        frames.extend(each_frame(path))
    except ContentError as error:
        # `extend` keeps what came before.
        return frames, str(error)
    return frames, None


def _check_structure(snapshots: Snapshots, number: int, frame: Frame) -> None:
    where = f'frame {number} of {LABELS_FILE}'
    symbols = tuple(frame.atoms.get_chemical_symbols())
    if symbols != snapshots.symbols:
        if sorted(symbols) == sorted(snapshots.symbols):
            raise CommandLabelsError(f'{where} has its atoms in another order than {SNAPSHOTS_FILE}: keep their order')
        raise CommandLabelsError(f'{where} has other atoms than snapshot {number}: {frame.atoms.symbols}')
    cell, positions = frame.atoms.cell.array, frame.atoms.positions
    if _distance(snapshots, number, cell, positions) <= TOLERANCE:
        return
    apart = [_distance(snapshots, other, cell, positions) for other in range(snapshots.n_frames)]
    nearest = int(np.argmin(apart))
    if apart[nearest] <= TOLERANCE:
        raise CommandLabelsError(
            f'{where} is the structure of snapshot {nearest}: write the frames in the order of {SNAPSHOTS_FILE}'
        )
    raise CommandLabelsError(
        f'{where} is not the structure of snapshot {number}, nor of another one: an atom or a lattice vector is '
        f'{apart[number]:.3g} Å off; copy the structures of {SNAPSHOTS_FILE} as they are'
    )


def _distance(snapshots: Snapshots, number: int, cell: NDArray[np.float64], positions: NDArray[np.float64]) -> float:
    """Return the largest difference of a lattice vector or an atom from a snapshot, Å, up to lattice vectors."""
    reference = snapshots.cells[number]
    shift = (positions - snapshots.positions[number]) @ np.linalg.inv(reference)
    moved = (shift - np.rint(shift)) @ reference
    lengths = np.concatenate([np.linalg.norm(moved, axis=1), np.linalg.norm(cell - reference, axis=1)])
    return float(lengths.max())


def _energy_of(frame: Frame, number: int, method: str, alone: bool) -> tuple[float, float, str | None]:
    """Return energy and standard error, NaN where there is none, and why there is no energy."""
    slug = slug_of(method)
    energy, wrong = _number(frame, number, ['energy_' + slug, *(['energy'] if alone else [])])
    if wrong is not None:
        return np.nan, np.nan, wrong
    if energy is None:
        said = frame.entries.get(REASON)
        return np.nan, np.nan, str(said) if said else f'frame {number} of {LABELS_FILE} has no energy_{slug}'
    sigma, wrong = _number(frame, number, ['sigma_' + slug, *(['sigma'] if alone else [])])
    if wrong is None and sigma is not None and sigma <= 0:
        wrong = f'the sigma of frame {number} of {LABELS_FILE} is {sigma:g}: a standard error is above 0'
    return energy, np.nan if sigma is None else sigma, wrong


def _number(frame: Frame, number: int, keys: Sequence[str]) -> tuple[float | None, str | None]:
    key = next((one for one in keys if one in frame.entries), None)
    if key is None:
        return None, None
    value = frame.entries[key]
    if key in frame.repeated:
        return None, f'frame {number} of {LABELS_FILE} names {key} twice'
    number_types = (int, float, np.integer, np.floating)
    if not isinstance(value, number_types) or isinstance(value, bool) or not np.isfinite(value):
        return None, f'{key} of frame {number} of {LABELS_FILE} is {str(value)[:40]!r}, which is not a finite number'
    return float(value), None
