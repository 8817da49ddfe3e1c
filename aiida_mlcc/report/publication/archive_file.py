"""An archive of AiiDA in a folder: its database and its objects, to be changed and packed again.

The file is that of AiiDA's storage backend ``core.sqlite_zip``: ``metadata.json``, ``db.sqlite3`` and ``repo/KEY``, the
key being the SHA-256 of the content.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aiida_mlcc.report.publication.verify_bundle import FileEntry

METADATA, DATABASE, OBJECTS = 'metadata.json', 'db.sqlite3', 'repo'

_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEVEL = 6


class UnpackedArchive:
    """The content of an archive in a folder; a context that closes its database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = sqlite3.connect(folder / DATABASE)
        self.database.row_factory = sqlite3.Row

    @classmethod
    def unpack(cls, archive: Path, folder: Path) -> UnpackedArchive:
        """Unpack an archive into an empty folder."""
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                # The names of objects are hashes: whatever else a file has does not belong to an archive.
                if name in (METADATA, DATABASE) or (name.startswith(f'{OBJECTS}/') and name.count('/') == 1):
                    target = folder / name
                    if name.endswith('/'):
                        continue
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with file.open(name) as source, target.open('wb') as sink:
                        shutil.copyfileobj(source, sink)
        (folder / OBJECTS).mkdir(exist_ok=True)
        return cls(folder)

    def __enter__(self) -> UnpackedArchive:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table, with JSON columns as they are stored: text."""
        return [dict(row) for row in self.database.execute(f'SELECT * FROM {table}')]

    def tables(self) -> list[str]:
        """Return the names of all tables."""
        found = self.database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return [row['name'] for row in found]

    def update(self, table: str, key: int, values: Mapping[str, str]) -> None:
        """Change columns of a row."""
        assigned = ', '.join(f'"{name}" = ?' for name in values)
        self.database.execute(f'UPDATE {table} SET {assigned} WHERE id = ?', [*values.values(), key])

    def object_keys(self) -> list[str]:
        """Return the keys of all objects."""
        return sorted(path.name for path in (self.folder / OBJECTS).iterdir())

    def content(self, key: str) -> bytes:
        """Return an object."""
        return (self.folder / OBJECTS / key).read_bytes()

    def add(self, content: bytes) -> str:
        """Store an object; return its key."""
        key = hashlib.sha256(content).hexdigest()
        (self.folder / OBJECTS / key).write_bytes(content)
        return key

    def remove_unused(self) -> None:
        """Remove the objects that no node names."""
        rows = self.database.execute('SELECT repository_metadata FROM db_dbnode')
        used = {key for row in rows for _, key in files_in(json.loads(row['repository_metadata'] or '{}'))}
        for key in self.object_keys():
            if key not in used:
                (self.folder / OBJECTS / key).unlink()

    def pack(self, archive: Path) -> None:
        """Write the archive. What was changed or deleted is not in the free pages of its database either."""
        self.database.commit()
        self.database.execute('VACUUM')
        self.database.close()
        with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as file:
            for name in (METADATA, DATABASE, *(f'{OBJECTS}/{key}' for key in self.object_keys())):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                file.writestr(entry, (self.folder / name).read_bytes())


def files_in(metadata: FileEntry, folder: str = '') -> Iterator[tuple[str, str]]:
    """Yield path and key of each file that the ``repository_metadata`` of a node describes."""
    for name, entry in (metadata.get('o') or {}).items():
        path = f'{folder}{name}'
        if 'k' in entry:
            yield path, entry['k']
        yield from files_in(entry, f'{path}/')


def with_keys(metadata: FileEntry, changed: Mapping[str, str | None]) -> FileEntry:
    """Return a copy of ``repository_metadata`` with keys replaced; None removes the file."""
    content: dict[str, FileEntry] = {}
    for name, entry in (metadata.get('o') or {}).items():
        key = entry.get('k')
        if key is not None and key in changed:
            if (new := changed[key]) is not None:
                content[name] = {**entry, 'k': new}
            continue
        content[name] = with_keys(entry, changed) if 'o' in entry else entry.copy()
    return {**metadata, 'o': content} if 'o' in metadata else metadata.copy()
