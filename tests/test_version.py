"""One version: that of the package."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from aiida_mlcc import __version__

ROOT = Path(__file__).parents[1]


def test_installed_package_has_it():
    assert version('aiida-mlcc') == __version__


def test_changelog_has_a_section_for_it():
    sections = re.findall(r'^## \[(.+?)\]', (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8'), flags=re.MULTILINE)
    assert sections[:2] == ['Unreleased', __version__]


def test_citation_names_it_or_none():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))
    assert citation.get('version', __version__) == __version__


@pytest.mark.parametrize('path', sorted((ROOT / '.github').rglob('*.yml')), ids=lambda path: path.name)
def test_files_for_the_forge_are_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text(encoding='utf-8')), dict)
