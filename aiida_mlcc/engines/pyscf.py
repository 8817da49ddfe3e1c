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


def source_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the labels of an engine with these settings say of their source; memory does not count."""
    counted = {_SOURCE_NAMES.get(name, name): value for name, value in settings.items()}
    return {name: value for name, value in counted.items() if name not in ('max_memory_mb', 'max_cycle')}


_SOURCE_NAMES = {'name': 'engine', 'conv_tol': 'conv_tol_hartree'}
