"""The published files are known by their content, gzipped or not."""

import gzip
import hashlib

import pytest

from aiida_mlcc.science.dataset.energy_file import DatasetError
from aiida_mlcc.science.dataset.published_data import (
    MLPHONONS,
    PublishedFile,
    address_of,
    locate,
    read_published,
    verify,
)

CONTENT = b'1\nenergy=-1\nC 0 0 0\n'
FILE = PublishedFile('c/file.xyz', hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize(('name', 'content'), [('file.xyz', CONTENT), ('file.xyz.gz', gzip.compress(CONTENT))])
def test_a_plain_and_a_gzipped_copy_are_found_and_verified(tmp_path, name, content):
    (tmp_path / 'c').mkdir()
    (tmp_path / 'c' / name).write_bytes(content)
    path = locate(tmp_path, FILE)
    assert path.name == name
    verify(path, FILE)


def test_another_content_is_refused_with_both_checksums(tmp_path):
    (tmp_path / 'file.xyz').write_bytes(CONTENT.replace(b'-1', b'-2'))
    with pytest.raises(DatasetError, match=rf'is not the published c/file.xyz: .* {FILE.sha256[:12]}…'):
        verify(tmp_path / 'file.xyz', FILE)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r'there is no c/file.xyz in'):
        locate(tmp_path, FILE)


def test_the_address_is_at_the_pinned_commit():
    address = address_of(MLPHONONS['lih'].files['HF'])
    assert address.startswith('https://raw.githubusercontent.com/waup-1/MLphononsdata/d13cfd26')
    assert address.endswith('/lih/200222forcc_hfe.xyz')


@pytest.mark.parametrize(('crystal', 'hf', 'ccsd_t'), [('diamond', 17.5, 3.95), ('lih', 2.59, 1.82)])
def test_the_published_sets_have_the_spread_that_was_measured(published_data, crystal, hf, ccsd_t):
    found = read_published(published_data, crystal)
    assert found.snapshots.n_frames == 200
    assert found.report.differences['HF'].spread_mev_atom == pytest.approx(hf, rel=0.01)
    assert found.report.differences['CCSD(T)'].spread_mev_atom == pytest.approx(ccsd_t, rel=0.01)
