"""Protocols: named sets of inputs in YAML, overridden key by key; a key nobody knows is an error."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from importlib import resources
from typing import Any, ClassVar

import yaml
from aiida.engine import ProcessBuilder, ProcessBuilderNamespace
from aiida.engine.processes.ports import PortNamespace

from aiida_mlcc.jobs.inputs import merge

_FREE = ('metadata', 'options', 'resources', 'per_method', 'potential_mapping', 'incar')
"""Mappings whose keys a protocol cannot know; they are checked elsewhere."""


class ProtocolError(ValueError):
    """An unknown protocol, or an override that fits no input."""


class ProtocolMixin:
    """Give a WorkChain its protocols, from ``protocols/PROTOCOL_FILE``."""

    PROTOCOL_FILE: ClassVar[str]

    @classmethod
    def protocol_content(cls) -> dict[str, Any]:
        """Return the whole protocol file."""
        text = resources.files('aiida_mlcc.workflows').joinpath(f'protocols/{cls.PROTOCOL_FILE}').read_text('utf-8')
        return yaml.safe_load(text)

    @classmethod
    def get_available_protocols(cls) -> dict[str, str]:
        """Return protocol → description."""
        return {name: entry['description'] for name, entry in cls.protocol_content()['protocols'].items()}

    @classmethod
    def get_default_protocol(cls) -> str:
        """Return the protocol that is used where none is named."""
        return cls.protocol_content()['default_protocol']

    @classmethod
    def get_protocol_inputs(
        cls, protocol: str | None = None, overrides: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the inputs of a protocol with `overrides` applied.

        :raises ProtocolError: for an unknown protocol, or an override key that is neither in the protocol nor an input.
        """
        content = cls.protocol_content()
        name = protocol or content['default_protocol']
        if name not in content['protocols']:
            raise ProtocolError(f'unknown protocol {name!r}: choose from {", ".join(content["protocols"])}')
        inputs = deepcopy(content['default_inputs'])
        chosen = {key: value for key, value in content['protocols'][name].items() if key != 'description'}
        for layer in (chosen, overrides or {}):
            for key, kinds in content.get('kinds', {}).items():
                inputs[key] = _of_kind(inputs[key], layer.get(key), kinds)
            if layer is not chosen:
                cls.refuse_unknown(layer, inputs, cls.spec().inputs)
            inputs = merge(inputs, layer)
        return inputs

    @classmethod
    def refuse_unknown(
        cls, overrides: Mapping[str, Any], known: Mapping[str, Any], ports: PortNamespace | None, path: str = ''
    ) -> None:
        """Raise for the first override key that fits nothing."""
        for key, value in overrides.items():
            where = f'{path}.{key}' if path else key
            port = ports[key] if ports is not None and key in ports else None
            if key not in known and port is None:
                choices = sorted(set(known) | (set(ports) if ports is not None else set()))
                raise ProtocolError(f'unknown override `{where}`: choose from {", ".join(choices)}')
            if key in _FREE or not isinstance(value, Mapping):
                continue
            below = known.get(key)
            namespace = port if isinstance(port, PortNamespace) else None
            if isinstance(below, Mapping):
                cls.refuse_unknown(value, below, namespace, where)
            elif namespace is not None and not namespace.dynamic:
                cls.refuse_unknown(value, {}, namespace, where)

    @classmethod
    def fill(cls, inputs: Mapping[str, Any]) -> ProcessBuilder:
        """Return a builder with `inputs`, in which None means: not given."""
        builder = cls.get_builder()
        _fill_namespace(builder, inputs)
        return builder


def _of_kind(below: Mapping[str, Any], above: Any, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` as settings of the kind that `above` asks for: those of another kind would mean nothing to it."""
    kind = above.get('kind') if isinstance(above, Mapping) else None
    if kind not in kinds or kind == below['kind']:
        return dict(below)
    of_any_kind = {key for settings in kinds.values() for key in settings}
    kept = {key: value for key, value in below.items() if key not in of_any_kind}
    return {**kept, 'kind': kind, **kinds[kind]}


def _fill_namespace(builder: ProcessBuilderNamespace, inputs: Mapping[str, Any]) -> None:
    for key, value in inputs.items():
        if value is None:
            continue
        branch = getattr(builder, key, None)
        if isinstance(branch, ProcessBuilderNamespace) and isinstance(value, Mapping):
            _fill_namespace(branch, value)
        else:
            setattr(builder, key, value)
