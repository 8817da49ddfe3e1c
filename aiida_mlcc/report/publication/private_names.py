"""What is private in an archive: who, where and on whose account, and how each is found in text."""

from __future__ import annotations

import contextlib
import getpass
import json
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiida_mlcc.report.publication.archive_file import UnpackedArchive
from aiida_mlcc.science.json_values import Json

WITHHELD = 'withheld'
WITHHELD_PATH = '/withheld'
WITHHELD_ADDRESS = 'withheld@example.invalid'

_WORDS = """
admin aiida api base bash bin cluster compute conda cpu cuda data debug default energy force gpu guest home host info
input job jobs label linux local localhost localdomain login mace main max mean method min mode name node none normal
output phonon phonons project python pyscf regular root run runner scratch seed server slurm software spin standard
structure sum system temp test tests tmp true type ubuntu user users values vasp version work
"""
_COMMON = frozenset(_WORDS.split())
"""Names that say nothing of a person or a place, and words that archives are full of."""

_SHORTEST = 4
"""Shorter names are taken for words."""

_ADDRESS = re.compile(r'[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+')
_PATH = re.compile(r'(?:(?<![\w/.~+%-])|(?<=-[IL])|(?<=file://))/(?:[\w.+@=~-]+/)+[\w.+@=~-]*')
_PUBLIC = ('usr', 'bin', 'sbin', 'lib', 'lib64', 'etc', 'dev', 'proc', 'sys', 'withheld')
_HOME = re.compile(r'/(?:home|Users|root|u|afs|gpfs)/([\w.-]+)')
_DIRECTIVE = re.compile(r'(?m)(?:^|(?<=")|(?<=\\n))#(?:SBATCH|PBS|BSUB|COBALT|\$)\s(?:(?!\\n|").)*')
"""A line by which a scheduler is told what a job needs, in a script or in a JSON string."""

_OPTION = re.compile(
    r'(\s--(?:account|mail-user|qos|partition|clusters|reservation|queue|project)(?:=|\s+)|\s-(?!pe\b)[AMqpPW](?:=|\s*))(\S+)'
)
"""What in such a line tells of accounts, queues and addresses."""

OPTIONS = ('account', 'qos', 'queue_name')
"""What AiiDA calls them, in the options of a job."""

_QUEUES = 'accounts, qualities of service and queues'
_IN_JSON = re.compile(rf'("(?:{"|".join(OPTIONS)})":\s*")([^"]+)')


@dataclass(frozen=True)
class Secrets:
    """What must not be published, kind → what it is called here."""

    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def distinctive(self) -> list[str]:
        """Return the names that are searched as words, the longest first."""
        found = {word for words in self.words.values() for word in words if is_distinctive(word)}
        return sorted(found, key=lambda word: (-len(word), word))

    @property
    def common(self) -> dict[str, list[str]]:
        """Return kind → the names that are words of the language too, and are replaced only where they stand alone."""
        found = {kind: [word for word in words if not is_distinctive(word)] for kind, words in self.words.items()}
        return {kind: words for kind, words in found.items() if words}

    def pattern(self, words: Iterable[str]) -> re.Pattern[str] | None:
        """Return what finds any of `words`, None without any."""
        escaped = '|'.join(re.escape(word) for word in words)
        return re.compile(rf'(?<![A-Za-z0-9]){"(?:" + escaped + ")"}(?![A-Za-z0-9])') if escaped else None


def is_distinctive(word: str) -> bool:
    """Tell whether a name can be searched for in text: neither short nor a word that archives are full of."""
    return len(word) >= _SHORTEST and word.lower() not in _COMMON


def here() -> dict[str, set[str]]:
    """Return what is private of this computer and of who is at work on it."""
    found: dict[str, set[str]] = {'host': {socket.gethostname(), socket.gethostname().split('.')[0]}}
    home = Path.home()
    found['directory'] = {str(home)} if len(home.parts) > 2 else set()
    found['user'] = {home.name} if len(home.parts) > 2 else set()
    with contextlib.suppress(KeyError, OSError):
        found['user'].add(getpass.getuser())
    return found


def of_profile() -> dict[str, set[str]]:
    """Return the hosts by which the computers of the profile are reached, and the users there: no archive has them."""
    from aiida.orm import AuthInfo, QueryBuilder

    found: dict[str, set[str]] = {'host': set(), 'user': set()}
    for info in QueryBuilder().append(AuthInfo).all(flat=True):
        parameters = info.get_auth_params()
        found['user'].add(str(parameters.get('username') or ''))
        found['host'].add(str(parameters.get('host') or ''))
        for jump in str(parameters.get('proxy_jump') or '').split(','):
            user, _, host = jump.strip().rpartition('@')
            found['user'].add(user)
            found['host'].add(host.partition(':')[0])
    return found


def secrets_of(archive: UnpackedArchive, *more: Mapping[str, Iterable[str]]) -> Secrets:
    """Return what is private in an archive: of its users, its computers and its jobs.

    :param more: kind → names that the archive does not tell, as :func:`here` and :func:`of_profile` give them.
    """
    found: dict[str, set[str]] = {}
    for named in more:
        for kind, words in named.items():
            found.setdefault(kind, set()).update(words)
    for user in archive.rows('db_dbuser'):
        found.setdefault('e-mail', set()).add(user['email'])
        found.setdefault('user', set()).add(user['email'].split('@')[0])
        found.setdefault('name', set()).update({user['first_name'], user['last_name'], user['institution']})
    for computer in archive.rows('db_dbcomputer'):
        found.setdefault('host', set()).add(computer['hostname'])
        workdir = json.loads(computer['metadata'] or '{}').get('workdir', '')
        found.setdefault('directory', set()).add(workdir.split('{')[0].rstrip('/'))
    for row in archive.rows('db_dbnode'):
        attributes = json.loads(row['attributes'] or '{}')
        for name in ('account', 'qos'):
            found.setdefault('account', set()).add(str(attributes.get(name) or ''))
        found.setdefault('user', set()).add(str(last_job(attributes).get('job_owner') or ''))
        for name in ('remote_workdir', 'remote_path', 'filepath_executable'):
            found.setdefault('directory', set()).add(str(attributes.get(name) or ''))
    homes = {match.group(1) for path in found.get('directory', ()) if (match := _HOME.match(path))}
    found.setdefault('user', set()).update(homes)
    # Logs have the name of a host without its domain, and in small letters.
    found['host'] = {name for host in found.get('host', ()) for name in (host, host.lower(), *_first_label(host))}
    found['directory'] = _outermost(path for path in found.get('directory', ()) if path.count('/') > 1)
    return Secrets({kind: tuple(sorted(word for word in words if word)) for kind, words in sorted(found.items())})


def _first_label(host: str) -> list[str]:
    """Return the name of a host in its domain; an address in numbers has none."""
    name = host.partition('.')[0]
    return [] if name.isdigit() else [name, name.lower()]


def _outermost(paths: Iterable[str]) -> set[str]:
    """Return the directories that lie in no other of them."""
    kept: list[str] = []
    for path in sorted(paths):
        if not (kept and path.startswith(f'{kept[-1]}/')):
            kept.append(path)
    return set(kept)


def last_job(attributes: Json) -> Json:
    """Return what the scheduler said of a job, which AiiDA stores as JSON text or as a mapping."""
    info = attributes.get('last_job_info') or {}
    content = json.loads(info) if isinstance(info, str) else info
    return dict(content) if isinstance(content, Mapping) else {}


@dataclass
class Scrubber:
    """Replaces what is private in text, and counts what it replaced."""

    secrets: Secrets
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._words = self.secrets.pattern(self.secrets.distinctive)
        self._spaced = self.secrets.pattern(
            word for word in self.secrets.distinctive if word.startswith('/') and ' ' in word
        )
        self._names = self.secrets.pattern(
            word for word in self.secrets.distinctive if '/' not in word and '@' not in word
        )

    def text(self, text: str, words: bool = True, paths: bool = True) -> str:
        """Return `text` without e-mail addresses, without paths, and without the names that are known to be private."""
        if words and self._spaced is not None:
            text = self._replace(self._spaced, text, 'paths', lambda _: WITHHELD_PATH)
        text = self._replace(_ADDRESS, text, 'e-mail addresses', lambda _: WITHHELD_ADDRESS)
        text = _DIRECTIVE.sub(lambda match: self._withheld(_OPTION, match.group()), text)
        text = self._withheld(_IN_JSON, text)
        if paths:
            text = self._replace(_PATH, text, 'paths', self._path)
        if words and self._words is not None:
            text = self._replace(self._words, text, 'names', self._word)
        return text

    def value(self, value: Any, words: bool = True) -> Any:
        """Return plain JSON with the text in it scrubbed; keys stay."""
        if isinstance(value, str):
            return self.text(value, words)
        if isinstance(value, Mapping):
            return {name: self._entry(name, item, words) for name, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, words) for item in value]
        return value

    def _entry(self, name: str, value: Any, words: bool) -> Any:
        if name not in OPTIONS or not isinstance(value, str) or value in ('', WITHHELD):
            return self.value(value, words)
        self.note(_QUEUES, value)
        return WITHHELD

    def _withheld(self, pattern: re.Pattern[str], text: str) -> str:
        """Replace the second group of `pattern`."""
        return self._replace(pattern, text, _QUEUES, lambda match: f'{match.group(1)}{WITHHELD}')

    def note(self, kind: str, old: str) -> None:
        """Count something that is replaced."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.examples.setdefault(kind, set()).add(old)

    def _replace(self, pattern: re.Pattern[str], text: str, kind: str, by: Callable[[re.Match[str]], str]) -> str:
        def replaced(match: re.Match[str]) -> str:
            new = by(match)
            if new != match.group():
                self.note(kind, match.group())
            return new

        return pattern.sub(replaced, text)

    def _word(self, match: re.Match[str]) -> str:
        found = match.group()
        return WITHHELD_ADDRESS if '@' in found else WITHHELD_PATH if found.startswith('/') else WITHHELD

    def _path(self, match: re.Match[str]) -> str:
        parts = match.group().strip('/').split('/')
        if parts[0] in _PUBLIC:
            return match.group()
        last = parts[-1]
        is_file = len(parts) > 2 and ('.' in last.strip('.') or parts[-2] == 'bin')
        if is_file and not (self._names is not None and self._names.search(last)):
            return f'{WITHHELD_PATH}/{last}'
        return WITHHELD_PATH
