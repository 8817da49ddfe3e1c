"""Groups of settings, each declared once as a dataclass.

A group says of each of its settings the type, what is allowed, the default and what it means. The inputs of jobs and
WorkChains are checked by it, protocols take its defaults, the runtime builds it, and the reference page prints it::

    @dataclass(frozen=True)
    class Readout(Settings):
        TITLE = 'readout'
        ridge: list = setting('Strengths to choose from.', default=(1e-6, 1e-3), check=positive_numbers)
        n_folds: int = setting('Folds of the cross-validation.', default=5, at_least=2)
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, ClassVar, Self, cast

from aiida_mlcc.science.json_values import StoredSettings

_RULE = 'rule'


class SettingsError(ValueError):
    """A setting that is unknown, missing or not allowed, in a sentence."""


@dataclass(frozen=True)
class Rule:
    """What a setting may be besides its type.

    :param help: what it means, a line.
    :param unit: of a number, as it is printed.
    :param above: and `at_least`, `below`, `at_most`: the range of a number.
    :param choices: the allowed values.
    :param check: returns why a value of the right type is not allowed, or None.
    :param required: whether stored settings must name it, so that no run depends on a default that may change.
    :param written: whether protocols write the default into the inputs.
    """

    help: str
    unit: str = ''
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    choices: tuple[Any, ...] = ()
    check: Callable[[Any], str | None] | None = None
    required: bool = True
    written: bool = True

    @property
    def allowed(self) -> str:
        """What is allowed besides the type, as words; empty where everything is."""
        if self.choices:
            return ', '.join(map(str, self.choices))
        bounds = {
            'above {:g}': self.above,
            'at least {:g}': self.at_least,
            'below {:g}': self.below,
            'at most {:g}': self.at_most,
        }
        return ', '.join(text.format(bound) for text, bound in bounds.items() if bound is not None)

    def refuse(self, name: str, value: Any) -> str | None:
        """Return why a value of the right type is not allowed, in a sentence, or None."""
        if self.choices:
            return None if value in self.choices else f'`{name}` is {value!r}: choose from {self.allowed}'
        within = (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )
        if not within:
            return f'`{name}` is {value!r}, but must be {self.allowed}'
        reason = None if self.check is None else self.check(value)
        return None if reason is None else f'`{name}` is {value!r}: {reason}'


def setting(help: str, *, default: Any = MISSING, **rule: Any) -> Any:
    """Declare a setting of a :class:`Settings` class.

    :param default: what protocols start from; a list or mapping is copied for each instance.
    :param rule: the other fields of :class:`Rule`.
    """
    metadata = {_RULE: Rule(help, **rule)}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """A group of settings. A subclass is a frozen dataclass whose fields are made by :func:`setting`."""

    TITLE: ClassVar[str] = 'settings'
    """What messages call the group."""

    def __post_init__(self) -> None:
        if (reason := type(self).refuse(self.to_dict())) is not None:
            raise SettingsError(reason)

    @classmethod
    def of(cls, given: StoredSettings) -> Self:
        """Build the group from plain values.

        :raises SettingsError: naming the first setting that is unknown, missing or not allowed.
        """
        if (reason := cls.refuse(given)) is not None:
            raise SettingsError(reason)
        groups = cls.groups()
        built = {
            name: groups[name].of(value)
            for name, value in given.items()
            if name in groups and isinstance(value, Mapping)
        }
        return cls(**{**given, **built})

    @classmethod
    def refuse(cls, given: StoredSettings, at: str = '') -> str | None:
        """Return why `given` is not a complete and valid group, in a sentence, or None.

        :param at: path of the group among the inputs, such as ``md.parameters``: the sentence then names the path of
            the setting, not the title of the group.
        """
        rules, kinds = cls.rules(), cls.types()
        path, what, start = (f'{at}.', '', '') if at else ('', f'{cls.TITLE} ', f'{cls.TITLE}: ')
        if unknown := sorted(set(given) - set(rules)):
            return f'unknown {what}setting `{path}{unknown[0]}`: choose from {", ".join(rules)}'
        if missing := [name for name, rule in rules.items() if rule.required and name not in given]:
            return f'the {what}setting `{path}{missing[0]}` is missing'
        for name, value in given.items():
            where = f'{path}{name}'
            if (reason := _refuse_type(where, kinds[name], value, at)) is None and value is not None:
                reason = rules[name].refuse(where, value)
            if reason is not None:
                return f'{start}{reason}'
        reason = cls._unchecked({**cls.defaults(), **given}).refuse_together()
        return None if reason is None else f'{at or cls.TITLE}: {reason}'

    def refuse_together(self) -> str | None:
        """Return why settings that are valid one by one do not go together, in a sentence, or None."""
        return None

    @classmethod
    def _unchecked(cls, values: StoredSettings) -> Self:
        """Return the group before its settings are held against one another; what is missing has no attribute."""
        made = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made

    @classmethod
    def rules(cls) -> dict[str, Rule]:
        """Return name → rule, in the order of declaration."""
        return dict(_rules(cast(type, cls)))

    @classmethod
    def types(cls) -> dict[str, tuple[type, ...]]:
        """Return name → the types a value may have."""
        return dict(_types(cast(type, cls)))

    @classmethod
    def groups(cls) -> dict[str, type[Settings]]:
        """Return name → group of the settings that are groups themselves."""
        return dict(_groups(cls))

    @classmethod
    def starting_values(cls) -> StoredSettings:
        """Return what a protocol starts from: the defaults that are to be written."""
        rules = cls.rules()
        return {name: value for name, value in cls.defaults().items() if rules[name].written}

    @classmethod
    def defaults(cls) -> StoredSettings:
        """Return the default of every setting that has one, as plain JSON."""
        found = {}
        for item in fields(cls):
            if item.default is not MISSING:
                found[item.name] = plain(item.default)
            elif item.default_factory is not MISSING:
                found[item.name] = plain(item.default_factory())
        return found

    @classmethod
    def described(cls) -> Iterator[tuple[str, str, str, str, str]]:
        """Give name, type, what is allowed, default and meaning of every setting, as text for a reference page."""
        defaults, types_of = cls.defaults(), cls.types()
        for name, rule in cls.rules().items():
            kinds = ' or '.join(_NAMES.get(kind, 'mapping') for kind in types_of[name])
            kind = f'{kinds}, {rule.unit}' if rule.unit else kinds
            default = _written(defaults[name]) if name in defaults else ''
            yield name, kind, rule.allowed, default, rule.help

    def to_dict(self) -> StoredSettings:
        """Return the group as plain JSON."""
        found: StoredSettings = plain(asdict(self))
        return found


@dataclass(frozen=True)
class Choice:
    """Groups of settings of which one is meant, the one that the setting `key` names.

    :param title: what messages call it.
    :param key: such as ``kind`` or ``name``; it stands beside the settings of the group.
    :param groups: what `key` may be → the other settings. A group may also declare `key` itself.
    :param beside: further names that may stand beside those of any group, and that are checked elsewhere.
    """

    title: str
    key: str
    groups: Mapping[str, type[Settings]]
    beside: tuple[str, ...] = ()

    def refuse(self, given: StoredSettings, at: str = '') -> str | None:
        """Return why `given` is not one of the groups, in a sentence, or None; `at` as for :meth:`Settings.refuse`."""
        if (reason := self.refuse_name(given.get(self.key), at)) is not None:
            return reason
        group = self.groups[str(given[self.key])]
        left_out = (*self.beside, *(() if self.key in group.rules() else (self.key,)))
        return group.refuse({name: value for name, value in given.items() if name not in left_out}, at)

    def refuse_name(self, name: Any, at: str = '') -> str | None:
        """Return why no group has this name, in a sentence, or None."""
        if isinstance(name, str) and name in self.groups:
            return None
        start, path = ('', f'{at}.') if at else (f'{self.title}: ', '')
        return f'{start}`{path}{self.key}` is {name!r}: choose from {", ".join(self.groups)}'

    def starting_values(self, name: str) -> StoredSettings:
        """Return what a protocol starts from where `name` is chosen."""
        return {**self.groups[name].starting_values(), self.key: name}

    def switched(self, given: StoredSettings, name: str) -> StoredSettings:
        """Return the settings of another group, `name`, in the place of `given`.

        What is `beside` is kept, and so is what the other group inherits from the group of `given`.
        """
        before, after = self.groups[str(given[self.key])], self.groups[name]
        kept = set(before.rules()) if issubclass(after, before) else set()
        kept = (kept | set(self.beside)) - {self.key}
        return {**self.starting_values(name), **{key: value for key, value in given.items() if key in kept}}


Group = type[Settings] | Choice

_NAMES = {
    int: 'whole number',
    float: 'number',
    str: 'text',
    bool: 'true or false',
    list: 'list',
    dict: 'mapping',
    types.NoneType: 'null',
}
_ARTICLES = {'true or false': '', 'text': ''}


@cache
def _rules(cls: type[Settings]) -> dict[str, Rule]:
    return {item.name: item.metadata[_RULE] for item in fields(cls)}


@cache
def _types(cls: type[Settings]) -> dict[str, tuple[type, ...]]:
    hints = typing.get_type_hints(cls)
    found = {}
    for name in cls.rules():
        hint = hints[name]
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        found[name] = tuple(typing.get_origin(option) or option for option in options)
    return found


def _groups(cls: type[Settings]) -> Iterator[tuple[str, type[Settings]]]:
    for name, options in cls.types().items():
        for option in options:
            if issubclass(option, Settings):
                yield name, option


def _refuse_type(name: str, options: tuple[type, ...], value: Any, at: str) -> str | None:
    if value is None:
        return None if types.NoneType in options else f'`{name}` must have a value'
    for option in options:
        if issubclass(option, Settings):
            if isinstance(value, Mapping):
                return option.refuse(value, name if at else '')
        elif _is_a(value, option):
            return None
    kinds = [_NAMES.get(option, 'mapping') for option in options if option is not types.NoneType]
    wanted = ' or '.join(kind if kind in _ARTICLES else f'a {kind}' for kind in kinds)
    return f'`{name}` is {value!r}, which is not {wanted}'


def _is_a(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, Real) and math.isfinite(value)
    if kind is int:
        return isinstance(value, Integral)
    if kind is list:
        return isinstance(value, list | tuple)
    return isinstance(value, Mapping) if kind is dict else isinstance(value, kind)


def plain(value: Any) -> Any:
    """Return mappings of any kind, groups and lists as plain JSON."""
    if isinstance(value, Settings):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _written(value: Any) -> str:
    if value is None:
        return 'null'
    return str(value).lower() if isinstance(value, bool) else str(value)


def three_counts(value: list[Any]) -> str | None:
    """Check for three whole numbers above zero, such as a mesh."""
    valid = len(value) == 3 and all(_is_a(count, int) and count > 0 for count in value)
    return None if valid else 'give three whole numbers above 0'


def not_negative_numbers(value: list[Any]) -> str | None:
    """Check for a list of one or more numbers from zero on."""
    valid = bool(value) and all(_is_a(number, float) and number >= 0 for number in value)
    return None if valid else 'give one or more numbers, none of them negative'


def positive_numbers(value: list[Any]) -> str | None:
    """Check for a list of one or more numbers above zero."""
    valid = bool(value) and all(_is_a(number, float) and number > 0 for number in value)
    return None if valid else 'give one or more numbers above 0'
