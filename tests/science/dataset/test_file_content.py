"""What is read of a file, and what is too much."""

import bz2
import gzip
import lzma
import tracemalloc

import pytest

from aiida_mlcc.science.dataset import file_content
from aiida_mlcc.science.dataset.file_content import ContentError, checksum, read_content, read_lines

TEXT = b'one\ntwo \xc3\x85\n'


@pytest.mark.parametrize('pack', [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_a_compressed_copy_is_the_same_file(tmp_path, pack):
    path = tmp_path / 'file'
    path.write_bytes(pack(TEXT))
    assert read_content(path) == TEXT
    assert list(read_lines(path)) == ['one\n', 'two Å\n']
    (tmp_path / 'plain').write_bytes(TEXT)
    assert checksum(path) == checksum(tmp_path / 'plain')


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / 'file').write_bytes(b'\xef\xbb\xbf' + TEXT)
    assert next(read_lines(tmp_path / 'file')) == 'one\n'


@pytest.mark.parametrize('pack', [gzip.compress, lzma.compress])
def test_a_broken_file_is_a_sentence(tmp_path, pack):
    (tmp_path / 'file').write_bytes(pack(TEXT * 100)[:-20])
    with pytest.raises(ContentError, match='and broken'):
        list(read_lines(tmp_path / 'file'))


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    (tmp_path / 'file.gz').write_bytes(gzip.compress((b'1' * 99 + b'\n') * 60_000))
    monkeypatch.setattr(file_content, 'MOST_BYTES', 4 * 1024**2)
    monkeypatch.setattr(file_content, 'MOST_IN_MEMORY', 3 * 1024**2)
    for read, limit in ((lambda path: list(read_lines(path)), 4), (checksum, 4), (read_content, 3)):
        with pytest.raises(ContentError, match=rf'file.gz unpacks to more than {limit} MiB: split it'):
            read(tmp_path / 'file.gz')


def test_a_line_without_end_is_refused_in_bounded_memory(tmp_path):
    (tmp_path / 'file.gz').write_bytes(gzip.compress(b'1' * 100 * 1024**2, compresslevel=1))
    tracemalloc.start()
    with pytest.raises(ContentError, match=r'line 1 of .* is longer than 16 MiB'):
        list(read_lines(tmp_path / 'file.gz'))
    assert tracemalloc.get_traced_memory()[1] < 60 * 1024**2
    tracemalloc.stop()


def test_another_encoding_is_a_sentence(tmp_path):
    (tmp_path / 'file').write_bytes('energy\n'.encode('utf-16'))
    with pytest.raises(ContentError, match='holds no text in UTF-8'):
        list(read_lines(tmp_path / 'file'))
