"""The types of what JSON holds under names that nothing here knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

JsonValue = None | bool | int | float | str | Sequence['JsonValue'] | Mapping[str, 'JsonValue']
"""A value of plain JSON, to be narrowed where it is used."""

Json = Mapping[str, Any]
"""Settings of any program, descriptions of any term, the content of a file that is yet to be checked."""
