"""Labelled snapshots as extended XYZ, the text that the field exchanges, and from ASE images that carry results."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from ase import Atoms
from ase.io import read
from numpy.typing import NDArray

from aiida_mlcc.science.dataset.file_content import ContentError, read_content
from aiida_mlcc.science.json_values import Json, Source
from aiida_mlcc.science.labels.methods import METHODS, slug_of
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError

SOURCES = 'label_sources'
"""Key on the first frame: slug → source of its labels, JSON."""

NAMED = 'label_methods'
"""Key on the first frame: slug → name and kind of the methods that the table of methods does not hold so, JSON."""

_ENERGY, _FORCES, _CONTRIBUTION, _SIGMA = 'energy_', 'forces_', 'contribution_', 'sigma_'


def write_extxyz(path: Path | str, snapshots: Snapshots) -> None:
    """Write `snapshots` and their labels to `path`, atomically, such that :func:`read_extxyz` gives them back exactly.

    Each label is ``energy_SLUG`` (eV per cell), ``sigma_SLUG`` (its standard error) and ``forces_SLUG`` (eV/Å); what a
    frame lacks is left out of it.
    """
    write_text(path, to_extxyz(snapshots))


def to_extxyz(snapshots: Snapshots) -> str:
    """Return `snapshots` as extended XYZ text. Numbers have all their digits, which ASE's own writer cuts to eight."""
    return '\n'.join(line for frame in range(snapshots.n_frames) for line in _frame_lines(snapshots, frame)) + '\n'


def to_plain_extxyz(snapshots: Snapshots, method: str) -> str:
    """Return the frames that `method` labels as extended XYZ text with the plain names ``energy`` and ``forces``.

    This is what other programs read. Forces are those of `method`, or none.

    :raises SnapshotsError: where there are no labels of `method`.
    """
    frames = snapshots.select(snapshots.labelled_by(method))
    label = frames.labels[method]
    lines: list[str] = []
    for frame, energy in enumerate(label.energies):
        forces = None if label.forces is None else label.forces[frame]
        lines += _lines(frames, frame, [f'energy={_digits(energy)}'], [] if forces is None else [('forces', forces)])
    return '\n'.join(lines) + '\n'


def frame_text(
    snapshots: Snapshots,
    frame: int,
    entries: Mapping[str, float | int | str],
    forces: NDArray[np.float64] | None = None,
) -> str:
    """Return one structure as extended XYZ text with `entries` of one's own, text in them without spaces.

    :param forces: eV/Å, shape (n_atoms, 3).
    """
    said = [f'{name}={_digits(value) if isinstance(value, float) else value}' for name, value in entries.items()]
    return '\n'.join(_lines(snapshots, frame, said, [] if forces is None else [('forces', forces)])) + '\n'


def read_extxyz(path: Path | str) -> Snapshots:
    """Read labelled snapshots that :func:`write_extxyz` wrote, or anybody who names energies ``energy_SLUG``.

    :param path: of a file, gzipped where the name ends in ``.gz``; energies in eV per cell, forces in eV/Å.
    :raises SnapshotsError: where frames do not belong together, or an energy is of no known method.
    """
    try:
        return from_extxyz(read_content(path).decode())
    except ContentError as error:
        raise SnapshotsError(str(error)) from None


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically, gzipped where the name ends in ``.gz``; equal text gives equal bytes."""
    target = Path(path)
    content = text.encode()
    scratch = target.with_name(f'{target.name}.partial')
    scratch.write_bytes(gzip.compress(content, mtime=0) if target.suffix == '.gz' else content)
    os.replace(scratch, target)


def from_extxyz(text: str) -> Snapshots:
    """Return the snapshots in extended XYZ text."""
    images = _images(text)
    snapshots = Snapshots.from_atoms(images)
    sources, named = _json_entry(images[0], SOURCES), _json_entry(images[0], NAMED)
    slugs = {key.removeprefix(_ENERGY) for atoms in images for key in atoms.info if key.startswith(_ENERGY)}
    if unknown := sorted((slugs | set(sources)) - {*METHODS, *named}):
        raise SnapshotsError(
            f'energies of unknown methods {", ".join(unknown)}: choose from {", ".join(METHODS)}, or name them in the '
            f'entry {NAMED} of the first frame'
        )
    names = {**METHODS, **{slug: entry['name'] for slug, entry in named.items()}}
    labels = {
        names[slug]: _read_label(images, slug, sources.get(slug, {}), named.get(slug, {}).get('kind', ''))
        for slug in slugs | set(sources)
    }
    return Snapshots(snapshots.symbols, snapshots.cells, snapshots.positions, labels)


def from_labelled_atoms(images: Sequence[Atoms], method: str, source: Source, forces: bool = True) -> Snapshots:
    """Take structures and the energies (and forces) that their calculators hold as labels of `method`.

    :param source: engine and settings the labels come from, plain JSON.
    :param forces: False where the forces beside the energies are not those of `method`: published files often carry
        the forces of the density functional next to correlated energies.
    :raises SnapshotsError: where no frame has an energy. A frame without one becomes NaN.
    """
    slug_of(method)
    snapshots = Snapshots.from_atoms(images)
    results = [{} if atoms.calc is None else atoms.calc.results for atoms in images]
    energies = np.array([_number(found.get('energy')) for found in results])
    if not np.isfinite(energies).any():
        raise SnapshotsError(f'none of the {len(images)} frames has an energy')
    absent = np.full((snapshots.n_atoms, 3), np.nan)
    found_forces = None
    if forces and any('forces' in found for found in results):
        found_forces = np.array([np.asarray(found.get('forces', absent), dtype=float) for found in results])
    return snapshots.with_label(method, Label(energies, found_forces, dict(source)))


def _images(text: str) -> list[Atoms]:
    return cast(list[Atoms], read(io.StringIO(text), ':', format='extxyz'))


def _frame_lines(snapshots: Snapshots, frame: int) -> list[str]:
    columns: list[tuple[str, NDArray[np.float64]]] = []
    entries: list[str] = []
    for method in snapshots.methods:
        slug, label = slug_of(method), snapshots.labels[method]
        numbers = {f'{_ENERGY}{slug}': label.energies[frame]}
        if label.sigma is not None:
            numbers[f'{_SIGMA}{slug}'] = label.sigma[frame]
        numbers |= {f'{_CONTRIBUTION}{slug}__{name}': values[frame] for name, values in label.contributions.items()}
        entries += [f'{name}={_digits(value)}' for name, value in sorted(numbers.items()) if np.isfinite(value)]
        if label.forces is not None:
            columns.append((f'{_FORCES}{slug}', label.forces[frame]))
    if frame == 0 and snapshots.labels:
        described = snapshots.describe()
        entries.append(f'{SOURCES}="{_escape(json.dumps(described["sources"], sort_keys=True))}"')
        if 'named' in described:
            entries.append(f'{NAMED}="{_escape(json.dumps(described["named"], sort_keys=True))}"')
    return _lines(snapshots, frame, entries, columns)


def _lines(
    snapshots: Snapshots, frame: int, entries: Sequence[str], columns: Sequence[tuple[str, NDArray[np.float64]]]
) -> list[str]:
    """Return the lines of one frame; a column with NaN is left out."""
    kept = [('pos', snapshots.positions[frame]), *(column for column in columns if np.isfinite(column[1]).all())]
    properties = ':'.join(['species:S:1', *(f'{name}:R:3' for name, _ in kept)])
    lattice = f'Lattice="{_join(snapshots.cells[frame].ravel())}"'
    table = np.concatenate([values for _, values in kept], axis=1)
    rows = [f'{symbol} {_join(row)}' for symbol, row in zip(snapshots.symbols, table, strict=True)]
    comment = ' '.join([f'Properties={properties}', lattice, 'pbc="T T T"', *entries])
    return [str(snapshots.n_atoms), comment, *rows]


def _read_label(images: Sequence[Atoms], slug: str, source: Source, kind: str) -> Label:
    def collect(key: str) -> NDArray[np.float64]:
        return np.array([_number(atoms.info.get(key)) for atoms in images])

    key = f'{_FORCES}{slug}'
    forces = None
    if any(key in atoms.arrays for atoms in images):
        absent = np.full((len(images[0]), 3), np.nan)
        forces = np.array([np.asarray(atoms.arrays.get(key, absent), dtype=float) for atoms in images])
    prefix = f'{_CONTRIBUTION}{slug}__'
    names = sorted({name for atoms in images for name in atoms.info if name.startswith(prefix)})
    contributions = {name.removeprefix(prefix): collect(name) for name in names}
    sigma = collect(f'{_SIGMA}{slug}')
    known = None if np.isnan(sigma).all() else sigma
    return Label(collect(f'{_ENERGY}{slug}'), forces, source, contributions, known, kind)


def _json_entry(atoms: Atoms, name: str) -> Json:
    given = atoms.info.get(name, {})
    # ASE turns text that looks like JSON into what it says, in some versions.
    found = json.loads(given) if isinstance(given, str) else given
    if not isinstance(found, dict):
        raise SnapshotsError(f'{name} of the first frame is not a JSON object')
    return found


def _number(value: Any) -> float:
    """NaN for what is not a number: an empty ``energy=`` is read as text or as a flag."""
    if isinstance(value, bool | np.bool_) or value is None:
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _join(values: NDArray[np.float64]) -> str:
    return ' '.join(_digits(value) for value in values)


def _digits(value: float) -> str:
    """Return the shortest text that reads back as the same number."""
    return repr(float(value))


def _escape(text: str) -> str:
    return text.replace('\\', '\\\\').replace('"', '\\"')
