"""The WorkChains of engines, written from their entry points."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points

from sphinx.application import Sphinx

PAGE = 'reference/workchains'
ENGINES = 'aiida_mlcc.engines.'


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the WorkChains to the page when it is read."""
    app.connect('source-read', add_workchains)
    return {'parallel_read_safe': True}


def add_workchains(app: Sphinx, page: str, source: list[str]) -> None:  # noqa: ARG001
    """Write one entry for each WorkChain of an engine below the text of the page."""
    if page == PAGE:
        source[0] += '\n' + '\n'.join(lines())


def lines() -> Iterator[str]:
    """Give the lines of all entries, in Markdown, an engine after the other."""
    yield '```{eval-rst}'
    for entry in sorted(entry_points(group='aiida.workflows'), key=lambda entry: entry.module):
        if entry.module.startswith(ENGINES):
            yield f'.. aiida-workchain:: {entry.attr}'
            yield f'   :module: {entry.module}'
            yield ''
    yield '```'
