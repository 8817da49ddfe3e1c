"""Which entry of a frame is the energy of a method, and which column its forces, as programs name them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from aiida_mlcc.science.dataset.frame_files import Entries, Frame
from aiida_mlcc.science.labels.methods import slug_of

ENERGY_KEY, FORCES_KEY = 'energy', 'forces'

_ENERGY_LIKE = re.compile(r'energ|^e$|^e[_\d]|^e_?tot|toten', re.IGNORECASE)
_NOT_AN_ENERGY = re.compile(r'energies|^contribution_|kinetic|sigma|error|std|uncertainty', re.IGNORECASE)
_FORCE_LIKE = re.compile(r'force|grad', re.IGNORECASE)
_WORDS_OF_ENERGY = {'energy', 'e', 'ref', 'total', 'tot'}


class KeysError(ValueError):
    """Frames that do not say which of their entries is meant, as a sentence without its file."""


def energy_key(frames: Sequence[Frame], method: str, given: str | None = None) -> str:
    """Return the entry that holds the energies of `method`.

    It is the one given; else ``energy_SLUG``, as this package writes, where any frame has it; else ``energy``; else the
    only entry that looks like an energy, such as ``REF_energy`` (MACE) or ``dft_energy`` (quippy).

    :raises KeysError: where no frame has such an entry, several look like an energy, or one beside ``energy`` has the
        name of the method.
    """
    found = energy_entries(frames)
    if given is not None:
        if not any(given in frame.entries for frame in frames):
            raise KeysError(_no_entry(frames, given))
        return given
    own = f'{ENERGY_KEY}_{slug_of(method)}'
    if any(own in frame.entries for frame in frames):
        return own
    named = [key for key in found if key != ENERGY_KEY and _words(key) == _words(slug_of(method))]
    if any(ENERGY_KEY in frame.entries for frame in frames):
        if named:
            raise KeysError(
                f'its frames have {ENERGY_KEY} and {", ".join(named)}: say which is the energy of {method}, with '
                f'--label "{method}=FILE:{named[0]}" or --energy-key'
            )
        return ENERGY_KEY
    if len(named or found) == 1:
        return (named or found)[0]
    if found:
        raise KeysError(
            f'its frames have no entry {ENERGY_KEY}, but {", ".join(found)}: say which is the energy of {method}, with '
            f'--label "{method}=FILE:{found[0]}" or --energy-key'
        )
    raise KeysError(_no_entry(frames, ENERGY_KEY))


def forces_key(frames: Sequence[Frame], energy: str, given: str | None = None) -> str:
    """Return the column that holds the forces that go with an energy: named like it, or ``forces``, or ``force``."""
    if given is not None:
        return given
    columns = {name for frame in frames for name in frame.columns}
    alike = [re.sub('energy', name, energy, flags=re.IGNORECASE) for name in (FORCES_KEY, 'force')]
    if energy.startswith(f'{ENERGY_KEY}_'):
        return alike[0]
    return next((name for name in (*alike, FORCES_KEY, 'force') if name in columns), FORCES_KEY)


def energy_entries(frames: Sequence[Frame]) -> list[str]:
    """Return the entries of the first frames that look like an energy of the cell, as they stand."""
    found: dict[str, None] = {}
    for frame in frames[:5]:
        found |= {
            key: None
            for key, value in frame.entries.items()
            if _ENERGY_LIKE.search(key) and not _NOT_AN_ENERGY.search(key) and _is_number(value)
        }
    if ENERGY_KEY in found:
        # Programs write both; they differ by the entropy of smeared electrons.
        found.pop('free_energy', None)
    return list(found)


def force_columns(frames: Sequence[Frame]) -> list[str]:
    """Return the columns of the first frame that look like forces."""
    return [name for name in frames[0].columns if _FORCE_LIKE.search(name)]


def read_number(entries: Entries, key: str) -> tuple[float, str | None]:
    """Return the number of an entry in the unit of the file, and the reason where it is NaN.

    An entry that is missing, empty, not a number or not finite gives NaN.
    """
    value = entries.get(key)
    if value is None or (isinstance(value, str) and not value):
        return np.nan, 'no energy' if value is None else 'the energy is empty'
    if not _is_number(value):
        text = str(value)
        return np.nan, f'the energy is not a number: {text[:40]!r}'
    number = float(value)
    return (number, None) if np.isfinite(number) else (np.nan, f'the energy is {number}')


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _words(name: str) -> str:
    """Return the letters and digits of a name without what only says that it is an energy."""
    parts = re.findall(r'[a-z0-9]+', name.lower())
    return ''.join(part for part in parts if part not in _WORDS_OF_ENERGY)


def _no_entry(frames: Sequence[Frame], key: str) -> str:
    known = ', '.join(frames[0].entries) or 'nothing beside the structure'
    return f'none of its {len(frames)} frames has an entry {key}=…; frame 0 has {known}'
