"""The places that the documentation of the design names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / 'docs' / 'topics' / 'design.md').read_text('utf-8').split('## Where to find it')[1].split('## ')[0]


@pytest.mark.parametrize('name', sorted(set(re.findall(r'`([\w/]+\.(?:py|yaml))`', TABLE))))
def test_the_files_of_the_terms_are_there(name):
    folder = ROOT if name.startswith('docs/') else ROOT / 'aiida_mlcc'
    assert (folder / name).is_file()
