"""What lies beside the page: CSV of every curve, ``band.yaml`` of every method, figures for print."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida_phonopy.data.phonopy import PhonopyData

from aiida_mlcc.report.curves import Curves, Density, Dispersion
from aiida_mlcc.report.references import Residual
from aiida_mlcc.science.methods import slug_of


def write_csv(curves: Curves, results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the dispersions, densities of states and special points, a file a method; return the files.

    Frequencies are in cm⁻¹, distances in Å⁻¹ (with 2π), densities in modes per cm⁻¹ of the primitive cell.
    """
    written = []
    for method, curve in curves.dispersion.items():
        written.append(_write(folder / f'bands_{slug_of(method)}.csv', *_bands(curve)))
    for kind, named in (('dos', curves.dos), ('vdos', curves.vdos)):
        for method, density in named.items():
            written.append(_write(folder / f'{kind}_{slug_of(method)}.csv', *_density(density)))
    for method, entry in results['methods'].items():
        written.append(_write(folder / f'special_points_{slug_of(method)}.csv', *_points(entry['special_points_cm1'])))
    return written


def write_band_yaml(curves: Curves, folder: Path) -> tuple[list[Path], dict[str, str]]:
    """Write ``band.yaml`` with eigenvectors, as phononwebsite reads it; return the files and what is missing and why.

    The force constants are the mean of the members': a mean of sorted frequencies has no eigenvectors.
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


def _bands(curve: Dispersion) -> tuple[list[str], Iterable[Sequence[Any]]]:
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


def _density(curve: Density) -> tuple[list[str], Iterable[Sequence[Any]]]:
    named = {'frequency_cm1': curve.frequencies, 'mean': curve.mean, 'min': curve.low, 'max': curve.high}
    named |= {'sd': curve.sd} | {_cell(name): values for name, values in curve.members.items()}
    named |= {_cell(f'element_{symbol}'): values for symbol, values in curve.elements.items()}
    return list(named), zip(*named.values(), strict=True)


def _points(points: Mapping[str, Any]) -> tuple[list[str], Iterable[Sequence[Any]]]:
    header = ['label', 'q1', 'q2', 'q3', 'mode', 'mean', 'min', 'max', 'sd', 'commensurate']
    rows = (
        [
            _cell(label),
            *entry['qpoint'],
            mode + 1,
            *(entry[name][mode] for name in ('mean', 'min', 'max', 'sd')),
            '' if entry['commensurate'] is None else entry['commensurate'],
        ]
        for label, entry in points.items()
        for mode in range(len(entry['mean']))
    )
    return header, rows


def _cell(text: str) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{text}" if str(text)[:1] in ('=', '+', '-', '@') else str(text)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(header)
        writer.writerows(
            [f'{value:.10g}' if isinstance(value, (float, np.floating)) else value for value in row] for row in rows
        )
    return path
