"""Take what is private out of an archive, and say what was taken out and what was left."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida_mlcc.report.publication.archive_file import UnpackedArchive, files_in, with_keys
from aiida_mlcc.report.publication.private_names import (
    WITHHELD_PATH,
    Scrubber,
    Secrets,
    last_job,
)
from aiida_mlcc.science.json_values import Json

HASH = '_aiida_hash'
"""The extra that AiiDA keeps the hash of a node in, by which its cache finds equal nodes."""

_CALCJOB, _REMOTE, _CODE = 'process.calculation.calcjob.', 'data.core.remote.', 'data.core.code.'
_BY_CONTENT = ('data.mlcc.snapshots.', 'data.mlcc.force_field.')
"""Nodes that are known by a hash of their content, which the package computes itself."""

_SOURCE = 'source_file'
_JOB = """
job_id job_state wallclock_time_seconds requested_wallclock_time_seconds cpu_time num_cpus num_mpiprocs num_machines
submission_time dispatch_time finish_time
"""
_SEEN = tuple(_JOB.split())
"""What stays of the scheduler's answer on a job."""

_COLUMNS = """
State ExitCode Elapsed ElapsedRaw CPUTime CPUTimeRAW TotalCPU MaxRSS AveRSS AllocCPUS NCPUS NNodes NTasks Submit Start
End Timelimit ReqMem
"""
_ACCOUNTED = tuple(_COLUMNS.split())
"""What stays of the scheduler's accounting, a column each."""

_COMPUTER = ('mpirun_command', 'default_mpiprocs_per_machine', 'minimum_scheduler_poll_interval', 'shebang')
"""What stays of the settings of a computer."""

_STATE = """
exception exit_message exit_status job_id last_job_info detailed_job_info metadata_inputs paused process_label
process_state process_status remote_workdir retrieve_list retrieve_temporary_list scheduler_lastchecktime
scheduler_state sealed state imported account qos queue_name priority max_wallclock_seconds max_memory_kb version
"""
_UNHASHED = frozenset(_STATE.split())
"""Attributes of processes that do not enter their hashes."""

_DEEPEST = 3
"""How often a file may be compressed, for what is in it to be searched."""

POTENTIAL = (b'VRHFIN', (b'End of Dataset', b'local part', b'PAW radial sets'))
"""What a file with the text of a licensed potential holds: the first, and one of the others, which OUTCAR lacks."""


@dataclass(frozen=True)
class Finding:
    """Something private in an archive, and what becomes of it.

    :param examples: how it is called here, for who publishes; never for readers.
    """

    what: str
    count: int
    becomes: str
    examples: tuple[str, ...] = ()


@dataclass
class PrivacyReport:
    """What was replaced, what was left and why, and how many nodes lost their hash."""

    replaced: list[Finding] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    n_without_hash: int = 0


def filter_archive(
    archive: UnpackedArchive, secrets: Secrets, without_models: bool = False, without_remote: bool = False
) -> PrivacyReport:
    """Take what is private out of an unpacked archive, in place.

    What enters no hash of AiiDA is replaced. So is what does, and the stored hashes that no longer hold are dropped,
    those of the processes that took the node as an input among them.

    :param without_models: leave out the weights of force fields.
    :param without_remote: leave out the nodes of remote folders that no process read.
    """
    return _Filter(archive, secrets).run(without_models, without_remote)


def licensed_texts(archive: UnpackedArchive) -> list[tuple[str, str]]:
    """Return UUID and path of each file that holds the text of a licensed potential, also in compressed files."""
    keys = {key for key in archive.object_keys() if _is_potential(archive.content(key))}
    return [
        (_dashed(row['uuid']), path)
        for row in archive.rows('db_dbnode')
        for path, key in files_in(json.loads(row['repository_metadata'] or '{}'))
        if key in keys or re.split(r'[/.]', path)[-1] == 'POTCAR'
    ]


def occurrences(archive: UnpackedArchive, words: Iterable[str]) -> dict[str, int]:
    """Return place → how often any of `words` stands there: columns of the database and files, also compressed ones."""
    pattern = _bytes_pattern(words)
    if pattern is None:
        return {}
    found: dict[str, int] = {}
    for table in archive.tables():
        for row in archive.rows(table):
            for column, value in row.items():
                if isinstance(value, str) and (n := len(pattern.findall(value.encode()))):
                    place = _place_of(table, column, row['node_type'] if table == 'db_dbnode' else None)
                    found[place] = found.get(place, 0) + n
    paths = _paths_of_objects(archive)
    for key in archive.object_keys():
        if n := sum(len(pattern.findall(part)) for part in _parts(archive.content(key))):
            place = f'file {paths.get(key, key)}'
            found[place] = found.get(place, 0) + n
    return found


class _Filter:
    def __init__(self, archive: UnpackedArchive, secrets: Secrets) -> None:
        self.archive, self.secrets = archive, secrets
        self.structured: dict[str, list[str]] = {}
        self.scrubber = Scrubber(secrets)
        self.kept: dict[str, int] = {}
        self.unhashed: set[int] = set()

    def run(self, without_models: bool, without_remote: bool) -> PrivacyReport:
        if without_remote:
            self.remove_remote_folders()
        self.filter_users_and_computers()
        changed = self.filter_objects(without_models)
        self.filter_nodes(changed)
        self.filter_texts()
        n_without_hash = self.drop_hashes()
        self.archive.remove_unused()
        return PrivacyReport(self.replaced(), self.left(), n_without_hash)

    def note(self, what: str, old: Any) -> None:
        """Count what a column or an attribute held, if it held anything."""
        if old:
            self.structured.setdefault(what, []).append(old if isinstance(old, str) else json.dumps(old))

    def filter_users_and_computers(self) -> None:
        for number, user in enumerate(self.archive.rows('db_dbuser'), start=1):
            self.note('e-mail, name and institution of users', user['email'])
            new = {'email': f'author-{number}@example.invalid', 'first_name': '', 'last_name': '', 'institution': ''}
            self.archive.update('db_dbuser', user['id'], new)
        for number, computer in enumerate(self.archive.rows('db_dbcomputer'), start=1):
            metadata = json.loads(computer['metadata'] or '{}')
            self.note('host names of computers', computer['hostname'])
            self.note('work directories and scripts of computers', metadata.get('workdir'))
            kept = {name: metadata[name] for name in _COMPUTER if name in metadata}
            label = self.scrubber.text(computer['label'])
            new = {
                'hostname': f'computer-{number}.invalid',
                'description': '',
                'label': computer['label'] if label == computer['label'] else f'computer-{number}',
                'metadata': json.dumps({**kept, 'workdir': WITHHELD_PATH}),
            }
            self.archive.update('db_dbcomputer', computer['id'], new)
        for row in self.archive.rows('db_dbauthinfo'):
            self.note('how computers are reached', row['auth_params'])
        self.archive.database.execute('DELETE FROM db_dbauthinfo')

    def filter_texts(self) -> None:
        """Scrub the logs and the groups, and leave out the comments."""
        for comment in self.archive.rows('db_dbcomment'):
            self.note('comments', comment['content'])
        self.archive.database.execute('DELETE FROM db_dbcomment')
        for log in self.archive.rows('db_dblog'):
            self.archive.update(
                'db_dblog', log['id'], {'message': self.scrubber.text(log['message']), 'metadata': '{}'}
            )
        for group in self.archive.rows('db_dbgroup'):
            new = {name: self.scrubber.text(group[name]) for name in ('label', 'description')}
            extras = self.scrubber.value(json.loads(group['extras'] or '{}'))
            self.archive.update('db_dbgroup', group['id'], {**new, 'extras': json.dumps(extras)})

    def filter_objects(self, without_models: bool) -> dict[str, str | None]:
        """Scrub the files that are text; return key → new key, None for a file that is left out."""
        sources = set()
        weights = set()
        for row in self.archive.rows('db_dbnode'):
            for path, key in files_in(json.loads(row['repository_metadata'] or '{}')):
                if path == _SOURCE:
                    sources.add(key)
                if path.endswith('.safetensors'):
                    weights.add(key)
        changed: dict[str, str | None] = {}
        for key in self.archive.object_keys():
            if without_models and key in weights:
                changed[key] = None
                continue
            content = self.archive.content(key)
            if b'\0' in content or content.startswith(tuple(_COMPRESSED)):
                continue
            # Whatever the encoding, names and paths are ASCII in it, and the other bytes stay what they are.
            text = content.decode(errors='surrogateescape')
            # Source code is published, and paths in it are examples.
            new = self.scrubber.text(text, paths=key not in sources)
            if new != text:
                changed[key] = self.archive.add(new.encode(errors='surrogateescape'))
        return changed

    def filter_nodes(self, changed: Mapping[str, str | None]) -> None:
        for row in self.archive.rows('db_dbnode'):
            attributes = json.loads(row['attributes'] or '{}')
            repository = json.loads(row['repository_metadata'] or '{}')
            kind = row['node_type']
            files = {key for _, key in files_in(repository) if key in changed}
            new = attributes
            if kind.startswith(_BY_CONTENT):
                self.keep_by_content(kind, attributes)
                if any(changed[key] is not None for key in files):
                    self.kept[f'files of {kind}'] = self.kept.get(f'files of {kind}', 0) + 1
                    files = {key for key in files if changed[key] is None}
            else:
                new = self.attributes_of(kind, attributes)
            values: dict[str, str] = {}
            if new != attributes:
                values['attributes'] = json.dumps(new)
            if files:
                values['repository_metadata'] = json.dumps(with_keys(repository, {key: changed[key] for key in files}))
            for name in ('label', 'description'):
                if (text := self.scrubber.text(row[name])) != row[name]:
                    values[name] = text
            extras = json.loads(row['extras'] or '{}')
            own = {name: value for name, value in extras.items() if not name.startswith('_aiida')}
            if (scrubbed := self.scrubber.value(own)) != own:
                values['extras'] = json.dumps({**extras, **scrubbed})
            if values:
                self.archive.update('db_dbnode', row['id'], values)
            # AiiDA hashes the files of a job neither.
            of_files = bool(files) and not kind.startswith(_CALCJOB)
            unhashed = _UNHASHED if kind.startswith('process.') else frozenset()
            if of_files or any(attributes[name] != new.get(name) for name in attributes if name not in unhashed):
                self.unhashed.add(row['id'])

    def keep_by_content(self, kind: str, attributes: Json) -> None:
        found = Scrubber(self.secrets)
        found.value(attributes)
        if n := sum(found.counts.values()):
            self.kept[f'attributes of {kind}'] = self.kept.get(f'attributes of {kind}', 0) + n

    def attributes_of(self, kind: str, attributes: Json) -> Json:
        new = dict(attributes)
        if kind.startswith(_REMOTE) and 'remote_path' in new:
            self.note('paths of remote folders', new['remote_path'])
            new['remote_path'] = WITHHELD_PATH
        if kind.startswith(_CALCJOB):
            self.filter_job(new)
        scrubbed: Json = self.scrubber.value(new)
        return scrubbed

    def filter_job(self, attributes: dict[str, Any]) -> None:
        if 'remote_workdir' in attributes:
            self.note('work directories of jobs', attributes['remote_workdir'])
            attributes['remote_workdir'] = WITHHELD_PATH
        if attributes.get('last_job_info'):
            info = last_job(attributes)
            self.note('owners of jobs', info.get('job_owner'))
            kept = {name: info[name] for name in _SEEN if name in info}
            as_text = isinstance(attributes['last_job_info'], str)
            attributes['last_job_info'] = json.dumps(kept) if as_text else kept
        if detailed := attributes.get('detailed_job_info'):
            self.note('accounting of jobs', detailed.get('stdout'))
            attributes['detailed_job_info'] = {
                **detailed,
                'stdout': _columns(str(detailed.get('stdout') or '')),
                'stderr': '',
            }

    def remove_remote_folders(self) -> None:
        """Remove the nodes of remote folders that no process took as an input."""
        database = self.archive.database
        remote = "node_type LIKE 'data.core.remote.%'"
        unread = (
            f'SELECT id FROM db_dbnode WHERE {remote} '
            "AND id NOT IN (SELECT input_id FROM db_dblink WHERE type IN ('input_calc', 'input_work'))"
        )
        for table, column in (
            ('db_dblink', 'output_id'),
            ('db_dbgroup_dbnodes', 'dbnode_id'),
            ('db_dblog', 'dbnode_id'),
        ):
            database.execute(f'DELETE FROM {table} WHERE {column} IN ({unread})')
        database.execute(f'DELETE FROM db_dbcomment WHERE dbnode_id IN ({unread})')
        database.execute(f'DELETE FROM db_dbnode WHERE id IN ({unread})')

    def drop_hashes(self) -> int:
        """Drop the hashes that no longer hold: of what was changed, and of the processes that took it as an input."""
        links = self.archive.database.execute("SELECT input_id, output_id FROM db_dblink WHERE type LIKE 'input_%'")
        affected = self.unhashed | {link['output_id'] for link in links if link['input_id'] in self.unhashed}
        n_dropped = 0
        for row in self.archive.rows('db_dbnode'):
            extras = json.loads(row['extras'] or '{}')
            if row['id'] in affected and extras.pop(HASH, None) is not None:
                self.archive.update('db_dbnode', row['id'], {'extras': json.dumps(extras)})
                n_dropped += 1
        return n_dropped

    def replaced(self) -> list[Finding]:
        found = [
            Finding(what, len(values), 'left out' if what == 'comments' else 'replaced', _examples(values))
            for what, values in self.structured.items()
        ]
        counts = self.scrubber.counts
        return found + [
            Finding(f'{what} in text', counts[what], 'replaced', _examples(self.scrubber.examples[what]))
            for what in counts
        ]

    def left(self) -> list[Finding]:
        """Return what is there after all, and why."""
        found = [
            Finding(place, n, 'left: a hash of its content is what a force field and a data set are known by')
            for place, n in self.kept.items()
        ]
        for place, n in occurrences(self.archive, self.secrets.distinctive).items():
            found.append(Finding(place, n, 'left: a word of this spelling is in what is not text, or is a key'))
        for kind, words in self.secrets.common.items():
            n = sum(occurrences(self.archive, words).values())
            if n:
                why = f'left: the {kind} is called like an ordinary word, which is not replaced in text'
                found.append(Finding(f'words that are also a {kind}', n, why, tuple(words)))
        paths = _paths_of_objects(self.archive)
        for key in self.archive.object_keys():
            n = sum(_opened(part) is None for part in _parts(self.archive.content(key)))
            if n:
                found.append(Finding(f'file {paths.get(key, key)}', n, 'left: it is compressed and cannot be opened'))
        return found


def _examples(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))[:3]


def _columns(stdout: str) -> str:
    """Return the columns of an accounting table that tell of nobody; an empty string for any other text."""
    lines = [line.split('|') for line in stdout.splitlines()]
    if len(lines) < 2:
        return ''
    kept = [number for number, name in enumerate(lines[0]) if name in _ACCOUNTED]
    return '\n'.join('|'.join(line[number] for number in kept if number < len(line)) for line in lines)


def _bytes_pattern(words: Iterable[str]) -> re.Pattern[bytes] | None:
    escaped = b'|'.join(re.escape(word.encode()) for word in words)
    return re.compile(rb'(?<![A-Za-z0-9])(?:' + escaped + rb')(?![A-Za-z0-9])') if escaped else None


def _parts(content: bytes, depth: int = _DEEPEST) -> Iterator[bytes]:
    """Yield a file, and what is in it where it is compressed or an archive."""
    yield content
    if depth > 0:
        for inner in _opened(content) or ():
            yield from _parts(inner, depth - 1)


def _opened(content: bytes) -> list[bytes] | None:
    """Return what is in a compressed file or an archive, names of files included; None where it cannot be read."""
    unpack = next((how for magic, how in _COMPRESSED.items() if content.startswith(magic)), None)
    try:
        return unpack(content) if unpack else []
    except _UNREADABLE:
        return None


def _unzipped(content: bytes) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return [part for name in file.namelist() for part in (name.encode(), file.read(name))]


_COMPRESSED: Mapping[bytes, Callable[[bytes], list[bytes]]] = {
    b'PK\x03\x04': _unzipped,
    b'\x1f\x8b': lambda content: [gzip.decompress(content)],
    b'BZh': lambda content: [bz2.decompress(content)],
    b'\xfd7zXZ': lambda content: [lzma.decompress(content)],
}
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
"""What these libraries raise for a damaged or encrypted file, or one compressed in another way."""


def _is_potential(content: bytes) -> bool:
    first, others = POTENTIAL
    return any(first in part and any(other in part for other in others) for part in _parts(content))


def _paths_of_objects(archive: UnpackedArchive) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in archive.rows('db_dbnode'):
        for path, key in files_in(json.loads(row['repository_metadata'] or '{}')):
            found.setdefault(key, f'{path} of {_kind(row["node_type"])}')
    return found


def _place_of(table: str, column: str, node_type: str | None) -> str:
    return f'{column} of {table}' if node_type is None else f'{column} of {_kind(node_type)}'


def _kind(node_type: str) -> str:
    return node_type.rstrip('.').rsplit('.', 1)[-1]


def _dashed(uuid: str) -> str:
    """Return a UUID as AiiDA prints it."""
    plain = uuid.replace('-', '')
    return '-'.join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))
