"""What lies beside the page: CSV of every curve, phonopy's files of every method, figures for print."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm
from aiida_phonopy.data.phonopy import PhonopyData

from aiida_mlcc.report.csv_files import safe, write
from aiida_mlcc.report.curve_table import in_place
from aiida_mlcc.report.data.arrays import Curves, Dispersion
from aiida_mlcc.report.data.records import Results
from aiida_mlcc.report.data.references import Residual
from aiida_mlcc.report.data.run import Findings
from aiida_mlcc.report.page.tables import error_rows
from aiida_mlcc.science.labels.methods import slug_of

if TYPE_CHECKING:
    from phonopy import Phonopy


def write_csv(found: Findings, folder: Path) -> list[Path]:
    """Write the curves and the tables of frequencies, a file a method and kind; return the files."""
    return [
        write(folder / f'{files.kind}_{slug_of(method)}.csv', *content)
        for files in in_place('files', found)
        for method, content in files.contents.items()
    ]


def mean_phonons(curves: Curves) -> tuple[dict[str, Phonopy], dict[str, str]]:
    """Return phonopy's phonons by method, and which are missing and why.

    The force constants are the mean of the members': a mean of frequencies has no eigenvectors.
    """
    found, missing = {}, {}
    for method, curve in curves.dispersion.items():
        creator = orm.load_node(curve.uuid).creator
        links = [] if creator is None else creator.base.links.get_incoming().all()
        inputs = [link.node for link in links if isinstance(link.node, PhonopyData)]
        nac = next((link.node for link in links if link.link_label == 'nac'), None)
        if not inputs:
            missing[method] = 'the dispersion was not made from forces that this database holds'
            continue
        try:
            found[method] = _mean_phonon(inputs, nac)
        except (ValueError, RuntimeError, KeyError) as error:
            missing[method] = ' '.join(str(error).split())
    return found, missing


def write_phonopy_files(curves: Curves, phonons: Mapping[str, Phonopy], folder: Path) -> list[Path]:
    """Write ``phonopy_params_METHOD.yaml`` and ``band_METHOD.yaml`` of every method; return the files.

    The first has cells, mean force constants and Born charges, for ``phonopy-load``; the second the dispersion with
    eigenvectors, as phononwebsite reads it.

    :param phonons: METHOD → what :func:`mean_phonons` gives.
    """
    written = []
    kept = {'force_constants': True, 'force_sets': False, 'displacements': False}
    for method, phonon in phonons.items():
        written.append(folder / f'phonopy_params_{slug_of(method)}.yaml')
        phonon.save(written[-1], settings={**kept, 'born_effective_charge': True, 'dielectric_constant': True})
        run_along(phonon, curves.dispersion[method])
        written.append(folder / f'band_{slug_of(method)}.yaml')
        phonon.write_yaml_band_structure(filename=written[-1])
    return written


def write_errors(results: Results, folder: Path) -> Path | None:
    """Write the errors of the force fields, a row a member; return the file, None where there are none."""
    if not (found := error_rows(results)):
        return None
    columns = {
        'method': 'method',
        'member': 'member',
        'energy': 'energy_mev_atom',
        'kind': 'estimated_on',
        'forces': 'forces_mev_angstrom',
        'spread': 'spread_mev_atom',
    }
    rows = [
        ['' if cell is None else _safe_cell(cell) for cell in (getattr(row, name) for name in columns)] for row in found
    ]
    return write(folder / 'errors.csv', list(columns.values()), rows)


def write_residuals(found: Sequence[Residual], folder: Path) -> Path:
    """Write the comparison with references, cm⁻¹, and the distance of each along the path, Å⁻¹; return the file."""
    header = ['method', 'label', 'q1', 'q2', 'q3', 'modes', 'calculated', 'sd', 'reference', 'uncertainty', 'residual']
    rows = (
        [
            entry.method,
            safe(entry.point.label or ''),
            *(entry.point.qpoint or ('', '', '')),
            ' '.join(map(str, entry.point.modes)),
            entry.calculated_cm1,
            entry.sd_cm1,
            entry.point.frequency_cm1,
            '' if entry.point.uncertainty_cm1 is None else entry.point.uncertainty_cm1,
            entry.residual_cm1,
            safe(entry.point.kind),
            safe(entry.point.citation),
            entry.distance,
        ]
        for entry in found
    )
    return write(folder / 'residuals.csv', [*header, 'kind', 'citation', 'distance'], rows)


def _safe_cell(cell: Any) -> Any:
    return safe(cell) if isinstance(cell, str) else cell


def _mean_phonon(nodes: Sequence[PhonopyData], nac: orm.ArrayData | None) -> Phonopy:
    from aiida_mlcc.calculations.functions.phonopy_instance import PhonopyInstances

    instances = PhonopyInstances()
    phonons = [instances.of(node, nac) for node in nodes]
    mean = phonons[0]
    mean.force_constants = np.mean(np.array([phonon.force_constants for phonon in phonons]), axis=0)
    return mean


def run_along(phonon: Phonopy, curve: Dispersion) -> None:
    """Run the band structure of phonopy, with eigenvectors, along the path of a dispersion."""
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
