"""Electronic-structure methods: their names, kinds, link-safe slugs, and how their energies are composed.

A method is a name, such as ``PBEsol`` or ``RPA``, and a kind. The tables here hold what is known of the methods that
the engines calculate; labels of any other name may be imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

SLUGS = {
    'LDA': 'lda',
    'PBE': 'pbe',
    'LDA(E)': 'lda_e',
    'PBE(E)': 'pbe_e',
    'HF': 'hf',
    'MP2': 'mp2',
    'CCSD': 'ccsd',
    'CCSD(T)': 'ccsd_t',
}
"""Method → slug, of the methods that the engines calculate. AiiDA link labels allow no brackets."""

METHODS = {slug: method for method, slug in SLUGS.items()}
"""Slug → method."""

DFT_METHODS = ('LDA', 'PBE')
"""Density functionals that the engines calculate, for a base force field to be trained on."""

WAVEFUNCTION_METHODS = ('HF', 'MP2', 'CCSD', 'CCSD(T)')
"""Methods that the engines calculate for a Δ, in order of cost."""

DFT, CONTROL, COSTLY, PREDICTED = KINDS = ('dft', 'control', 'costly', 'predicted')
"""Kinds of method: with forces, for a base; a base without its forces; energies beyond the base, reached through Δ; and
what a force field predicts. In the order in which methods are listed."""

CONTRIBUTIONS = {
    'HF': ('hf',),
    'MP2': ('hf', 'mp2', 'mp2_basis_set', 'mp2_finite_size'),
    'CCSD': ('hf', 'ccsd', 'ccsd_basis_set', 'ccsd_finite_size'),
    'CCSD(T)': ('hf', 'ccsd', 'triples', 'ccsd_basis_set', 'ccsd_finite_size', 'triples_basis_set'),
}
"""Named contributions (eV per cell) that add up to the energy of a method; corrections are optional."""

ELSEWHERE = (
    'BCCD', 'BCCD(T)', 'CC2', 'CC3', 'CCD', 'CEPA', 'CISD', 'FCI', 'LCCD', 'QCISD', 'QCISD(T)', 'MP3', 'MP4', 'MP2.5',
)  # fmt: skip
"""Methods that the engines here do not calculate, of names that are close to those of others."""

_CLOSE = 0.75
_OPTIONAL_ENDINGS = ('_basis_set', '_finite_size')

LONGEST_NAME = 40
"""Characters of a name that a person gives; those of predictions and controls are longer."""

_NAME = re.compile(r'[A-Za-z][A-Za-z0-9()+*@./ _-]{0,59}')
_PREDICTED = re.compile(r'ML\((.+)\)')


class UnknownMethod(ValueError):
    """A name that no method can have, or a slug without a name."""


def slug_of(method: str) -> str:
    """Return the link-safe slug of a method (``CCSD(T)`` → ``ccsd_t``, ``PBEsol`` → ``pbesol``).

    :raises UnknownMethod: for a name that gives no slug, or the slug of a method of the table.
    """
    if method in SLUGS:
        return SLUGS[method]
    if not _NAME.fullmatch(method):
        raise UnknownMethod(
            f'{method!r} cannot be the name of a method: it starts with a letter, and has letters, digits and '
            '( ) + * @ . / - only, 60 at most'
        )
    slug = re.sub(r'[^a-z0-9]+', '_', method.lower().replace('*', 'star')).strip('_')
    if slug in METHODS:
        raise UnknownMethod(f'unknown method {method!r}: write {METHODS[slug]}, or choose a name that differs more')
    return slug


def method_of(slug: str) -> str:
    """Return the method of the table that has a slug (``ccsd_t`` → ``CCSD(T)``).

    :raises UnknownMethod: with the slugs there are.
    """
    try:
        return METHODS[slug]
    except KeyError:
        raise UnknownMethod(f'unknown method slug {slug!r}: choose from {", ".join(METHODS)}') from None


def refuse_name(method: str) -> str | None:
    """Return why `method` cannot be the name of labels that are given, in a sentence, or None."""
    try:
        slug_of(method)
    except UnknownMethod as error:
        return str(error)
    if usual_kind(method) in (CONTROL, PREDICTED):
        return f'{method!r} is the name of a force field, not of a method'
    return None if len(method) <= LONGEST_NAME else f'{method!r} is longer than {LONGEST_NAME} characters'


def near_miss(method: str) -> str | None:
    """Return the method of the table that a name may have been meant for, None where it is that or clearly another.

    A name that holds one of the table whole, as CCSDT and PBE0 do, is another, unless a bracket of it is missing.
    """
    plain = method.casefold()
    known = {name.casefold(): name for name in SLUGS}
    if plain in known or plain in {name.casefold() for name in ELSEWHERE}:
        return None
    whole = plain.count('(') == plain.count(')')
    if whole and any(name in plain for name in known):
        return None
    found = get_close_matches(plain, known, n=1, cutoff=_CLOSE)
    return known[found[0]] if found else None


def control_of(base_method: str) -> str:
    """Return the name of ML(DFT_E), the negative control of a base: a force field trained on the energies without the
    forces (arXiv:2507.06929)."""
    return f'{base_method}(E)'


def predicted(method: str) -> str:
    """Return the name of what a force field predicts for a method: ``ML(CCSD(T))``."""
    return method if _PREDICTED.fullmatch(method) else f'ML({method})'


def usual_kind(method: str) -> str | None:
    """Return the kind of a method as far as its name tells, None for names that the table does not hold."""
    if method in DFT_METHODS:
        return DFT
    if method in WAVEFUNCTION_METHODS:
        return COSTLY
    if _PREDICTED.fullmatch(method):
        return PREDICTED
    return CONTROL if method.endswith('(E)') else None


def calculated(methods: Iterable[str]) -> list[str]:
    """Return those of `methods` beyond DFT that the engines calculate; labels of the others can only be imported."""
    return [method for method in methods if method in WAVEFUNCTION_METHODS]


def in_order(methods: Iterable[str], kinds: Mapping[str, str] | None = None) -> list[str]:
    """Return `methods` by kind, as in :data:`KINDS`, and within a kind those of the table first, in its order.

    :param kinds: method → kind, where it is not the usual one; a name without any is taken as costly.
    """
    table = list(SLUGS)

    def place(method: str) -> tuple[int, int, str]:
        kind = (kinds or {}).get(method) or usual_kind(method) or COSTLY
        return KINDS.index(kind), table.index(method) if method in table else len(table), method

    return sorted(methods, key=place)


def compose_energy(method: str, contributions: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Add up the energy of a method from its named contributions.

    HF = E_HF; MP2 = E_HF + E_c(MP2); CCSD = E_HF + E_c(CCSD); CCSD(T) = CCSD + E_(T); plus the method's own
    basis-set and finite-size corrections where they are given (arXiv:2507.06929, Methods).

    :param contributions: name → energies in eV per cell, shape (n,) or scalars. Names as in :data:`CONTRIBUTIONS`.
    :raises UnknownMethod: for a method that is not a sum of wave-function contributions.
    :raises KeyError: naming the contribution that is missing.
    """
    if method not in CONTRIBUTIONS:
        raise UnknownMethod(f'{method!r} has no wave-function contributions: choose from {", ".join(CONTRIBUTIONS)}')
    needed = [name for name in CONTRIBUTIONS[method] if not is_optional(name)]
    if missing := [name for name in needed if name not in contributions]:
        raise KeyError(f'the energy of {method} needs the contribution {missing[0]!r}')
    parts = [contributions[name] for name in CONTRIBUTIONS[method] if name in contributions]
    return np.sum(np.broadcast_arrays(*parts), axis=0)


def is_optional(contribution: str) -> bool:
    """Tell whether a contribution is a correction, which an energy may go without."""
    return contribution.endswith(_OPTIONAL_ENDINGS)
