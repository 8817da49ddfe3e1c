"""Protocols whose settings depend on the engine that is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from aiida_mlcc.jobs.inputs import merge
from aiida_mlcc.workflows.common.protocol import Overrides, PlainInputs, ProtocolError, ProtocolMixin, read_overrides


class EngineProtocolMixin(ProtocolMixin):
    """A protocol of the YAML file may say under ``engines`` what it changes for an engine: name → inputs.

    These inputs are laid over those of the protocol, and the overrides over these. An engine that is not named there
    has the defaults of its settings.
    """

    @classmethod
    def get_protocol_inputs(cls, protocol: str | None = None, overrides: Overrides = None) -> PlainInputs:
        """Return the inputs of a protocol with `overrides` applied, with the settings of the engine that is named."""
        content, asked = cls.protocol_content(), read_overrides(overrides)
        if 'engines' in asked:
            raise ProtocolError('unknown override `engines`: settings per engine are allowed in protocol files only')
        engine = asked.get('engine')
        name = (engine if isinstance(engine, Mapping) else {}).get('name', content['default_inputs']['engine']['name'])
        changed = content['protocols'].get(protocol or content['default_protocol'], {}).get('engines', {}).get(name, {})
        inputs = super().get_protocol_inputs(protocol, merge(merge({'engine': {'name': name}}, changed), asked))
        return cast(PlainInputs, {key: value for key, value in inputs.items() if key != 'engines'})
