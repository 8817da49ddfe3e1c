"""What a bundle holds of one run, written from the archive that is published: data, labels, models, phonons, page."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm
from aiida.plugins import DataFactory
from numpy.typing import NDArray

from aiida_mlcc.report.curve_table import Files, in_place
from aiida_mlcc.report.data.arrays import AlongPath, Curve, Curves
from aiida_mlcc.report.data.outputs import by_method, outputs_of
from aiida_mlcc.report.data.run import Findings, read_run
from aiida_mlcc.report.exports import mean_phonons, run_along, write_csv, write_errors, write_residuals
from aiida_mlcc.report.page.motion import motions_of
from aiida_mlcc.report.page.page import PAGE, render
from aiida_mlcc.report.page.provenance import formula_of, versions_of
from aiida_mlcc.report.print.figures import NothingToPlot
from aiida_mlcc.report.provenance.label_jobs import ancestors_of, sources_of
from aiida_mlcc.report.provenance.trace import Energy, Trace, energies_of, trace
from aiida_mlcc.report.publication.captions import figures_with_captions
from aiida_mlcc.report.publication.entries import (
    CodeEntry,
    Column,
    ColumnOfNode,
    CurveEntry,
    LabelEntry,
    ModelEntry,
    RunEntry,
    Shape,
)
from aiida_mlcc.report.publication.private_names import Scrubber, Secrets
from aiida_mlcc.report.publication.verify_bundle import is_column, numbers, read_table, sha256
from aiida_mlcc.science.labels.extxyz import frame_text
from aiida_mlcc.science.labels.methods import DFT, in_order, slug_of, usual_kind
from aiida_mlcc.science.labels.snapshots import Snapshots

if TYPE_CHECKING:
    from phonopy import Phonopy

    from aiida_mlcc.data.force_field import ForceFieldData

_FORCE_FIELDS = ('base', 'control', 'delta_ml')
_ALONG = ('bands', 'gruneisen')
_PLAIN = re.compile(r'[^\w.()-]+')


@dataclass
class RunContent:
    """What was written of a run.

    :param entry: of ``runs`` in ``curves.json``.
    :param missing: what could not be written, and why.
    """

    process: orm.ProcessNode
    found: Findings
    entry: RunEntry
    missing: list[str] = field(default_factory=list)


def write_run(process: orm.ProcessNode, bundle: Path, folder: str, without_models: bool) -> RunContent:
    """Write everything of a run but its figures.

    :param folder: of the run below ``data``, ``labels`` and so on; empty for a run alone.
    :raises NothingToPlot: where the run has no curve of any kind.
    """
    found = read_run(process)
    curves = found.curves
    if not curves.methods:
        raise NothingToPlot(f'{process.process_label}<{process.pk}> has no curve to publish')
    data = bundle / 'data' / folder
    data.mkdir(parents=True, exist_ok=True)
    write_csv(found, data)
    tables = {}
    if (errors := write_errors(found.results, data)) is not None:
        tables['errors'] = _relative(errors, bundle)
    if found.residuals:
        tables['residuals'] = _relative(write_residuals(found.residuals, data), bundle)
    traces = _Traces(process, curves)
    labels = _write_labels(traces, bundle, folder)
    models = [] if without_models else _write_models(traces, bundle, folder)
    phonons, without = mean_phonons(curves)
    motions = motions_of(curves, phonons)
    _write_phonons(phonons, curves, bundle, folder)
    missing = [f'no phonopy.yaml of {method}: {reason}' for method, reason in without.items()]
    entry: RunEntry = {
        'uuid': process.uuid,
        'folder': folder,
        'label': process.label,
        'formula': formula_of(process),
        'versions': versions_of(process),
        'curves': [one for files in in_place('files', found) for one in _curves(files, found, traces, bundle, folder)],
        'tables': tables,
        'labels': labels,
        'models': models,
        'figures': [],
    }
    entry['figures'] = figures_with_captions(found, entry)
    page = bundle / 'report' / folder / PAGE
    page.parent.mkdir(parents=True, exist_ok=True)
    beside = sorted(path for path in data.iterdir() if path.is_file())
    up = '../' * (len(page.parent.relative_to(bundle).parts))
    page.write_text(
        render(found, [f'{up}{_relative(path, bundle)}' for path in beside], missing, motions), encoding='utf-8'
    )
    return RunContent(process, found, entry, missing)


class _Traces:
    """What each curve of a run was made from; curves of one calculation are made from the same."""

    def __init__(self, process: orm.ProcessNode, curves: Curves) -> None:
        self.process = process
        self.curves = curves
        self._known: dict[str, tuple[Trace, Sequence[int]]] = {}

    def of(self, node: orm.Data) -> tuple[Trace, Sequence[int]]:
        """Return the trace of a node, and the PKs of its ancestors."""
        key = node.uuid if node.creator is None else node.creator.uuid
        if key not in self._known:
            self._known[key] = trace(node), ancestors_of(node)
        return self._known[key]

    def training_sets(self) -> list[Any]:
        """Return every set of snapshots that a force field of the run was trained on."""
        nodes = [orm.load_node(curve.uuid) for curve in self.curves.dispersion.values()]
        found = dict.fromkeys(uuid for node in nodes for uuid in self.of(node)[0].training_sets)
        if not found and (given := outputs_of(self.process).get('snapshots')) is not None:
            return [given]
        return [orm.load_node(uuid) for uuid in found]

    def force_fields(self) -> dict[str, dict[str, ForceFieldData]]:
        """Return method → member → force field: those that the run gave, or where it gave none those of its curves."""
        kind = DataFactory('mlcc.force_field')
        found: dict[str, dict[str, ForceFieldData]] = {}
        for label, node in sorted(outputs_of(self.process).items()):
            name, *keys = label.split('__')
            if name in _FORCE_FIELDS and isinstance(node, kind):
                found.setdefault(node.method, {})[keys[-1]] = node
        if not found:
            for curve in self.curves.dispersion.values():
                for uuid in self.of(orm.load_node(curve.uuid))[0].force_fields:
                    node = orm.load_node(uuid)
                    found.setdefault(node.method, {})[uuid[:8]] = node
        return {method: found[method] for method in in_order(found)}


def _curves(files: Files, found: Findings, traces: _Traces, bundle: Path, folder: str) -> list[CurveEntry]:
    """Return the entries of the CSV files of one kind."""
    entries: list[CurveEntry] = []
    for method in files.contents:
        named = {name: by_method(found.process, name).get(method) for name in files.outputs}
        nodes = [node for node in named.values() if node is not None]
        if not nodes:
            continue
        path = bundle / 'data' / folder / f'{files.kind}_{slug_of(method)}.csv'
        table = read_table(path)
        traced, ancestors = traces.of(nodes[0])
        creator = nodes[0].creator
        entries.append(
            {
                'id': f'{files.kind}_{slug_of(method)}',
                'kind': files.kind,
                'method': method,
                'csv': _relative(path, bundle),
                'sha256': sha256(path),
                'nodes': [node.uuid for node in nodes],
                'created_by': None
                if creator is None
                else {
                    'node': creator.uuid,
                    'process': creator.process_label or '',
                    'versions': versions_of(creator),
                },
                'members': _members(files.kind, method, found.curves, table),
                'columns': _columns(files.kind, table, nodes),
                **_shape(files.kind, method, found.curves, nodes[0]),
                'codes': _codes(ancestors),
                'models': traced.force_fields,
                'training_sets': traced.training_sets,
                'label_methods': list(dict.fromkeys(energy.method for energy in traced.energies)),
                'labels': list(dict.fromkeys(energy.node for energy in traced.energies)),
                'jobs': list(dict.fromkeys(e.calculation for e in traced.energies if e.calculation)),
            }
        )
    return entries


def _members(kind: str, method: str, curves: Curves, table: Collection[str]) -> list[str]:
    """Return the columns of a CSV file that are members."""
    of_kind: dict[str, Mapping[str, AlongPath | Curve]] = {
        'bands': curves.dispersion,
        'gruneisen': curves.gruneisen,
        'dos': curves.dos,
        'vdos': curves.vdos,
        'harmonic_dos': curves.harmonic,
        'vacf': curves.autocorrelation,
    }
    curve = of_kind.get(kind, {}).get(method)
    return [] if curve is None else [name for name in curve.members if name in table]


def _shape(kind: str, method: str, curves: Curves, node: Any) -> Shape:  # noqa: ARG001
    """Return what a CSV file does not tell: the cell that wave vectors belong to, the atoms of a density of states."""
    if kind in _ALONG:
        shape: Shape = {'cell': np.asarray(orm.load_node(curves.dispersion[method].uuid).cell).tolist()}
        return {**shape, 'sd_of': curves.dispersion[method].sd_of} if kind == 'bands' else shape
    densities = {'dos': curves.dos, 'vdos': curves.vdos, 'harmonic_dos': curves.harmonic}.get(kind, {})
    return {'n_atoms': densities[method].n_atoms} if method in densities else {}


def _columns(kind: str, table: Mapping[str, list[str]], nodes: Sequence[Any]) -> dict[str, ColumnOfNode]:
    """Return column → node and array that hold the same numbers, for the columns that an array holds as they are."""
    found: dict[str, ColumnOfNode] = {}
    for node in nodes:
        if not isinstance(node, orm.ArrayData):
            continue
        arrays = _arrays(node)
        for name in table:
            if name in found or not _is_numeric(table[name]):
                continue
            column = numbers(table[name])
            for source in _candidates(name, arrays, kind in _ALONG):
                if is_column(column, source, arrays):
                    found[name] = {'node': node.uuid, **source}
                    break
    return found


def _arrays(node: orm.ArrayData) -> dict[str, NDArray[Any]]:
    arrays = {name: node.get_array(name) for name in node.get_arraynames()}
    for number, name in enumerate(node.base.attributes.get('y_names', None) or ()):
        arrays[str(name)] = arrays.pop(f'y_array_{number}')
    return {name: array for name, array in arrays.items() if np.issubdtype(array.dtype, np.number)}


def _candidates(column: str, arrays: Mapping[str, NDArray[Any]], by_branch: bool) -> Iterable[Column]:
    """Yield where the numbers of a column may be, what is called like it first."""
    plain = column.removeprefix("'")
    names = sorted(arrays, key=lambda name: (name != plain, not plain.startswith(name.split('_')[0]), name))
    for name in names:
        array = arrays[name]
        if array.ndim == (2 if by_branch else 1):
            yield {'array': name, 'by_branch': by_branch}
        if array.ndim == (3 if by_branch else 2) and len(array) <= 64:
            for index in range(len(array)):
                yield {'array': name, 'index': index, 'by_branch': by_branch}


def _is_numeric(cells: Sequence[str]) -> bool:
    try:
        return bool(np.isfinite([float(cell) for cell in cells if cell]).all()) and any(cells)
    except ValueError:
        return False


def _codes(ancestors: Sequence[int]) -> list[CodeEntry]:
    query = orm.QueryBuilder().append(orm.CalcJobNode, filters={'id': {'in': list(ancestors)}}, tag='job')
    query.append(orm.AbstractCode, with_outgoing='job', project='*', tag='code')
    codes = {code.uuid: code for code in query.all(flat=True)}
    return [{'node': uuid, 'label': codes[uuid].label} for uuid in sorted(codes)]


def _write_labels(traces: _Traces, bundle: Path, folder: str) -> list[LabelEntry]:
    """Write the labelled structures of every method; return the entries of ``curves.json``."""
    origins: dict[str, list[tuple[Any, Snapshots, Energy]]] = {}
    for known in traces.training_sets():
        snapshots = known.get_snapshots()
        seen = set()
        for energy in energies_of(known, sources_of(known), list(snapshots.methods)):
            # One energy can stand in several nodes: the first is where it was stored first.
            if (energy.method, energy.snapshot) not in seen:
                seen.add((energy.method, energy.snapshot))
                origins.setdefault(energy.method, []).append((known, snapshots, energy))
    kinds = _kinds(known for found in origins.values() for known, _, _ in found)
    base = next((m for m in in_order(origins, kinds) if (kinds.get(m) or usual_kind(m)) == DFT), None)
    entries: list[LabelEntry] = []
    # The archive keeps the source as it is, for the hash of the labels; nobody needs a path in it.
    without_paths = Scrubber(Secrets())
    target = bundle / 'labels' / folder
    for method in in_order(origins, kinds):
        target.mkdir(parents=True, exist_ok=True)
        path = target / f'{slug_of(method)}.extxyz'
        frames = sorted(origins[method], key=lambda origin: (origin[0].uuid, origin[2].snapshot))
        path.write_text(''.join(_frame(*origin, base) for origin in frames), encoding='utf-8')
        entries.append(
            {
                'method': method,
                'slug': slug_of(method),
                'base_slug': None if base is None else slug_of(base),
                'file': _relative(path, bundle),
                'source': without_paths.value(dict(frames[0][1].labels[method].source)),
                'energies': [
                    {
                        'training_set': known.uuid,
                        'snapshot': energy.snapshot,
                        'energy_eV': energy.energy_eV,
                        'node': energy.node,
                        'frame': energy.frame,
                        'calculation': energy.calculation,
                        'name': energy.name,
                    }
                    for known, _, energy in frames
                ],
            }
        )
    return entries


def _kinds(sets: Iterable[Any]) -> dict[str, str]:
    """Return the kinds of the methods that sets of snapshots name."""
    named = (entry for known in sets for entry in known.base.attributes.get('named', {}).values())
    return {entry['name']: entry['kind'] for entry in named}


def _frame(known: Any, snapshots: Snapshots, energy: Energy, base: str | None) -> str:
    label, slug = snapshots.labels[energy.method], slug_of(energy.method)
    entries: dict[str, float | int | str] = {'energy': energy.energy_eV}
    numbers = {f'energy_{slug}': energy.energy_eV}
    if base is not None:
        numbers[f'energy_{slug_of(base)}'] = _number(snapshots, base, energy.snapshot)
    if label.sigma is not None:
        numbers[f'sigma_{slug}'] = float(label.sigma[energy.snapshot])
    entries |= {name: value for name, value in numbers.items() if np.isfinite(value)}
    entries |= {
        'training_set': known.uuid,
        'snapshot': energy.snapshot,
        'node': energy.node,
        'frame': energy.frame,
        'calculation': energy.calculation or 'given',
    }
    forces = None if label.forces is None else label.forces[energy.snapshot]
    return frame_text(snapshots, energy.snapshot, entries, forces)


def _number(snapshots: Snapshots, method: str, frame: int) -> float:
    return float(snapshots.labels[method].energies[frame]) if method in snapshots.labels else np.nan


def _write_models(traces: _Traces, bundle: Path, folder: str) -> list[ModelEntry]:
    entries: list[ModelEntry] = []
    for method, members in traces.force_fields().items():
        for member, node in members.items():
            target = bundle / 'models' / folder / slug_of(method) / _PLAIN.sub('_', member)
            target.mkdir(parents=True, exist_ok=True)
            files = sorted(node.base.repository.list_object_names())
            for name in files:
                (target / name).write_bytes(node.base.repository.get_object_content(name, mode='rb'))
            entries.append(
                {
                    'method': method,
                    'member': member,
                    'node': node.uuid,
                    'folder': _relative(target, bundle),
                    'files': files,
                    'terms': [term['kind'] for term in node.base.attributes.get('terms')],
                }
            )
    return entries


def _write_phonons(phonons: Mapping[str, Phonopy], curves: Curves, bundle: Path, folder: str) -> None:
    """Write ``phonopy.yaml`` and ``band.yaml`` of every method."""
    from phonopy.harmonic.force_constants import full_fc_to_compact_fc

    kept = {'force_constants': True, 'force_sets': False, 'displacements': False}
    for method, phonon in phonons.items():
        target = bundle / 'phonopy' / folder / slug_of(method)
        target.mkdir(parents=True, exist_ok=True)
        run_along(phonon, curves.dispersion[method])
        phonon.write_yaml_band_structure(filename=target / 'band.yaml')
        force_constants = phonon.force_constants
        if force_constants is not None and force_constants.shape[0] == force_constants.shape[1]:
            phonon.force_constants = full_fc_to_compact_fc(phonon.primitive, force_constants)
        settings = {**kept, 'born_effective_charge': True, 'dielectric_constant': True}
        phonon.save(filename=target / 'phonopy.yaml', settings=settings)


def _relative(path: Path, bundle: Path) -> str:
    return path.relative_to(bundle).as_posix()
