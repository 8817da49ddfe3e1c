"""The files that the README names for the terms of the article."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / 'README.md').read_text('utf-8').split('<!-- code -->')[1].split('<!-- end of code -->')[0]


@pytest.mark.parametrize('name', sorted(set(re.findall(r'`(\w+/[\w/]+\.(?:py|yaml))`', TABLE))))
def test_the_files_of_the_terms_are_there(name):
    folder = ROOT if name.startswith('docs/') else ROOT / 'aiida_mlcc'
    assert (folder / name).is_file()
