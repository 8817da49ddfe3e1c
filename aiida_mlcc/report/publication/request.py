"""What a person asks for who publishes a run, and whether it can be had."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict

LICENCES = {
    'CC-BY-4.0': ('Creative Commons Attribution 4.0 International', 'https://creativecommons.org/licenses/by/4.0/'),
    'CC-BY-SA-4.0': (
        'Creative Commons Attribution-ShareAlike 4.0 International',
        'https://creativecommons.org/licenses/by-sa/4.0/',
    ),
    'CC0-1.0': (
        'Creative Commons Zero 1.0 Universal',
        'https://creativecommons.org/publicdomain/zero/1.0/',
    ),
    'ODC-By-1.0': ('Open Data Commons Attribution 1.0', 'https://opendatacommons.org/licenses/by/1-0/'),
    'MIT': ('MIT License', 'https://opensource.org/license/mit'),
}
"""SPDX identifier → name and address of its text."""

UNNAMED = 'Authors to be filled in'

_ORCID = re.compile(r'(?:https?://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])')


class Refused(ValueError):
    """A bundle that is not written: the sentence says what was found, where, and what to do."""


@dataclass(frozen=True)
class Author:
    """Who is cited.

    :param name: family name, given names.
    """

    name: str
    orcid: str = ''
    affiliation: str = ''


class PublicFinding(TypedDict):
    """Something private that was found in the archive, and what became of it."""

    what: str
    count: int
    becomes: str


class PublicReport(TypedDict, total=False):
    """What was replaced, what was left, and how many nodes lost their hash; without the names themselves."""

    replaced: list[PublicFinding]
    left: list[PublicFinding]
    n_without_hash: int


@dataclass(frozen=True)
class Request:
    """What is published, and what is said of it.

    :param runs: UUID of each run and its folder in the bundle, empty for a run alone.
    :param failed: methods and stages that failed and are published without.
    :param date: of the bundle, ISO 8601.
    """

    runs: tuple[tuple[str, str], ...]
    title: str
    date: str
    authors: tuple[Author, ...] = ()
    licence: str = 'CC-BY-4.0'
    failed: tuple[str, ...] = ()
    without_models: bool = False
    privacy: PublicReport = field(default_factory=PublicReport)

    def to_json(self) -> str:
        """Return the request as text."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def read(cls, path: Path) -> Request:
        """Read what :meth:`to_json` wrote."""
        content = json.loads(path.read_text(encoding='utf-8'))
        content['runs'] = tuple((uuid, folder) for uuid, folder in content['runs'])
        content['authors'] = tuple(Author(**author) for author in content['authors'])
        return cls(**content)


def authors_from(names: Sequence[str], orcids: Sequence[str], affiliations: Sequence[str]) -> tuple[Author, ...]:
    """Return the authors; ORCID iDs and affiliations belong to them in their order, and one affiliation to all.

    :raises Refused: for an ORCID iD of another form, or more of them than authors.
    """
    checked = [orcid_of(text) for text in orcids]
    if names and len(checked) > len(names):
        raise Refused(f'{len(checked)} ORCID iDs were given for {len(names)} authors: give one --author for each')
    n_authors = max(len(names), len(checked))
    if len(affiliations) > max(n_authors, 1):
        raise Refused(
            f'{len(affiliations)} affiliations were given for {n_authors} authors: give one --author for each'
        )
    shared = list(affiliations) * n_authors if len(affiliations) == 1 else [*affiliations, *[''] * n_authors]
    padded = [*checked, *[''] * n_authors]
    return tuple(
        Author(names[number] if number < len(names) else UNNAMED, padded[number], shared[number])
        for number in range(n_authors)
    )


def orcid_of(text: str) -> str:
    """Return an ORCID iD as 0000-0000-0000-0000.

    :raises Refused: where it has another form, or its last character is not its check digit (ISO 7064, mod 11-2).
    """
    found = _ORCID.fullmatch(text.strip().rstrip('/'))
    if found is None:
        raise Refused(f'{text!r} is not an ORCID iD: it has the form 0000-0002-1825-0097 or https://orcid.org/…')
    total = 0
    for digit in found.group(1)[:-1].replace('-', ''):
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    if found.group(1)[-1] != ('X' if check == 10 else str(check)):
        raise Refused(f'{text!r} is not an ORCID iD: its last character is not its check digit, so a digit is mistyped')
    return found.group(1)


def licence_of(text: str) -> str:
    """Return the SPDX identifier of a licence in any case.

    :raises Refused: with the licences there are.
    """
    for name in LICENCES:
        if name.lower() == text.strip().lower():
            return name
    raise Refused(f'The licence {text!r} is not known: choose from {", ".join(LICENCES)}')
