"""PySCF as the engine: Γ point, density-fitted, settings checked at submission."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_mlcc.calculations.parameters import refuse_settings


def refuse_force_engine(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give energies and forces, in a sentence, or None."""
    return refuse_settings('force engine', node.get_dict())


def refuse_correlation_engine(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give correlated energies, in a sentence, or None."""
    return refuse_settings('correlation engine', node.get_dict())


def settings_that_count(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that fix an energy: memory is none of them, the engine's name is."""
    return {name: value for name, value in settings.items() if name != 'max_memory_mb'}
