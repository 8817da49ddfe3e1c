"""Which elements PySCF has a basis and a pseudopotential for: known without PySCF, which only compute nodes need."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources


def refuse_elements(symbols: Iterable[str], basis: str, pseudo: str) -> str | None:
    """Return which element has no basis or no pseudopotential, in a sentence, or None.

    None as well for sets that are not in the table: PySCF has more of them.
    """
    for what, table, name in (('basis', 'functions', basis), ('pseudopotential', 'valence', pseudo)):
        known = _known(table, name)
        lacking = [] if known is None else [symbol for symbol in dict.fromkeys(symbols) if symbol not in known]
        if lacking:
            others = [other for other, elements in _tables()[table].items() if all(s in elements for s in lacking)]
            hint = f'; {" and ".join(others)} have {"them" if len(lacking) > 1 else "it"}' if others else ''
            return f'{name} has no {what} for {", ".join(lacking)}: choose another one{hint}'
    return None


def refuse_auxiliary(symbols: Iterable[str], auxbasis: str | None) -> str | None:
    """Return why these elements have no such auxiliary basis of the density fitting, in a sentence, or None."""
    if auxbasis is None:
        return None
    known, names = _known('auxiliary', auxbasis), _tables()['auxiliary']
    if known is None:
        alike = get_close_matches(auxbasis.lower(), names, n=3, cutoff=0.4) or ['def2-universal-jkfit']
        return f'PySCF has no auxiliary basis {auxbasis!r} (`auxbasis`): for instance {", ".join(alike)}, or null'
    lacking = [symbol for symbol in dict.fromkeys(symbols) if symbol not in known]
    return f'the auxiliary basis {auxbasis} has no functions for {", ".join(lacking)}' if lacking else None


def n_functions(symbols: Iterable[str], basis: str) -> int | None:
    """Return how many basis functions a cell has; None for a basis that is not in the table."""
    known = _known('functions', basis)
    return None if known is None else sum(known.get(symbol, 0) for symbol in symbols)


def valence(symbols: Iterable[str], pseudo: str) -> dict[str, int] | None:
    """Return element → electrons that its pseudopotential leaves; None for a set that is not in the table."""
    known = _known('valence', pseudo)
    return None if known is None else {symbol: known[symbol] for symbol in symbols if symbol in known}


def _known(table: str, name: str) -> Mapping[str, int] | None:
    wanted = _plain(name)
    return next((elements for known, elements in _tables()[table].items() if _plain(known) == wanted), None)


def _plain(name: str) -> str:
    """Return a name as PySCF compares names: without hyphens, spaces and underscores, in small letters."""
    return name.lower().replace('-', '').replace('_', '').replace(' ', '')


@cache
def _tables() -> dict[str, dict[str, dict[str, int]]]:
    """Return ``functions``, ``valence``, ``auxiliary``: name of a set → element → how many functions, or electrons."""
    text = resources.files('aiida_mlcc.engines').joinpath('pyscf_elements.json').read_text('utf-8')
    return json.loads(text)
