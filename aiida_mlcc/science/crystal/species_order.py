"""Atoms sorted by species, as some programs want them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def species_order(symbols: Sequence[str]) -> NDArray[np.int64]:
    """Return the atoms sorted by species, the species as they first appear; otherwise in their order."""
    rank = {symbol: number for number, symbol in enumerate(dict.fromkeys(symbols))}
    return np.argsort([rank[symbol] for symbol in symbols], kind='stable')
