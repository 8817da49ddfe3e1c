"""What the description of a force field and its weights must be before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aiida_mlcc.science.force_field.kinds import ForceFieldError

_KEYS: dict[str, type] = {'terms': list, 'constants': Mapping}
_KEYS_OF_A_TERM: dict[str, type] = {
    'kind': str,
    'settings': Mapping,
    'arrays': list,
    'trained_on': Mapping,
    'content_hash': str,
}
_IN_WORDS: dict[Any, str] = {list: 'a list', Mapping: 'a mapping', str: 'text'}

LARGEST_FACTOR = 1e6
"""No weight of a term and no scale of a base is that large."""
LARGEST_CONSTANT = 1e8
"""eV; all electrons of the heaviest atom have two percent of it."""
LARGEST_NUMBER = 1e15
"""In the units of any array of a term."""


def check_description(description: Any) -> None:
    """Check that a description has its parts and that its numbers are numbers.

    :raises ForceFieldError: naming what is missing or wrong.
    """
    _check_parts('the description of the force field', description, _KEYS)
    for number, term in enumerate(description['terms']):
        where = f'term {number} of the force field'
        _check_parts(where, term, _KEYS_OF_A_TERM)
        if not term['arrays']:
            raise ForceFieldError(f'{where} ({term["kind"]}) is empty: it has no weights')
        check_number(f'the weight of {where}', term.get('weight'), LARGEST_FACTOR)
    for symbol, constant in description['constants'].items():
        if symbol not in atomic_numbers:
            raise ForceFieldError(f'the force field has a constant for {symbol!r}, which is not a chemical element')
        check_number(f'the constant of {symbol} (eV)', constant, LARGEST_CONSTANT)
    scale = description.get('base_scale')
    check_number('base_scale of the force field', scale, LARGEST_FACTOR)
    if (probe := description.get('probe')) is not None:
        _check_parts('the probe of the force field', probe, {'symbols': list, 'cell': list, 'positions': list})
        check_number('the energy of the probe (eV)', probe.get('energy'), np.inf)
    if not description['terms'] and not description['constants'] and not scale:
        raise ForceFieldError('the force field is empty: it has no terms and no constants')


def _check_parts(what: str, content: Any, keys: Mapping[str, type]) -> None:
    if not isinstance(content, Mapping):
        raise ForceFieldError(f'{what} is {type(content).__name__} and not a mapping')
    for key, kind in keys.items():
        if key not in content:
            raise ForceFieldError(f'{what} lacks {key!r}')
        if not isinstance(content[key], kind):
            raise ForceFieldError(f'{key!r} of {what} is {content[key]!r} and not {_IN_WORDS[kind]}')


def check_number(what: str, value: Any, largest: float) -> None:
    """Check that `value` is a finite number of at most `largest`.

    :raises ForceFieldError: where it is text, no number at all, or too large.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ForceFieldError(f'{what} is {value!r} and not a number')
    if not abs(value) <= largest or value in (np.inf, -np.inf):
        raise ForceFieldError(f'{what} is {value!r}: a finite number of at most {largest:g} is expected')


def check_weights(where: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Check that the arrays of a term hold finite numbers of a sane size, and are not all empty.

    :raises ForceFieldError: naming the array.
    """
    for name, array in arrays.items():
        values = np.asarray(array)
        if values.dtype.kind not in 'fiub':
            raise ForceFieldError(f'{name!r} of {where} holds {values.dtype} and not numbers')
        if values.dtype.kind == 'f' and not (np.abs(values.astype(float)) <= LARGEST_NUMBER).all():
            raise ForceFieldError(
                f'{name!r} of {where} holds numbers that are not finite or larger than {LARGEST_NUMBER:g}'
            )
    if not any(np.size(array) for array in arrays.values()):
        raise ForceFieldError(f'{where} is empty: it has no weights')
