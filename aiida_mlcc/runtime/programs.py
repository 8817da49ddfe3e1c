"""The programs that run in the jobs of the runtime, and what each of them gives.

A new program is a file and a line here; how AiiDA sees it is in :mod:`aiida_mlcc.engines.table`. Neither this table nor
the module of its settings imports the program.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from aiida_mlcc.science.json_values import StoredSettings
from aiida_mlcc.science.settings import Settings, SettingsError


@dataclass(frozen=True)
class Role:
    """One thing that a program gives, as ``aiida_mlcc.module:attribute``.

    The names are in full: the code that a job brings is found by them.

    :param settings: its :class:`~aiida_mlcc.science.settings.Settings`.
    :param run: a function of these settings. For forces it returns an ASE calculator with ``label_method`` and
        ``label_source``, as in :mod:`aiida_mlcc.runtime.calculators`; for energies it is called with a structure, the
        settings and the methods, as :func:`~aiida_mlcc.runtime.pyscf.correlated_energies.correlated_energies`. The
        integrals are PySCF's alone.
    """

    settings: str
    run: str = ''


FORCES, ENERGIES, INTEGRALS = 'forces', 'energies', 'integrals'

PROGRAMS: dict[str, dict[str, Role]] = {
    'pyscf': {
        FORCES: Role(
            'aiida_mlcc.runtime.pyscf.settings:PyscfForces',
            'aiida_mlcc.runtime.pyscf.calculator:PyscfCalculator',
        ),
        ENERGIES: Role(
            'aiida_mlcc.runtime.pyscf.settings:PyscfCorrelation',
            'aiida_mlcc.runtime.pyscf.correlated_energies:correlated_energies',
        ),
        INTEGRALS: Role('aiida_mlcc.runtime.pyscf.settings:PyscfIntegrals'),
    },
}
"""Name of the program → role → where it is found."""


class EngineError(Exception):
    """What keeps one structure from having an energy, in a sentence."""


def names(role: str) -> list[str]:
    """Return the programs that have a role."""
    return [name for name, roles in PROGRAMS.items() if role in roles]


def refuse(role: str, given: StoredSettings) -> str | None:
    """Return why no program takes the settings `given`, its ``name`` among them, in a sentence, or None."""
    name = given.get('name')
    if not isinstance(name, str) or name not in names(role):
        return f'unknown engine {name!r}: the jobs of the runtime run {", ".join(names(role))}'
    return settings_class(role, name).refuse(given)


def settings_class(role: str, name: str) -> type[Settings]:
    """Return the settings of a program in a role."""
    found: type[Settings] = _load(PROGRAMS[name][role].settings)
    return found


def settings_of(role: str, given: StoredSettings) -> Any:
    """Build the settings of the program that `given` names.

    :raises SettingsError: naming what is unknown, missing or not allowed.
    """
    if (reason := refuse(role, given)) is not None:
        raise SettingsError(reason)
    return settings_class(role, str(given['name'])).of(given)


def run_of(role: str, name: str) -> Any:
    """Return what runs a program in a role; this may import the program."""
    return _load(PROGRAMS[name][role].run)


def _load(address: str) -> Any:
    module, _, attribute = address.partition(':')
    return getattr(import_module(module), attribute)
