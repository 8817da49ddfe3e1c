"""A linear readout of a frozen network as a term of a force field: E = Σ_i w_{Z_i}·h_i(x), h_i being the invariant
features that the network gives atom i after all of its interactions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from aiida_mlcc.science.force_field.kinds import ForceFieldError
from aiida_mlcc.science.force_field.sum import Term, TrainedOn

_KIND = 'readout'


def readout_term(
    trunk: Term,
    symbols: Sequence[str],
    weights: NDArray[np.float64],
    trained_on: TrainedOn | None = None,
) -> Term:
    """Describe a readout of the network `trunk` as a term. It names the network by content and does not hold it.

    :param symbols: the elements that it knows, one for each row of `weights`.
    :param weights: eV per unit of a feature, shape (n_elements, n_features).
    """
    settings = {'trunk': trunk.content_hash, 'symbols': list(symbols)}
    return Term(_KIND, settings, {'weights': np.asarray(weights, dtype=float)}, trained_on=trained_on or {})


def combined_weights(readouts: Sequence[Term], elements: Sequence[int], n_features: int) -> NDArray[np.float64]:
    """Return Σ_t w_t·W_t of readouts of one network, eV, shape (len(elements), n_features).

    :param elements: atomic numbers that the network knows; those that a readout does not know stay zero.
    :raises ForceFieldError: for weights that do not fit the network.
    """
    total = np.zeros((len(elements), n_features))
    for term in readouts:
        symbols = list(term.settings['symbols'])
        weights = np.asarray(term.arrays['weights'], dtype=float)
        if weights.shape != (len(symbols), n_features):
            raise ForceFieldError(
                f'a readout has weights of the shape {weights.shape} for {len(symbols)} elements and a network with '
                f'{n_features} features an atom'
            )
        if not np.isfinite(weights).all():
            raise ForceFieldError('a readout has weights that are NaN or infinite')
        for symbol, row in zip(symbols, weights, strict=True):
            if atomic_numbers.get(symbol) not in list(elements):
                known = ', '.join(chemical_symbols[number] for number in elements)
                raise ForceFieldError(f'a readout is for {symbol}, but its network knows {known}')
            total[list(elements).index(atomic_numbers[symbol])] += term.weight * row
    return total
