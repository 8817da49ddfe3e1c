"""The type of what JSON holds under names that nothing here knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
"""Settings of any program, descriptions of any term, the content of a file that is yet to be checked."""
