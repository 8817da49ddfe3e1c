"""What files hold, unpacked where they are compressed, within limits that no file of energies reaches."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

MOST_BYTES = 4 * 1024**3
"""Unpacked bytes of a file that are read at most."""

MOST_IN_MEMORY = 1024**3
"""The same where a file is read as a whole."""

LONGEST_LINE = 16 * 1024**2
"""Bytes of the longest line that is read."""

_PACKED: dict[bytes, Any] = {b'\x1f\x8b': gzip.open, b'\xfd7zXZ\x00': lzma.open, b'BZh': bz2.open}
_BLOCK = 1024**2


class ContentError(ValueError):
    """A file that cannot be read, as a sentence."""


def read_content(path: Path | str) -> bytes:
    """Return what a file holds, unpacked where it is compressed (gzip, xz, bzip2), whatever its name.

    :raises ContentError: where the file cannot be read, is compressed and broken, or holds more than
        :data:`MOST_IN_MEMORY`.
    """
    parts, length = [], 0
    with _opened(Path(path)) as stream:
        while block := stream.read(_BLOCK):
            parts.append(block)
            length += len(block)
            if length > MOST_IN_MEMORY:
                raise ContentError(f'{path} unpacks to more than {_size(MOST_IN_MEMORY)}: split it')
    return b''.join(parts)


def checksum(path: Path | str) -> str:
    """Return the SHA-256 of what a file holds, unpacked: a compressed copy has the same.

    :raises ContentError: as :func:`read_content`, beyond :data:`MOST_BYTES`.
    """
    digest = hashlib.sha256()
    for block in _blocks(Path(path)):
        digest.update(block)
    return digest.hexdigest()


def copy_unpacked(path: Path, target: Path) -> None:
    """Write what a file holds to `target`, unpacked.

    :raises ContentError: as :func:`checksum`.
    """
    with target.open('wb') as stream:
        for block in _blocks(path):
            stream.write(block)


def read_lines(path: Path | str) -> Iterator[str]:
    """Return the lines of a text file one by one, unpacked, without a byte order mark.

    :raises ContentError: as :func:`read_content`; for a file that is not text in UTF-8; for a line longer than
        :data:`LONGEST_LINE` or a file longer than :data:`MOST_BYTES`.
    """
    length = 0
    with _opened(Path(path)) as stream:
        number = 0
        while line := stream.readline(LONGEST_LINE + 1):
            number += 1
            length += len(line)
            if len(line) > LONGEST_LINE:
                raise ContentError(f'line {number} of {path} is longer than {_size(LONGEST_LINE)}')
            _check_length(path, length)
            try:
                yield line.decode('utf-8-sig' if number == 1 else 'utf-8')
            except UnicodeDecodeError:
                raise ContentError(f'{path} holds no text in UTF-8 (line {number})') from None


def _blocks(path: Path) -> Iterator[bytes]:
    length = 0
    with _opened(path) as stream:
        while block := stream.read(_BLOCK):
            length += len(block)
            _check_length(path, length)
            yield block


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open('rb') as raw:
            start = raw.read(max(map(len, _PACKED)))
            raw.seek(0)
            unpack = next((opener for magic, opener in _PACKED.items() if start.startswith(magic)), None)
            if unpack is None:
                yield raw
                return
            with unpack(raw, 'rb') as stream:
                try:
                    yield stream
                except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                    how = 'gzipped' if start.startswith(b'\x1f\x8b') else 'compressed'
                    raise ContentError(f'{path} is {how} and broken ({error}): copy it anew') from None
    except OSError as error:
        raise ContentError(f'{path} cannot be read: {error.strerror or error}') from None


def _check_length(path: Path | str, length: int) -> None:
    if length > MOST_BYTES:
        raise ContentError(f'{path} unpacks to more than {_size(MOST_BYTES)}: split it')


def _size(n_bytes: int) -> str:
    return f'{n_bytes // 1024**3} GiB' if n_bytes >= 1024**3 else f'{n_bytes // 1024**2} MiB'
