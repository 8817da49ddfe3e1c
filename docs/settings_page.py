"""The tables of the settings, written from the classes that declare them."""

from __future__ import annotations

from collections.abc import Iterator

from sphinx.application import Sphinx

from aiida_mlcc.science.settings import Choice, Settings
from aiida_mlcc.workflows.mlcc_phonon import STAGES

PAGE = 'reference/settings'
COLUMNS = ('Setting', 'Type', 'Allowed', 'Default', 'Meaning')


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the tables to the page when it is read."""
    app.connect('source-read', add_tables)
    return {'parallel_read_safe': True}


def add_tables(app: Sphinx, page: str, source: list[str]) -> None:  # noqa: ARG001
    """Write one section for each group of settings below the text of the page."""
    if page == PAGE:
        source[0] += '\n' + '\n'.join(lines())


def lines() -> Iterator[str]:
    """Give the lines of all sections, in Markdown."""
    places = groups_of_all_stages()
    for group in dict.fromkeys(group for group, _, _ in places):
        yield f'## {group.TITLE[0].upper()}{group.TITLE[1:]}'
        yield ''
        yield ' '.join((group.__doc__ or '').split('\n\n')[0].split())
        yield ''
        yield 'Inputs: ' + ', '.join(where for one, where, _ in places if one is group) + '.'
        yield ''
        yield from table(group, next(key for one, _, key in places if one is group))
        yield ''


def groups_of_all_stages() -> list[tuple[type[Settings], str, str]]:
    """Return each group with a place where it is found, and the setting that chooses it there, if any."""
    found = []
    for stage, workchain in STAGES.items():
        for path, group in workchain.SETTINGS.items():
            if not isinstance(group, Choice):
                found += with_nested(group, f'{stage}.{path}', '')
                continue
            for name, one in group.groups.items():
                found += with_nested(one, f'{stage}.{path}', f'`{group.key}`: `{name}`')
    return found


def with_nested(group: type[Settings], place: str, key: str) -> Iterator[tuple[type[Settings], str, str]]:
    """Give a group and the groups within it, with their places."""
    yield group, f'`{place}`' + (f' with {key}' if key else ''), key
    for name, nested in group.groups().items():
        yield from with_nested(nested, f'{place}.{name}', '')


def table(group: type[Settings], key: str) -> Iterator[str]:
    """Give the lines of the table of a group."""
    rows = list(group.described())
    if not rows:
        yield 'It has no settings' + (f' besides {key}.' if key else '.')
        return
    yield '| ' + ' | '.join(COLUMNS) + ' |'
    yield '|' + ' --- |' * len(COLUMNS)
    for name, *cells in rows:
        yield '| ' + ' | '.join([f'`{name}`', *(cell.replace('|', '\\|') for cell in cells)]) + ' |'
