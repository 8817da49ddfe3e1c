"""Electronic-structure methods: their names, their link-safe slugs, and how their energies are composed."""

from __future__ import annotations

from collections.abc import Mapping

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
"""Method → slug. AiiDA link labels allow no brackets; the table is one to one."""

METHODS = {slug: method for method, slug in SLUGS.items()}
"""Slug → method."""

DFT_METHODS = ('LDA', 'PBE')
"""Methods a base force field is trained on."""

CONTROLS = {'LDA': 'LDA(E)', 'PBE': 'PBE(E)'}
"""Base method → ML(DFT_E), its negative control: a force field trained on the energies without the forces
(arXiv:2507.06929)."""

WAVEFUNCTION_METHODS = ('HF', 'MP2', 'CCSD', 'CCSD(T)')
"""Methods reached through Δ, in order of cost."""

CONTRIBUTIONS = {
    'HF': ('hf',),
    'MP2': ('hf', 'mp2', 'mp2_basis_set', 'mp2_finite_size'),
    'CCSD': ('hf', 'ccsd', 'ccsd_basis_set', 'ccsd_finite_size'),
    'CCSD(T)': ('hf', 'ccsd', 'triples', 'ccsd_basis_set', 'ccsd_finite_size', 'triples_basis_set'),
}
"""Named contributions (eV per cell) that add up to the energy of a method; corrections are optional."""

_OPTIONAL_ENDINGS = ('_basis_set', '_finite_size')


class UnknownMethod(ValueError):
    """A method that the table does not hold."""


def slug_of(method: str) -> str:
    """Return the link-safe slug of a method (``CCSD(T)`` → ``ccsd_t``).

    :raises UnknownMethod: with the methods there are.
    """
    try:
        return SLUGS[method]
    except KeyError:
        raise UnknownMethod(f'unknown method {method!r}: choose from {", ".join(SLUGS)}') from None


def method_of(slug: str) -> str:
    """Return the method of a slug (``ccsd_t`` → ``CCSD(T)``).

    :raises UnknownMethod: with the slugs there are.
    """
    try:
        return METHODS[slug]
    except KeyError:
        raise UnknownMethod(f'unknown method slug {slug!r}: choose from {", ".join(METHODS)}') from None


def compose_energy(method: str, contributions: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Add up the energy of a method from its named contributions.

    HF = E_HF; MP2 = E_HF + E_c(MP2); CCSD = E_HF + E_c(CCSD); CCSD(T) = CCSD + E_(T); plus the method's own
    basis-set and finite-size corrections where they are given (arXiv:2507.06929, Methods).

    :param contributions: name → energies in eV per cell, shape (n,) or scalars. Names as in :data:`CONTRIBUTIONS`.
    :raises UnknownMethod: for a method that is no sum of wave-function contributions.
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
