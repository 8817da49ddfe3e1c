"""Engines that give energies and forces, told apart by their name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_mlcc.engines import pyscf
from aiida_mlcc.engines.vasp import settings as vasp


def is_vasp(engine: orm.Dict) -> bool:
    """Tell whether `engine` is VASP, which runs in jobs of its own."""
    return engine.get_dict().get('name') == 'vasp'


def refuse_force_engine(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give energies and forces, in a sentence, or None."""
    return vasp.refuse_force_settings(node, _) if is_vasp(node) else pyscf.refuse_force_engine(node, _)


def source_of(engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the labels of an engine with these settings say of their source."""
    return vasp.source_of(engine) if engine.get('name') == 'vasp' else pyscf.source_of(engine)


def force_engine_like(method: str, source: Mapping[str, Any], engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that label new structures as the labels of `source` were made.

    :param source: what labels of `method` say of their source.
    :param engine: settings from which PySCF takes what does not count for an energy.
    :raises ValueError: where no engine here can, or the labels do not say how they were made.
    """
    if source.get('engine') == 'vasp':
        return vasp.force_engine_like(method, source)
    return pyscf.force_engine_like(method, source, engine)


def refuse_other_settings(given: Mapping[str, Any], like: Mapping[str, Any]) -> str | None:
    """Return in which setting that counts an engine differs from another, in a sentence, or None."""
    for name in _COUNTED[like['name']]:
        ours, theirs = _counted(name, given.get(name)), _counted(name, like[name])
        by_default = name == 'pseudo' and None in (ours, theirs)
        if ours != theirs and not by_default:
            return (
                f'`base_engine.{name}` is {ours!r}, but the snapshots are labelled with {theirs!r}: '
                'labels of different settings must not be mixed'
            )
    return None


def _counted(name: str, value: Any) -> Any:
    """Return what counts of a setting: of VASP's ``incar`` the tags that labels keep."""
    return vasp.tags_that_count(value) if name == 'incar' and isinstance(value, Mapping) else value


_COUNTED = {
    'pyscf': ('name', 'method', 'basis', 'pseudo', 'exp_to_discard', 'conv_tol', 'ke_cutoff'),
    'vasp': tuple(name for name in vasp.FORCES if name not in ('algo', 'nelm')),
}
