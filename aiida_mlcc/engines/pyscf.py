"""PySCF as the engine: Γ point, density-fitted, settings checked at submission."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_mlcc.calculations.integrals import refuse_mesh
from aiida_mlcc.calculations.parameters import refuse_settings


def refuse_force_engine(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give energies and forces, in a sentence, or None."""
    return refuse_settings('force engine', node.get_dict())


def refuse_correlation_engine(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give correlated energies, in a sentence, or None."""
    settings = node.get_dict()
    return refuse_mesh(settings) or refuse_settings('correlation engine', settings)


def source_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the labels of an engine with these settings say of their source; memory does not count."""
    counted = {_SOURCE_NAMES.get(name, name): value for name, value in settings.items()}
    return {name: value for name, value in counted.items() if name not in ('max_memory_mb', 'max_cycle')}


def force_engine_like(method: str, source: Mapping[str, Any], engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with which PySCF labels new structures as the labels of `source` were made.

    :param source: what labels of `method` say of their source.
    :param engine: settings from which the rest is taken, which does not count for an energy.
    :raises ValueError: where the labels are not PySCF's, or do not say how they were made.
    """
    counted = ('basis', 'pseudo', 'exp_to_discard', 'conv_tol', 'ke_cutoff')
    if source.get('engine') != 'pyscf':
        raise ValueError(
            f'the {method} labels come neither from PySCF nor from VASP but from '
            f'{source.get("engine", "an unknown source")}: nothing here can label new structures in the same way'
        )
    if missing := [name for name in counted if _SOURCE_NAMES.get(name, name) not in source]:
        raise ValueError(f'the {method} labels do not say with which `{missing[0]}` they were made')
    settings = {name: source[_SOURCE_NAMES.get(name, name)] for name in counted}
    # An engine that takes its integrals from another program says nothing of these.
    rest = {'exxdiv': 'ewald', 'max_cycle': 50, 'max_memory_mb': None}
    rest = {name: engine.get(name, default) for name, default in rest.items()}
    return {'name': 'pyscf', **rest, 'method': method, **settings}


_SOURCE_NAMES = {'name': 'engine', 'conv_tol': 'conv_tol_hartree', 'ke_cutoff': 'ke_cutoff_hartree'}
