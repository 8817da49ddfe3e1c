"""Protocols: named sets of inputs, overridden key by key; an unknown key or a value out of range is an error.

A WorkChain names the groups of settings among its inputs by their path::

    class VACFWorkChain(ProtocolMixin, WorkChain):
        PROTOCOL_FILE = 'vacf.yaml'
        SETTINGS = {'md.parameters': MD, 'spectrum': Spectrum}

The inputs are built in layers: the defaults of the groups, then ``default_inputs`` of the YAML file (seeds, supercells,
options, and where a default of a group does not fit), then the protocol, then the overrides. A group whose port is
optional is absent until a layer names it. ``default_inputs`` must name the group of each
:class:`~aiida_mlcc.science.settings.Choice`; a layer that names another group starts from the defaults of that group.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypedDict, cast

import yaml
from aiida import orm
from aiida.engine import ProcessBuilder, ProcessBuilderNamespace
from aiida.engine.processes.ports import PortNamespace

from aiida_mlcc.jobs.inputs import InputTree, InputValue, deepcopy_plain, merge
from aiida_mlcc.science.labels.labelling_plan import Selection
from aiida_mlcc.science.settings import Choice, Group

_FREE = ('metadata', 'options', 'step_options', 'resources', 'potential_mapping', 'incar')
"""Mappings whose keys a protocol cannot know; they are checked elsewhere."""


Overrides = InputTree | Path | str | None
"""Inputs that are laid over those of a protocol, or the path of a YAML file that holds them."""


class ProtocolError(ValueError):
    """An unknown protocol, an override that fits no input, or a setting that is not allowed."""


class Named(TypedDict, total=False):
    """Inputs of which a builder reads the name or the kind alone, and the kinds to compare with."""

    name: str
    kind: str
    compare: list[str]


class PlainInputs(TypedDict, total=False):
    """What builders read of the inputs of a protocol; each WorkChain has some of these, and others."""

    methods: list[str]
    vacf_methods: list[str]
    engine: Named
    selection: Selection
    sampling: Named
    base: Named
    delta: Named
    symprec: float
    supercell_matrix: list[list[int]] | None
    evaluate: InputTree
    md: InputTree
    train: InputTree


class Protocol(TypedDict, total=False):
    """A protocol: its description, and beside it the inputs that it changes.

    ``engines``: name of an engine → the inputs that the protocol changes for it.
    """

    description: str
    engines: Mapping[str, InputTree]


class ProtocolFile(TypedDict):
    """The content of a protocol file."""

    default_protocol: str
    default_inputs: PlainInputs
    protocols: dict[str, Protocol]


def read_overrides(overrides: Overrides) -> dict[str, InputValue]:
    """Return overrides as a mapping, from a YAML file where they are given by its path.

    :raises ProtocolError: where the file cannot be read, or holds anything but a mapping of inputs.
    """
    if not isinstance(overrides, str | Path):
        return dict(overrides or {})
    try:
        content = yaml.safe_load(Path(overrides).read_text('utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProtocolError(f'{overrides} cannot be read as YAML: {" ".join(str(error).split())}') from None
    if not isinstance(content, dict):
        raise ProtocolError(f'{overrides} must be a mapping of inputs, such as `methods: [HF, MP2]`')
    return content


class ProtocolMixin:
    """Give a WorkChain its protocols, from the file ``PROTOCOL_FILE`` beside it."""

    PROTOCOL_FILE: ClassVar[str]

    # Of the WorkChain that this class is mixed into.
    spec: ClassVar[Callable[[], Any]]
    get_builder: ClassVar[Callable[[], ProcessBuilder]]

    SETTINGS: ClassVar[Mapping[str, Group]] = {}
    """Path of an input → the group of settings it holds."""

    @classmethod
    def get_protocol_filepath(cls) -> Path:
        """Return the path of the YAML file with the protocols."""
        owner = next(base for base in cls.__mro__ if 'PROTOCOL_FILE' in vars(base))
        return Path(inspect.getfile(owner)).parent / cls.PROTOCOL_FILE

    @classmethod
    def protocol_content(cls) -> ProtocolFile:
        """Return the whole protocol file."""
        return deepcopy(_read(cls.get_protocol_filepath()))

    @classmethod
    def get_available_protocols(cls) -> dict[str, str]:
        """Return protocol → description."""
        return {name: entry['description'] for name, entry in cls.protocol_content()['protocols'].items()}

    @classmethod
    def get_default_protocol(cls) -> str:
        """Return the protocol that is used where none is named."""
        return cls.protocol_content()['default_protocol']

    @classmethod
    def get_protocol_inputs(cls, protocol: str | None = None, overrides: Overrides = None) -> PlainInputs:
        """Return the inputs of a protocol with `overrides` applied.

        :param overrides: inputs as nested mappings, or the path of a YAML file with them.
        :raises ProtocolError: for an unknown protocol, an override key that is neither in the protocol nor an input, or
            a setting that is not allowed.
        """
        content = cls.protocol_content()
        name = protocol or content['default_protocol']
        if name not in content['protocols']:
            raise ProtocolError(f'unknown protocol {name!r}: choose from {", ".join(content["protocols"])}')
        inputs = cls._lay({}, cls._required_groups())
        inputs = cls._lay(inputs, content['default_inputs'])
        chosen = {key: value for key, value in content['protocols'][name].items() if key != 'description'}
        for layer in (chosen, read_overrides(overrides)):
            if layer is not chosen:
                cls.refuse_unknown(layer, inputs, cls.spec().inputs)
            inputs = cls._lay(inputs, layer)
        cls._refuse_settings(inputs)
        return cast(PlainInputs, inputs)

    @classmethod
    def _required_groups(cls) -> InputTree:
        """Return an empty mapping at the place of each group that the inputs must have."""
        found: InputTree = {}
        for path, group in cls.SETTINGS.items():
            port: Any = cls.spec().inputs
            for key in path.split('.'):
                port = port[key]
            if port.required and not isinstance(group, Choice):
                place: InputTree = {}
                for key in reversed(path.split('.')):
                    place = {key: place}
                found = merge(found, place)
        return found

    @classmethod
    def _lay(cls, below: InputTree, above: InputTree, path: str = '') -> dict[str, InputValue]:
        """Return `below` with `above` laid over it, mapping by mapping; a group begins with its defaults."""
        merged = dict(below)
        for key, value in above.items():
            where = f'{path}.{key}' if path else key
            if not isinstance(value, Mapping):
                merged[key] = deepcopy_plain(value)
                continue
            group, start = cls._group_at(where), merged.get(key)
            if group is not None:
                start = _start(group, start, value, where)
            merged[key] = cls._lay(start if isinstance(start, Mapping) else {}, value, where)
        return merged

    @classmethod
    def _group_at(cls, path: str) -> Group | None:
        """Return the group at a path, or the group there within another one."""
        if path in cls.SETTINGS:
            return cls.SETTINGS[path]
        above, _, name = path.rpartition('.')
        around = cls._group_at(above) if above else None
        return None if around is None or isinstance(around, Choice) else around.groups().get(name)

    @classmethod
    def _refuse_settings(cls, inputs: InputTree) -> None:
        """Raise for the first setting that is not allowed."""
        for path, group in cls.SETTINGS.items():
            value: InputValue = inputs
            for key in path.split('.'):
                value = value.get(key) if isinstance(value, Mapping) else None
            if isinstance(value, Mapping):
                reason = group.refuse(value, path)
            elif value is None or isinstance(value, orm.Node):
                continue
            else:
                reason = f'`{path}` is {value!r}: give a mapping of settings'
            if reason is not None:
                raise ProtocolError(reason)

    @classmethod
    def refuse_unknown(
        cls, overrides: InputTree, known: InputTree, ports: PortNamespace | None, path: str = ''
    ) -> None:
        """Raise for the first override key that fits nothing."""
        for key, value in overrides.items():
            where = f'{path}.{key}' if path else key
            port = ports[key] if ports is not None and key in ports else None
            if key not in known and port is None:
                choices = sorted(set(known) | (set(ports) if ports is not None else set()))
                raise ProtocolError(f'unknown override `{where}`: choose from {", ".join(choices)}')
            if key in _FREE or where in cls.SETTINGS or not isinstance(value, Mapping):
                continue
            below = known.get(key)
            namespace = port if isinstance(port, PortNamespace) else None
            if isinstance(below, Mapping):
                cls.refuse_unknown(value, below, namespace, where)
            elif namespace is not None and not namespace.dynamic:
                cls.refuse_unknown(value, {}, namespace, where)

    @classmethod
    def fill(cls, inputs: InputTree) -> ProcessBuilder:
        """Return a builder with `inputs`, in which None means: not given."""
        builder = cls.get_builder()
        _fill_namespace(builder, inputs)
        return builder


@cache
def _read(file: Path) -> ProtocolFile:
    content: ProtocolFile = yaml.safe_load(file.read_text('utf-8'))
    return content


def _start(group: Group, below: InputValue, above: InputTree, path: str) -> InputTree:
    """Return the settings over which `above` is laid.

    :raises ProtocolError: where it names a group that does not exist.
    """
    before = below if isinstance(below, Mapping) else {}
    if not isinstance(group, Choice):
        return dict(before) if isinstance(below, Mapping) else group.starting_values()
    if group.key in before and above.get(group.key, before[group.key]) == before[group.key]:
        return dict(before)
    name: Any = above.get(group.key)
    if (reason := group.refuse_name(name, path)) is not None:
        raise ProtocolError(reason)
    return group.switched(before, name) if group.key in before else group.starting_values(name)


def _fill_namespace(builder: ProcessBuilderNamespace, inputs: InputTree) -> None:
    for key, value in inputs.items():
        if value is None:
            continue
        branch = getattr(builder, key, None)
        if isinstance(branch, ProcessBuilderNamespace) and isinstance(value, Mapping):
            _fill_namespace(branch, value)
        else:
            setattr(builder, key, value)
