"""Engines that give energies and forces, told apart by their name."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_mlcc.engines import pyscf, vasp


def is_vasp(engine: orm.Dict) -> bool:
    """Tell whether `engine` is VASP, which runs in jobs of its own."""
    return engine.get_dict().get('name') == 'vasp'


def refuse_force_engine(node: orm.Dict, _: Any) -> str | None:
    """Return why `node` cannot give energies and forces, in a sentence, or None."""
    return vasp.refuse_force_settings(node, _) if is_vasp(node) else pyscf.refuse_force_engine(node, _)
