"""The types of what JSON holds under names that nothing here knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

JsonValue = None | bool | int | float | str | Sequence['JsonValue'] | Mapping[str, 'JsonValue']
"""A value of plain JSON, to be narrowed where it is used."""

Source = Mapping[str, JsonValue]
"""What labels say of their source: the ``engine``, and its settings under the names that it has for them."""

StoredSettings = Mapping[str, JsonValue]
"""A group of settings as JSON has it, which :class:`~aiida_mlcc.science.settings.Settings` checks and builds."""

Json = Mapping[str, Any]
"""Descriptions of any term, the content of a file that is yet to be checked."""
