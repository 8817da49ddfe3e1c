"""Settings of the engine `command`: a program that reads snapshots and writes energies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from aiida_mlcc.science.json_values import JsonValue, Source
from aiida_mlcc.science.settings import Settings, setting

NAME: Final = 'command'
SNAPSHOTS_FILE, LABELS_FILE = 'snapshots.extxyz', 'labels.extxyz'
SETTINGS_FILE, STDOUT_FILE, STDERR_FILE = 'settings.json', 'command.out', 'command.err'
_OWN_FILES = (SNAPSHOTS_FILE, LABELS_FILE, SETTINGS_FILE, STDOUT_FILE, STDERR_FILE)


def _texts(value: list[Any]) -> str | None:
    wrong = [word for word in value if not isinstance(word, str)]
    return f'{wrong[0]!r} is not text: put numbers in quotation marks' if wrong else None


def _files(value: Mapping[str, str]) -> str | None:
    for name, text in value.items():
        if not isinstance(name, str) or PurePosixPath(name).name != name or name.startswith(('.', '_')):
            return f'{name!r} is not a plain file name'
        if name in _OWN_FILES:
            return f'{name} is a file of the engine itself'
        if not isinstance(text, str):
            return f'the content of {name} is not text'
    return None


@dataclass(frozen=True)
class CommandEnergies(Settings):
    """A program that keeps to the contract. All settings are the source of its labels."""

    TITLE = 'any program'

    name: str = setting('The engine.', default=NAME, choices=(NAME,))
    program: str = setting('What the labels call the program, such as “PySCF, RPA@PBE”.', default='a program')
    arguments: list[str] = setting('What stands behind the program on its command line.', default=[], check=_texts)
    files: dict[str, str] = setting(
        'Files that the program reads, such as a script: name → text; labels keep their SHA-256.',
        default={},
        check=_files,
    )
    settings: dict[str, JsonValue] = setting(f'What the program reads as `settings` in {SETTINGS_FILE}.', default={})


def source_of(settings: CommandEnergies) -> Source:
    """Return what the labels say of their source: all settings, of files their SHA-256."""
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(settings.files.items())}
    kept: Source = {'program': settings.program, 'arguments': settings.arguments, 'settings': settings.settings}
    return {'engine': NAME, **kept, 'files': hashes}
