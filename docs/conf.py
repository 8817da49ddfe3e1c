"""Configuration of the documentation."""
# ruff: noqa: E402

import os
import sys
import tempfile
import warnings
from pathlib import Path

# The WorkChains' specifications are read from the classes, for which AiiDA wants a profile: one that lives in memory.
os.environ['AIIDA_PATH'] = tempfile.mkdtemp()
warnings.simplefilter('ignore')

from aiida.manage.configuration import load_profile
from aiida.storage.sqlite_temp import SqliteTempBackend

import aiida_mlcc

sys.path.insert(0, str(Path(__file__).parent))
load_profile(SqliteTempBackend.create_profile('docs'), allow_switch=True)
warnings.simplefilter('ignore')

project = 'aiida-mlcc'
author = 'The aiida-mlcc developers'
copyright = '2026, The aiida-mlcc developers'
version = release = aiida_mlcc.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.mathjax',
    'sphinx_click',
    'sphinx_design',
    'aiida.sphinxext',
    'settings_page',
    'workchains_page',
]
myst_enable_extensions = ['colon_fence', 'deflist', 'dollarmath']
myst_heading_anchors = 3
source_suffix = {'.md': 'markdown'}
smartquotes = False
exclude_patterns = ['_build']

autodoc_typehints = 'description'
autodoc_member_order = 'bysource'

html_theme = 'furo'
html_title = f'aiida-mlcc {version}'
