"""What lies beside the page: CSV of every curve, ``band.yaml`` of every method, figures for print."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida_phonopy.data.phonopy import PhonopyData

from aiida_mlcc.report.curves import AlongPath, Curve, Curves, Density, Dispersion, over_temperature
from aiida_mlcc.report.phonons import label_at_gamma
from aiida_mlcc.report.references import Residual
from aiida_mlcc.science.methods import slug_of

_Content = tuple[list[str], Iterable[Sequence[Any]]]
"""The header and the rows of a file."""


def write_csv(curves: Curves, results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the curves and the tables of frequencies, a file a method and kind; return the files.

    Frequencies are in cm⁻¹, distances in Å⁻¹ (with 2π), densities in modes per cm⁻¹ of the primitive cell, lags in fs,
    temperatures in K; what else has a unit has it in the name of its column.
    """
    files: dict[str, Mapping[str, _Content]] = {
        'bands': {method: _along_path(curve) for method, curve in curves.dispersion.items()},
        'gruneisen': {method: _along_path(curve) for method, curve in curves.gruneisen.items()},
        'dos': {method: _density(curve) for method, curve in curves.dos.items()},
        'vdos': {method: _density(curve) for method, curve in curves.vdos.items()},
        'harmonic_dos': {method: _density(curve) for method, curve in curves.harmonic.items()},
        'vacf': {method: _curve(curve, 'lag_fs') for method, curve in curves.autocorrelation.items()},
        'thermal': _over_temperature(results, 'thermal_properties', '{}'),
        'mean_square_displacements': _over_temperature(results, 'mean_square_displacements_A2', '{}_A2'),
        'special_points': {
            method: _points(entry['special_points_cm1'], entry.get('gamma_modes', ()))
            for method, entry in results['methods'].items()
        },
        'peaks': _of_dynamics(results, 'peaks', lambda content: content['peaks']),
        'sampling': _of_dynamics(
            results, 'sampling', lambda content: [{'trajectory': n, **run} for n, run in content['runs'].items()]
        ),
    }
    return [
        _write(folder / f'{kind}_{slug_of(method)}.csv', *content)
        for kind, named in files.items()
        for method, content in named.items()
    ]


def write_band_yaml(curves: Curves, folder: Path) -> tuple[list[Path], dict[str, str]]:
    """Write ``band.yaml`` with eigenvectors, as phononwebsite reads it; return the files and what is missing and why.

    The force constants are the mean of the members': a mean of frequencies has no eigenvectors.
    """
    written, missing = [], {}
    for method, curve in curves.dispersion.items():
        creator = orm.load_node(curve.uuid).creator
        links = [] if creator is None else creator.base.links.get_incoming().all()
        inputs = [link.node for link in links if isinstance(link.node, PhonopyData)]
        nac = next((link.node for link in links if link.link_label == 'nac'), None)
        if not inputs:
            missing[method] = 'the dispersion was not made from forces that this database holds'
            continue
        try:
            phonon = _mean_phonon(inputs, nac)
            _run_along(phonon, curve)
        except (ValueError, RuntimeError, KeyError) as error:
            missing[method] = ' '.join(str(error).split())
            continue
        written.append(folder / f'band_{slug_of(method)}.yaml')
        phonon.write_yaml_band_structure(filename=written[-1])
    return written, missing


def write_residuals(found: Sequence[Residual], folder: Path) -> Path:
    """Write the comparison with references, cm⁻¹; return the file."""
    header = ['method', 'label', 'q1', 'q2', 'q3', 'modes', 'calculated', 'sd', 'reference', 'uncertainty', 'residual']
    rows = (
        [
            entry.method,
            _cell(entry.point.label or ''),
            *(entry.point.qpoint or ('', '', '')),
            ' '.join(map(str, entry.point.modes)),
            entry.calculated_cm1,
            entry.sd_cm1,
            entry.point.frequency_cm1,
            '' if entry.point.uncertainty_cm1 is None else entry.point.uncertainty_cm1,
            entry.residual_cm1,
            _cell(entry.point.kind),
            _cell(entry.point.citation),
        ]
        for entry in found
    )
    return _write(folder / 'residuals.csv', [*header, 'kind', 'citation'], rows)


def _mean_phonon(nodes: Sequence[PhonopyData], nac: orm.ArrayData | None) -> Any:
    from aiida_mlcc.calculations.functions.phonopy_instance import phonopy_of

    phonons = [phonopy_of(node, nac) for node in nodes]
    mean = phonons[0]
    mean.force_constants = np.mean([phonon.force_constants for phonon in phonons], axis=0)
    return mean


def _run_along(phonon: Any, curve: Dispersion) -> None:
    segments = curve.path.segments
    ends = [part.indices(len(curve.qpoints))[:2] for part in segments]
    marked = dict(curve.labels)
    paths, labels, joined = [], [], []
    for first, stop in _between_labels(ends, marked):
        paths.append(curve.qpoints[first:stop])
        labels.append((marked.get(first, ''), marked.get(stop - 1, '')))
    names: list[str] = []
    for number, (begin, end) in enumerate(labels):
        connected = number + 1 < len(paths) and np.allclose(paths[number][-1], paths[number + 1][0])
        joined.append(connected)
        if number == 0 or not joined[number - 1]:
            names.append(_plain(begin))
        names.append(_plain(end))
    phonon.run_band_structure(paths, with_eigenvectors=True, path_connections=joined, labels=names)


def _between_labels(ends: Iterable[tuple[int, int]], marked: Mapping[int, str]) -> list[tuple[int, int]]:
    """Cut the stretches of a path at its special points; neighbours share the point, as phonopy has it."""
    pieces = []
    for first, stop in ends:
        cuts = [first, *(index for index in sorted(marked) if first < index < stop - 1), stop - 1]
        pieces += [(a, b + 1) for a, b in pairwise(cuts) if b > a]
    return pieces


def _plain(label: str) -> str:
    """Keep a label from being anything but text in YAML."""
    return re.sub(r'\W', '', label)


def _along_path(curve: AlongPath) -> _Content:
    header = ['distance', 'q1', 'q2', 'q3', 'label', 'branch', 'mean', 'min', 'max', 'sd', *map(_cell, curve.members)]
    labels = dict(curve.labels)
    rows = (
        [
            curve.path.distances[point],
            *curve.qpoints[point],
            _cell(labels.get(point, '')),
            branch + 1,
            *(array[point, branch] for array in (curve.mean, curve.low, curve.high, curve.sd, *curve.members.values())),
        ]
        for branch in range(curve.mean.shape[1])
        for point in range(len(curve.qpoints))
    )
    return header, rows


def _curve(curve: Curve, along: str, **more: Any) -> _Content:
    named = {along: curve.x, **_spread(curve)}
    named |= {_cell(f'element_{symbol}'): values for symbol, values in curve.elements.items()}
    named |= {_cell(name): values for name, values in more.items()}
    return list(named), zip(*named.values(), strict=True)


def _density(curve: Density) -> _Content:
    return _curve(curve, 'frequency_cm1', **curve.more)


def _spread(curve: Curve) -> dict[str, Any]:
    named = {'mean': curve.mean, 'min': curve.low, 'max': curve.high, 'sd': curve.sd}
    return named | {_cell(name): values for name, values in curve.members.items()}


def _over_temperature(results: Mapping[str, Any], kind: str, name: str) -> dict[str, _Content]:
    """Return method → temperatures with the spread of every quantity beside them."""
    found: dict[str, dict[str, Any]] = {}
    for quantity, curves in over_temperature(results, kind).items():
        for method, curve in curves.items():
            named = found.setdefault(method, {'temperature_K': curve.x})
            named |= {_cell(f'{name.format(quantity)}_{part}'): values for part, values in _spread(curve).items()}
    return {method: (list(named), zip(*named.values(), strict=True)) for method, named in found.items()}


def _of_dynamics(
    results: Mapping[str, Any], kind: str, entries: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]]
) -> dict[str, _Content]:
    """Return method → its table; empty cells where something is not known."""
    found = {method: entries(entry[kind]) for method, entry in results['dynamics'].items() if kind in entry}
    return {
        method: (list(rows[0]), [['' if cell is None else _text(cell) for cell in row.values()] for row in rows])
        for method, rows in found.items()
        if rows
    }


def _points(points: Mapping[str, Any], modes_at_gamma: Sequence[Mapping[str, Any]]) -> _Content:
    header = ['label', 'q1', 'q2', 'q3', 'mode', 'mean', 'min', 'max', 'sd', 'commensurate', 'irreducible']
    rows = (
        [
            _cell(label),
            *entry['qpoint'],
            mode + 1,
            *(entry[name][mode] for name in ('mean', 'min', 'max', 'sd')),
            '' if entry['commensurate'] is None else entry['commensurate'],
            _cell(label_at_gamma(modes_at_gamma, entry['mean'][mode])) if label == 'GAMMA' else '',
        ]
        for label, entry in points.items()
        for mode in range(len(entry['mean']))
    )
    return header, rows


def _text(cell: Any) -> Any:
    return _cell(cell) if isinstance(cell, str) else cell


def _cell(text: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{text}" if str(text)[:1] in ('=', '+', '-', '@') else str(text)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(header)
        writer.writerows([_number(value) for value in row] for row in rows)
    return path


def _number(value: Any) -> Any:
    """Write a number, an empty cell where there is none, and leave what is no number as it is."""
    if not isinstance(value, (float, np.floating)):
        return value
    return f'{value:.10g}' if np.isfinite(value) else ''
