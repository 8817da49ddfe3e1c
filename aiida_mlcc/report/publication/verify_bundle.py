"""Check a bundle: that its files are those that were published, and that they agree with one another.

Needs NumPy only. A bundle holds this file as ``verify.py``::

    python verify.py [BUNDLE]

It reads the archive of AiiDA as what it is, a ZIP file with an SQLite database and NumPy arrays, so that the numbers of
the figures are compared with those in the provenance graph without AiiDA.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import shlex
import sqlite3
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aiida_mlcc.report.data.records import Results
    from aiida_mlcc.report.publication.entries import Column, CurvesFile, RunEntry

SUMS = 'SHA256SUMS'
ARCHIVE = 'archive.aiida'
IGNORED = ('__pycache__', '.DS_Store')

_DIGITS = 1e-9
"""CSV files have ten digits."""

_ZERO = 1e-9
_LISTED = 5
_SPREAD = ('mean', 'min', 'max', 'sd')


class ResultsFile(TypedDict):
    """The content of ``results.json``: UUID of a run → its results."""

    runs: dict[str, Results]


class FileEntry(TypedDict, total=False):
    """A file (`k`, its key) or a folder (`o`, what is in it) in the repository of a node."""

    k: str
    o: dict[str, FileEntry]


class ArchivedNode(NamedTuple):
    """A node: its type, its attributes, and path → key of its files."""

    node_type: str
    attributes: dict[str, Any]
    files: dict[str, str]


class Archive:
    """The nodes and the arrays of an archive, read without AiiDA; a context."""

    def __init__(self, path: Path) -> None:
        self.file = zipfile.ZipFile(path)
        self._folder = tempfile.TemporaryDirectory()
        self.file.extract('db.sqlite3', self._folder.name)
        self.database = sqlite3.connect(Path(self._folder.name) / 'db.sqlite3')
        self._nodes: dict[str, ArchivedNode | None] = {}

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()
        self.file.close()
        self._folder.cleanup()

    def node(self, uuid: str) -> ArchivedNode | None:
        """Return a node, None where there is none."""
        if uuid not in self._nodes:
            query = 'SELECT node_type, attributes, repository_metadata FROM db_dbnode WHERE uuid IN (?, ?)'
            row = self.database.execute(query, (uuid, uuid.replace('-', ''))).fetchone()
            self._nodes[uuid] = (
                None
                if row is None
                else ArchivedNode(row[0], json.loads(row[1] or '{}'), dict(_files(json.loads(row[2] or '{}'))))
            )
        return self._nodes[uuid]

    def content(self, key: str) -> bytes:
        """Return a file by its key."""
        return self.file.read(f'repo/{key}')

    def arrays(self, uuid: str) -> dict[str, NDArray[Any]]:
        """Return name → array of a node; the curves of an XyData by the names it gives them."""
        found = self.node(uuid)
        if found is None:
            return {}
        attributes, files = found.attributes, found.files
        arrays = {
            path.removesuffix('.npy'): np.load(io.BytesIO(self.content(key)), allow_pickle=False)
            for path, key in files.items()
            if path.endswith('.npy')
        }
        for number, name in enumerate(attributes.get('y_names') or ()):
            arrays[str(name)] = arrays.pop(f'y_array_{number}')
        return arrays


Schema = TypedDict(
    'Schema',
    {
        '$ref': str,
        '$defs': 'dict[str, Schema]',
        'type': 'str | list[str]',
        'enum': list[Any],
        'pattern': str,
        'required': list[str],
        'properties': 'dict[str, Schema]',
        'additionalProperties': 'bool | Schema',
        'items': 'Schema',
    },
    total=False,
)
"""A JSON Schema, with the words that the schemas of a bundle use."""


def check(bundle: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield what is checked, and a sentence for each thing that is wrong."""
    yield 'the files are those of SHA256SUMS', wrong_sums(bundle)
    content: Any = {}
    results: Any = {}
    unreadable = []
    for name in ('curves.json', 'results.json'):
        try:
            loaded = json.loads((bundle / name).read_text(encoding='utf-8'))
            schema = json.loads((bundle / 'schema' / name.replace('.json', '.schema.json')).read_text(encoding='utf-8'))
            unreadable += [f'{name}: {line}' for line in invalid(loaded, schema, schema)]
        except (OSError, ValueError) as error:
            unreadable.append(f'{name} cannot be read: {_line(error)}')
            loaded = {}
        if name == 'curves.json':
            content = loaded
        else:
            results = loaded
    yield 'curves.json and results.json follow their schemas', unreadable
    if unreadable:
        return
    yield 'mean, min, max and sd are those of the members', _all(_wrong_spread, bundle, content)
    yield 'the special points are those of results.json', _all(_wrong_points, bundle, content, results)
    yield 'ro-crate-metadata.json describes the files that there are', wrong_crate(bundle)
    try:
        archive = Archive(bundle / ARCHIVE)
    except (OSError, zipfile.BadZipFile, KeyError, sqlite3.Error) as error:
        yield f'{ARCHIVE} can be read', [f'{ARCHIVE} cannot be read: {_line(error)}']
        return
    with archive:
        try:
            yield f'the files in {ARCHIVE} are those that their names say', _wrong_objects(archive)
            yield f'every node of curves.json is in {ARCHIVE}', _missing_nodes(archive, content)
            yield f'the CSV files have the numbers of {ARCHIVE}', _all(_wrong_columns, bundle, content, archive)
            yield f'the labels are those of {ARCHIVE}', _all(_wrong_labels, bundle, content, archive)
            yield f'the models are those of {ARCHIVE}', _all(_wrong_models, bundle, content, archive)
        except (sqlite3.Error, zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, ValueError, OSError) as error:
            yield f'{ARCHIVE} can be read', [f'{ARCHIVE} cannot be read to the end: {_line(error)}']


def wrong_sums(bundle: Path) -> list[str]:
    """Return which files are not those of ``SHA256SUMS``, are missing, or are not listed."""
    try:
        lines = (bundle / SUMS).read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [f'{SUMS} cannot be read: {_line(error)}']
    listed = {name: found for found, _, name in (line.partition('  ') for line in lines if line)}
    there = set(files_of(bundle))
    problems = [f'{name} is missing' for name in sorted(set(listed) - there)]
    problems += [f'{name} is not listed in {SUMS}' for name in sorted(there - set(listed))]
    for name in sorted(there & set(listed)):
        if sha256(bundle / name) != listed[name]:
            problems.append(f'{name} was changed: its checksum is not that of {SUMS}')
    return problems


def files_of(bundle: Path) -> list[str]:
    """Return the files of a bundle that ``SHA256SUMS`` lists, sorted."""
    found = (path.relative_to(bundle) for path in bundle.rglob('*') if path.is_file())
    return sorted(path.as_posix() for path in found if path.name != SUMS and not set(path.parts) & set(IGNORED))


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def invalid(value: Any, schema: Schema, root: Schema, where: str = '') -> list[str]:
    """Return what does not follow a JSON Schema, of which the words that the schemas of a bundle use are known."""
    if '$ref' in schema:
        return invalid(value, root['$defs'][schema['$ref'].removeprefix('#/$defs/')], root, where)
    kinds = schema.get('type', [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is_kind(value, kind) for kind in kinds):
        return [f'{where or "the file"} is not of type {" or ".join(kinds)}']
    problems = []
    if 'enum' in schema and value not in schema['enum']:
        problems.append(f'{where} is {value!r}, not one of {", ".join(map(repr, schema["enum"]))}')
    if 'pattern' in schema and isinstance(value, str) and not re.search(schema['pattern'], value):
        problems.append(f'{where} is {value!r}, which does not have the form {schema["pattern"]}')
    if isinstance(value, dict):
        problems += [f'{where}/{name} is missing' for name in schema.get('required', ()) if name not in value]
        known = schema.get('properties', {})
        for name, item in value.items():
            inner = known.get(name, schema.get('additionalProperties', True))
            if inner is False:
                problems.append(f'{where}/{name} is not known')
            elif not isinstance(inner, bool):
                problems += invalid(item, inner, root, f'{where}/{name}')
    if isinstance(value, list) and 'items' in schema:
        for number, item in enumerate(value):
            problems += invalid(item, schema['items'], root, f'{where}/{number}')
    return problems


def wrong_crate(bundle: Path) -> list[str]:
    """Return what a Process Run Crate must have and this one has not, and files it describes that are not there."""
    try:
        graph = json.loads((bundle / 'ro-crate-metadata.json').read_text(encoding='utf-8'))['@graph']
        entities = {entity['@id']: entity for entity in graph}
        root = entities['./']
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f'ro-crate-metadata.json cannot be read: {_line(error)}']
    problems = [] if len(entities) == len(graph) else ['two entities have the same @id']
    problems += [f'./ has no {name}' for name in _ROOT if not root.get(name)]
    if not any('wfrun/process' in reference for reference in _references(root.get('conformsTo'))):
        problems.append('./ does not conform to a Process Run Crate')
    for name, entity in entities.items():
        kinds = entity['@type'] if isinstance(entity['@type'], list) else [entity['@type']]
        if 'File' in kinds and not (bundle / name).is_file():
            problems.append(f'the file {name} is not there')
        if 'CreateAction' in kinds:
            problems += [f'{name} has no {key}' for key in ('instrument', 'object', 'result') if not entity.get(key)]
        for key, value in entity.items():
            # What is on the web, as licences and profiles are, need not be described.
            lost = [target for target in _references(value) if target not in entities and '://' not in target]
            problems += [f'{name} names {target} as its {key}, which is not described' for target in lost]
    parts = set(_references(root.get('hasPart')))
    absent = [name for name in files_of(bundle) if name not in parts and name != 'ro-crate-metadata.json']
    return problems + [f'{name} is not described' for name in absent]


_ROOT = ('name', 'description', 'datePublished', 'license', 'hasPart', 'conformsTo')


def read_table(path: Path) -> dict[str, list[str]]:
    """Return column → cells of a CSV file."""
    with path.open(newline='', encoding='utf-8') as file:
        header, *rows = csv.reader(file)
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f'{path.name} has rows of different lengths')
    return {name: [row[number] for row in rows] for number, name in enumerate(header)}


def numbers(cells: list[str]) -> NDArray[np.float64]:
    """Return cells as numbers, NaN where one is empty."""
    return np.array([float(cell) if cell else np.nan for cell in cells])


def frames_of(path: Path) -> Iterator[tuple[dict[str, str], list[str], NDArray[np.float64]]]:
    """Yield the entries, the elements and the numbers of each frame of an extended XYZ file of a bundle.

    The numbers are positions (Å) and, where the frame has them, forces (eV/Å): shape (n_atoms, 3 or 6).
    """
    lines = path.read_text(encoding='utf-8').splitlines()
    at = 0
    while at < len(lines):
        n_atoms = int(lines[at])
        entries = dict(word.partition('=')[::2] for word in shlex.split(lines[at + 1]))
        symbols, *columns = zip(*(line.split() for line in lines[at + 2 : at + 2 + n_atoms]), strict=True)
        yield entries, list(symbols), np.array(columns, dtype=float).T
        at += 2 + n_atoms


def is_column(found: NDArray[np.float64], source: Column, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Tell whether a column of a CSV file has the numbers of an array, to the digits that it is written with.

    :param source: ``array``, and the ``index`` of a part of it where only a part is meant; ``by_branch`` where the rows
        of the file go through the second axis first.
    """
    if source['array'] not in arrays:
        return False
    values = np.asarray(arrays[source['array']], dtype=float)
    if source.get('index') is not None:
        values = values[source['index']]
    return same(found, (values.T if source.get('by_branch') else values).ravel())


def same(found: NDArray[np.float64], expected: NDArray[np.float64]) -> bool:
    """Tell whether two lists of numbers are the same to the digits of a CSV file."""
    if found.shape != expected.shape:
        return False
    expected = np.where(np.isfinite(expected), expected, np.nan)
    return bool(np.allclose(found, expected, rtol=_DIGITS, atol=0.0, equal_nan=True))


def _all(problems_of: Callable[..., list[str]], bundle: Path, content: CurvesFile, *more: Any) -> list[str]:
    found = []
    for run in content['runs']:
        try:
            found += problems_of(bundle, run, *more)
        except (OSError, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
            found.append(f'a file of {run["uuid"]} cannot be read as what it is: {_line(error)}')
    return found


def _wrong_spread(bundle: Path, run: RunEntry) -> list[str]:
    problems = []
    for entry in run['curves']:
        table = read_table(bundle / entry['csv'])
        if not entry['members'] or not set(_SPREAD) <= set(table):
            continue
        every = np.array([numbers(table[name]) for name in entry['members']])
        mean, low, high, sd = (numbers(table[name]) for name in _SPREAD)
        expected = every.std(axis=0, ddof=1) if len(every) > 1 else np.zeros_like(mean)
        scale = max(np.nanmax(np.abs(every), initial=0.0), 1e-300)
        checks = {
            'mean': _close(mean, every.mean(axis=0), scale),
            'min': _close(low, every.min(axis=0), scale),
            'max': _close(high, every.max(axis=0), scale),
            # The sd of a spectrum is at least that of the members: sampling has one too.
            'sd': bool(np.all((sd >= expected - _ZERO * scale) | ~np.isfinite(expected))),
        }
        problems += [
            f'{entry["csv"]}: {name} is not that of the members' for name, right in checks.items() if not right
        ]
    return problems


def _close(found: NDArray[np.float64], expected: NDArray[np.float64], scale: float) -> bool:
    return bool(np.allclose(found, expected, rtol=1e-8, atol=_ZERO * scale, equal_nan=True))


def _wrong_points(bundle: Path, run: RunEntry, results: ResultsFile) -> list[str]:
    problems = []
    methods = results['runs'][run['uuid']]['methods']
    for entry in run['curves']:
        if entry['kind'] != 'special_points':
            continue
        points = methods[entry['method']]['special_points_cm1']
        table = read_table(bundle / entry['csv'])
        for name in _SPREAD:
            labels = dict.fromkeys(label.removeprefix("'") for label in table['label'])
            spreads: Any = points
            expected = np.array([value for label in labels for value in spreads[label][name]], dtype=float)
            if not same(numbers(table[name]), expected):
                problems.append(f'{entry["csv"]}: {name} is not that of results.json')
    return problems


def _wrong_objects(archive: Archive) -> list[str]:
    problems = []
    for name in archive.file.namelist():
        folder, _, key = name.partition('/')
        if folder == 'repo' and key and hashlib.sha256(archive.file.read(name)).hexdigest() != key:
            problems.append(f'{ARCHIVE}: the content of {name} is not that of its name')
    return problems


def _missing_nodes(archive: Archive, content: CurvesFile) -> list[str]:
    return [f'there is no node {uuid} in {ARCHIVE}' for uuid in sorted(uuids_of(content)) if archive.node(uuid) is None]


def uuids_of(content: Any) -> set[str]:
    """Return every UUID in ``curves.json``."""
    if isinstance(content, dict):
        return set().union(*(uuids_of(item) for item in content.values()))
    if isinstance(content, list):
        return set().union(*(uuids_of(item) for item in content))
    return {content} if isinstance(content, str) and _UUID.fullmatch(content) else set()


_UUID = re.compile(r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')


def _wrong_columns(bundle: Path, run: RunEntry, archive: Archive) -> list[str]:
    problems = []
    arrays: dict[str, dict[str, NDArray[Any]]] = {}

    def arrays_of(uuid: str) -> dict[str, NDArray[Any]]:
        if uuid not in arrays:
            arrays[uuid] = archive.arrays(uuid)
        return arrays[uuid]

    for entry in run['curves']:
        table = read_table(bundle / entry['csv'])
        for name, source in entry['columns'].items():
            if name not in table or not is_column(numbers(table[name]), source, arrays_of(source['node'])):
                problems.append(f'{entry["csv"]}: {name} is not {source["array"]} of the node {source["node"]}')
    return problems


def _wrong_labels(bundle: Path, run: RunEntry, archive: Archive) -> list[str]:
    problems = []
    for label in run['labels']:
        arrays: dict[str, dict[str, NDArray[Any]]] = {}
        frames = list(frames_of(bundle / label['file']))
        if len(frames) != len(label['energies']):
            problems.append(f'{label["file"]} has {len(frames)} frames, not {len(label["energies"])}')
        for number, ((entries, symbols, columns), known) in enumerate(zip(frames, label['energies'], strict=False)):
            for node in (known['node'], known['training_set']):
                if node not in arrays:
                    arrays[node] = archive.arrays(node)
            of_set, of_source = arrays[known['training_set']], arrays[known['node']]
            base = label['base_slug']
            right = {
                f'energy_{label["slug"]}': float(of_source[f'energies_{label["slug"]}'][known['frame']]),
                f'energy_{base}': _at(of_set, f'energies_{base}', known['snapshot']) if base else None,
                f'sigma_{label["slug"]}': _at(of_set, f'sigma_{label["slug"]}', known['snapshot']),
            }
            right = {name: value for name, value in right.items() if value is not None}
            wrong = [name for name, value in right.items() if float(entries.get(name, 'nan')) != value]
            if known['energy_eV'] != right[f'energy_{label["slug"]}']:
                wrong.append('the energy in curves.json')
            if float(entries.get('energy', 'nan')) != known['energy_eV']:
                wrong.append('energy')
            if not np.array_equal(columns[:, :3], of_set['positions'][known['snapshot']]):
                wrong.append('a position')
            forces = of_set.get(f'forces_{label["slug"]}')
            expected_forces = columns[:, 3:] if forces is None else forces[known['snapshot']]
            if np.isfinite(expected_forces).all() and not np.array_equal(columns[:, 3:], expected_forces):
                wrong.append('a force')
            if symbols != _symbols(archive, known['training_set']):
                wrong.append('an element')
            lattice = np.array(entries.get('Lattice', '').split(), dtype=float)
            if not np.array_equal(lattice, of_set['cells'][known['snapshot']].ravel()):
                wrong.append('the cell')
            problems += [f'{label["file"]}, frame {number + 1}: {name} is not that of {ARCHIVE}' for name in wrong]
    return problems


def _symbols(archive: Archive, uuid: str) -> list[str]:
    """Return the elements of the atoms of a set of snapshots."""
    found = archive.node(uuid)
    return [] if found is None else list(found.attributes.get('symbols', ()))


def _at(arrays: Mapping[str, NDArray[Any]], name: str, index: int) -> float | None:
    """Return a number, None where there is none."""
    value = float(arrays[name][index]) if name in arrays else np.nan
    return value if np.isfinite(value) else None


def _wrong_models(bundle: Path, run: RunEntry, archive: Archive) -> list[str]:
    problems = []
    for model in run['models']:
        found = archive.node(model['node'])
        for name in model['files']:
            path = f'{model["folder"]}/{name}'
            if found is None or sha256(bundle / path) != found.files.get(name):
                problems.append(f'{path} is not that of the node {model["node"]}')
    return problems


def _files(metadata: FileEntry, folder: str = '') -> Iterator[tuple[str, str]]:
    for name, entry in (metadata.get('o') or {}).items():
        if 'k' in entry:
            yield f'{folder}{name}', entry['k']
        yield from _files(entry, f'{folder}{name}/')


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [target for item in value for target in _references(item)]
    return [value['@id']] if isinstance(value, dict) and '@id' in value else []


def _is_kind(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == 'boolean'
    types: dict[str, type | tuple[type, ...]] = {
        'object': dict,
        'array': list,
        'string': str,
        'integer': int,
        'number': (int, float),
        'null': type(None),
    }
    return kind != 'boolean' and isinstance(value, types[kind])


def _line(error: BaseException) -> str:
    return ' '.join(str(error).split()) or type(error).__name__


def main() -> None:
    """Check a bundle and say what was found; the exit status is 1 where something is wrong."""
    parser = argparse.ArgumentParser(description='Check that a bundle is as it was published and agrees with itself.')
    parser.add_argument('bundle', nargs='?', type=Path, default=Path(__file__).resolve().parent)
    bundle = parser.parse_args().bundle
    n_wrong = 0
    for what, problems in check(bundle):
        print(f'{"ok   " if not problems else "WRONG"} {what}')
        for line in problems[:_LISTED]:
            print(f'      {line}')
        if len(problems) > _LISTED:
            print(f'      and {len(problems) - _LISTED} more')
        n_wrong += bool(problems)
    sys.exit(1 if n_wrong else 0)


if __name__ == '__main__':
    main()
