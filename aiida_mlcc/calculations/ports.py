"""Ports of jobs and WorkChains that hold a group of settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiida import orm
from aiida.engine.processes.process_spec import ProcessSpec

from aiida_mlcc.science.settings import Group


def settings_port(spec: ProcessSpec, name: str, group: Group, *, help: str, required: bool = True) -> None:
    """Declare `name`, a group of settings: a mapping, checked by `group` when the input is given.

    :param name: with dots where it lies in a namespace.
    """
    spec.input(
        name,
        valid_type=orm.Dict,
        required=required,
        serializer=orm.to_aiida_type,
        validator=settings_validator(group),
        help=help,
    )


def settings_validator(group: Group) -> Callable[[orm.Dict, Any], str | None]:
    """Return the validator of a port that holds `group`."""

    def refuse(node: orm.Dict, _: Any) -> str | None:
        return group.refuse(node.get_dict())

    return refuse
