"""Force constants of one crystal, those of a base and of Δ, summed into one term: a step then costs as much as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aiida_mlcc.science.force_field.sum import Term

_CRYSTAL = ('cell', 'positions')
_BONDS = ('bonds', 'bond_vectors', 'bond_kinds')


def summed(terms: Sequence[Term]) -> list[Term]:
    """Return terms of kind ``force-constants`` with the same energy, as few as can be, each of weight 1 where summed.

    Terms are summed where they are of one crystal, with its sites at the same places; bonds of fourth order must be the
    same, or stand in one of them alone.
    """
    groups: list[list[Term]] = []
    for term in terms:
        for group in groups:
            if _alike(term, group):
                group.append(term)
                break
        else:
            groups.append([term])
    return [group[0] if len(group) == 1 else _sum(group) for group in groups]


def _alike(term: Term, group: Sequence[Term]) -> bool:
    first = group[0]
    same = term.settings['symbols'] == first.settings['symbols'] and _equal(term, first, _CRYSTAL)
    bonds = next((other for other in group if 'bonds' in other.arrays), None)
    return same and ('bonds' not in term.arrays or bonds is None or _equal(term, bonds, _BONDS))


def _equal(one: Term, other: Term, names: Iterable[str]) -> bool:
    return all(np.array_equal(one.arrays[name], other.arrays[name]) for name in names)


def _sum(terms: Sequence[Term]) -> Term:
    arrays: dict[str, NDArray[Any]] = {name: terms[0].arrays[name] for name in _CRYSTAL}
    keys, arrays['fc'] = _rows_summed(terms, ('pairs', 'lattice_vectors'), 'fc')
    arrays['pairs'], arrays['lattice_vectors'] = keys[:, :2], keys[:, 2:]
    if gradients := [term.weight * term.arrays['first_order'] for term in terms if 'first_order' in term.arrays]:
        arrays['first_order'] = np.sum(gradients, axis=0)
    if any('triplets' in term.arrays for term in terms):
        keys, arrays['third_order'] = _rows_summed(terms, ('triplets', 'triplet_vectors'), 'third_order')
        arrays['triplets'], arrays['triplet_vectors'] = keys[:, :3], keys[:, 3:].reshape(-1, 2, 3)
    with_bonds = [term for term in terms if 'bonds' in term.arrays]
    if with_bonds:
        arrays |= {name: with_bonds[0].arrays[name] for name in _BONDS}
        arrays['fourth_order'] = np.sum([term.weight * term.arrays['fourth_order'] for term in with_bonds], axis=0)
    settings = {**terms[0].settings, 'cutoff': max(float(term.settings['cutoff']) for term in terms)}
    return replace(terms[0], settings=settings, arrays=arrays, weight=1.0)


def _rows_summed(
    terms: Sequence[Term], names: Sequence[str], values: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the distinct rows of integers that `names` hold together, and the weighted sum of the values of each."""
    there = [term for term in terms if values in term.arrays]
    rows = np.concatenate(
        [np.concatenate([np.reshape(t.arrays[n], (len(t.arrays[values]), -1)) for n in names], axis=1) for t in there]
    )
    parts = np.concatenate([term.weight * term.arrays[values] for term in there])
    keys, places = np.unique(rows, axis=0, return_inverse=True)
    total = np.zeros((len(keys), *parts.shape[1:]))
    np.add.at(total, places.ravel(), parts)
    return keys.astype(np.int64), total
