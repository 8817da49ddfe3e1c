"""Frequencies from elsewhere, measured or calculated, beside those of a run: with unit, error and source."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from aiida import orm
from aiida.plugins import DataFactory
from ase import Atoms
from numpy.typing import NDArray
from scipy import constants

from aiida_mlcc.report.data.arrays import Dispersion
from aiida_mlcc.report.data.modes import qpoint_text
from aiida_mlcc.report.data.records import SpecialPoint
from aiida_mlcc.report.text import PRETTY
from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.units import CM1_PER_THZ

CM1_PER_UNIT = {
    'cm-1': 1.0,
    'THz': CM1_PER_THZ,
    'meV': constants.milli * constants.e / (100 * constants.h * constants.c),
}
"""Wavenumbers in cm⁻¹ per unit of frequency or energy that a reference may have."""

_KEYS = {'label', 'qpoint', 'modes', 'value', 'unit', 'uncertainty', 'kind', 'temperature', 'citation', 'doi', 'note'}
_NEEDED = ('modes', 'value', 'unit', 'citation')
_LEFT_OUT = ('what', 'citation', 'doi', 'reason')
_ON_PATH = 1e-4


class UnreadableReferences(ValueError):
    """A file of references that cannot be read as such: the sentence says which entry and why."""


@dataclass(frozen=True)
class ReferencePoint:
    """One frequency, of one mode or of several degenerate ones.

    :param label: of the special point, None where `qpoint` (units of the reciprocal vectors) is given instead.
    :param modes: counted from 1, in ascending order of the frequencies.
    :param uncertainty_cm1: None where the source gives none.
    """

    label: str | None
    qpoint: tuple[float, float, float] | None
    modes: tuple[int, ...]
    frequency_cm1: float
    uncertainty_cm1: float | None
    kind: str
    citation: str
    doi: str
    note: str


@dataclass(frozen=True)
class References:
    """Points of one crystal, and what is known to exist but was left out, each with its reason."""

    name: str
    points: tuple[ReferencePoint, ...] = ()
    left_out: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class Residual:
    """A calculated frequency minus a reference.

    :param sd_cm1: of the calculated frequency, the largest of the modes.
    :param distance: where the point lies on the axis of the dispersion, Å⁻¹.
    """

    method: str
    point: ReferencePoint
    calculated_cm1: float
    sd_cm1: float
    distance: float

    @property
    def residual_cm1(self) -> float:
        """Return calculated minus reference."""
        return self.calculated_cm1 - self.point.frequency_cm1

    @property
    def calculated_text(self) -> str:
        """Return the calculated frequency ± its sd, without where there is but one member."""
        return f'{self.calculated_cm1:.1f} ± {self.sd_cm1:.1f}' if self.sd_cm1 > 0 else f'{self.calculated_cm1:.1f}'


def read_references(path: Path) -> References:
    """Read references from a YAML or CSV file.

    :raises UnreadableReferences: naming the entry and what is wrong with it.
    """
    try:
        text = path.read_text(encoding='utf-8')
        if path.suffix.lower() == '.csv':
            entries = [_from_row(row) for row in csv.DictReader(text.splitlines())]
            content: Any = {'name': path.stem, 'points': entries}
        else:
            content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error) as error:
        raise UnreadableReferences(f'{path.name} cannot be read: {" ".join(str(error).split())}') from None
    return _references(content, path.name)


def shipped_references(atoms: Atoms | None) -> References | None:
    """Return the references that come with the package for this crystal, None where there are none."""
    if atoms is None:
        return None
    formula, spacegroup = _formula(atoms), _spacegroup(atoms)
    for file in resources.files('aiida_mlcc.report').joinpath('references').iterdir():
        if not file.name.endswith('.yaml'):
            continue
        content = yaml.safe_load(file.read_text(encoding='utf-8'))
        if content['crystal'] == {'formula': formula, 'spacegroup': spacegroup}:
            return _references(content, file.name)
    return None


_MINIMAL = re.compile(r'szv|sto-?\dg|minao|mini\b', re.IGNORECASE)


def minimal_bases(process: orm.ProcessNode) -> list[str]:
    """Return the minimal basis sets among those of the labels of a run: what they give is not to be compared with
    measured frequencies."""
    bases = dict.fromkeys(str(source.get('basis') or '') for source in label_sources(process).values())
    return [basis for basis in bases if _MINIMAL.search(basis)]


def label_sources(process: orm.ProcessNode) -> dict[str, Source]:
    """Return method → source of the labels of a run."""
    for links in (process.base.links.get_outgoing, process.base.links.get_incoming):
        nodes = links(link_label_filter='snapshots').all_nodes()
        if nodes and isinstance(nodes[0], DataFactory('mlcc.snapshots')):
            return {method: label.source for method, label in nodes[0].get_snapshots().labels.items()}
    return {}


def residuals(
    dispersion: Mapping[str, Dispersion],
    points: Iterable[ReferencePoint],
    known: Mapping[str, Mapping[str, SpecialPoint]] | None = None,
) -> list[Residual]:
    """Return calculated minus reference for every method; points off the path are left out.

    Between two q-points of the path, frequencies are interpolated branch by branch.

    :param known: METHOD → LABEL → ``mean`` and ``sd`` of each mode (cm⁻¹): with the sd of the error budget.
    """
    found = []
    for point in points:
        for method, curve in dispersion.items():
            at = _where(curve, point)
            if at is None or max(point.modes) > curve.mean.shape[1]:
                continue
            index, weight = at
            steps = slice(index, index + 2) if weight else slice(index, index + 1)
            weights = np.array([1 - weight, weight] if weight else [1.0])
            distance = float(weights @ curve.path.distances[steps])
            special = None if point.label is None else (known or {}).get(method, {}).get(point.label)
            values, sd = (
                (weights @ curve.mean[steps], weights @ curve.sd[steps])
                if special is None
                else (np.asarray(special['mean']), np.asarray(special['sd']))
            )
            # Branches keep their number where they cross; references count in ascending order.
            chosen = np.argsort(values)[[mode - 1 for mode in point.modes]]
            found.append(Residual(method, point, float(values[chosen].mean()), float(sd[chosen].max()), distance))
    return found


def residual_lines(found: Iterable[Residual]) -> list[str]:
    """Return one line a residual: the place, calculated ± sd, the reference, and the difference (cm⁻¹)."""
    lines = []
    for entry in found:
        point = entry.point
        place = PRETTY.get(point.label, point.label) if point.label else f'({qpoint_text(point.qpoint or ())})'
        modes = ' '.join(map(str, point.modes))
        lines.append(
            f'{entry.method} at {place}, modes {modes}: {entry.calculated_text}, '
            f'{point.kind} {point.frequency_cm1:.1f}, difference {entry.residual_cm1:+.1f} cm⁻¹'
        )
    return lines


def _where(curve: Dispersion, point: ReferencePoint) -> tuple[int, float] | None:
    """Return the q-point of the path that `point` follows, and how far it is on the way to the next."""
    if point.qpoint is None:
        labels = [(at, name) for at, name in curve.labels if name == point.label]
        return (labels[0][0], 0.0) if labels else None
    wanted = np.asarray(point.qpoint)
    for segment in curve.path.segments:
        start, stop, _ = segment.indices(len(curve.qpoints))
        for index in range(start, stop):
            if np.abs(curve.qpoints[index] - wanted).max() < _ON_PATH:
                return index, 0.0
            if index + 1 < stop and (weight := _between(curve.qpoints[index : index + 2], wanted)) is not None:
                return index, weight
    return None


def _between(ends: NDArray[np.float64], wanted: NDArray[np.float64]) -> float | None:
    step = ends[1] - ends[0]
    length = float(step @ step)
    weight = float((wanted - ends[0]) @ step) / length if length else -1.0
    on_line = 0 < weight < 1 and np.abs(ends[0] + weight * step - wanted).max() < _ON_PATH
    return weight if on_line else None


def _references(content: Any, file: str) -> References:
    if not isinstance(content, Mapping) or not isinstance(content.get('points'), list):
        raise UnreadableReferences(f'{file} has no list `points`: give one entry a frequency')
    points = tuple(_point(entry, f'{file}, point {number}') for number, entry in enumerate(content['points'], start=1))
    entries = content.get('left_out') or []
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UnreadableReferences(f'{file}: `left_out` is a list of entries with {", ".join(_LEFT_OUT)}')
    left_out = tuple({name: ' '.join(str(entry.get(name) or '').split()) for name in _LEFT_OUT} for entry in entries)
    return References(str(content.get('name', file)), points, left_out)


def _point(entry: Any, where: str) -> ReferencePoint:
    if not isinstance(entry, Mapping):
        raise UnreadableReferences(f'{where} is not a mapping of names to values')
    if unknown := sorted(set(map(str, entry)) - _KEYS):
        raise UnreadableReferences(
            f'{where} has an unknown name `{unknown[0]}`: choose from {", ".join(sorted(_KEYS))}'
        )
    if missing := [name for name in _NEEDED if entry.get(name) in (None, '', [])]:
        raise UnreadableReferences(f'{where} has no `{missing[0]}`')
    if (entry.get('label') is None) == (entry.get('qpoint') is None):
        raise UnreadableReferences(f'{where} needs one of `label` and `qpoint`')
    unit = entry['unit']
    if unit not in CM1_PER_UNIT:
        raise UnreadableReferences(f'{where} has the unknown unit {unit!r}: give one of {", ".join(CM1_PER_UNIT)}')
    qpoint = entry.get('qpoint')
    try:
        value, error = float(entry['value']), entry.get('uncertainty')
        uncertainty = None if error is None else float(error) * CM1_PER_UNIT[unit]
        modes = tuple(int(mode) for mode in entry['modes'])
        place: Any = None if qpoint is None else tuple(float(component) for component in qpoint)
    except (TypeError, ValueError):
        raise UnreadableReferences(
            f'{where} has a value that is not a number, or modes that are not a list of numbers'
        ) from None
    if not np.isfinite([value, uncertainty or 0.0]).all() or min(modes) < 1 or len(place or (0, 0, 0)) != 3:
        raise UnreadableReferences(
            f'{where}: values are finite, modes count from 1, and a q-point has three components'
        )
    return ReferencePoint(
        label=None if entry.get('label') is None else str(entry['label']),
        qpoint=place,
        modes=modes,
        frequency_cm1=value * CM1_PER_UNIT[unit],
        uncertainty_cm1=uncertainty,
        kind=str(entry.get('kind') or 'reference'),
        citation=' '.join(str(entry['citation']).split()),
        doi=str(entry.get('doi') or ''),
        note=str(entry.get('note') or ''),
    )


def _from_row(row: Mapping[str, str | None]) -> dict[str, str | list[str]]:
    """Read a line of CSV: lists are written with spaces between their members."""
    entry = {name: text.strip() for name, text in row.items() if isinstance(text, str) and text.strip()}
    return {name: text.split() if name in ('modes', 'qpoint') else text for name, text in entry.items()}


def _formula(atoms: Atoms) -> str:
    return atoms.get_chemical_formula(empirical=True)


def _spacegroup(atoms: Atoms) -> int | None:
    import spglib

    found = spglib.get_spacegroup((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=1e-3)
    return None if found is None else int(found.split('(')[1].rstrip(')'))
