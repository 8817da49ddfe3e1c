"""What the settings of each task may be, so that a wrong one is a sentence at submission and not a dead job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from aiida_mlcc.science.methods import DFT_METHODS


@dataclass(frozen=True)
class Setting:
    """One setting: its type, its smallest value, its choices, whether it may be null or left out."""

    kind: type | tuple[type, ...]
    above: float | None = None
    at_least: float | None = None
    choices: tuple[Any, ...] = ()
    optional: bool = False

    def refuse(self, name: str, value: Any) -> str | None:
        """Return what is wrong with `value`, in a sentence, or None."""
        if value is None:
            return None if self.optional else f'`{name}` must have a value'
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is not bool):
            return f'`{name}` is {value!r}, which is no {_KIND_NAMES.get(self.kind, "valid value")}'
        if self.choices and value not in self.choices:
            return f'`{name}` is {value!r}: choose from {", ".join(map(str, self.choices))}'
        if self.above is not None and not value > self.above:
            return f'`{name}` is {value!r}, but must be above {self.above:g}'
        if self.at_least is not None and not value >= self.at_least:
            return f'`{name}` is {value!r}, but must be at least {self.at_least:g}'
        return None


_KIND_NAMES = {Real: 'number', Integral: 'whole number', str: 'text', bool: 'true or false', list: 'list'}

_COUNT = Setting(Integral, at_least=1)
_POSITIVE = Setting(Real, above=0)
_NOT_NEGATIVE = Setting(Real, at_least=0)
_MEMORY = Setting(Real, above=0, optional=True)
_DTYPE = Setting(str, choices=('float32', 'float64'))

_PYSCF = {
    'name': Setting(str, choices=('pyscf',)),
    'basis': Setting(str),
    'pseudo': Setting(str, optional=True),
    'exp_to_discard': Setting(Real, at_least=0, optional=True),
    'exxdiv': Setting(str, choices=('ewald',)),
    'conv_tol': _POSITIVE,
    'max_cycle': _COUNT,
    'max_memory_mb': _MEMORY,
}

FORCE_ENGINE = {
    **_PYSCF,
    'method': Setting(str, choices=(*DFT_METHODS, 'HF')),
    'ke_cutoff': Setting(Real, above=0, optional=True),
}

CORRELATION_ENGINE = dict(_PYSCF)

INTEGRALS_ENGINE = {**_PYSCF, 'natural_orbitals_per_occupied': Setting(Real, above=0, optional=True)}

SUPPORTED = {
    'force engine': FORCE_ENGINE,
    'correlation engine': CORRELATION_ENGINE,
    'integrals engine': INTEGRALS_ENGINE,
}


def refuse_settings(what: str, settings: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the settings of `what` (a key of :data:`SUPPORTED`), in a sentence, or None.

    Every setting has to be there, so that nothing about a run is left to a default that may change.
    """
    known = SUPPORTED[what]
    if unknown := sorted(set(settings) - set(known)):
        return f'unknown {what} setting `{unknown[0]}`: choose from {", ".join(known)}'
    for name, setting in known.items():
        if name not in settings:
            if setting.optional:
                continue
            return f'the {what} setting `{name}` is missing'
        if (reason := setting.refuse(name, settings[name])) is not None:
            return f'{what}: {reason}'
    return None
