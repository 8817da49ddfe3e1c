"""A density of states as a node: mean, min, max and sd over members, each member, and the mean of each element."""

from collections.abc import Mapping

import numpy as np
from aiida import orm
from numpy.typing import NDArray

from aiida_mlcc.science.phonons.dispersion import spread

UNITS = 'modes/cm^-1'


def curve_with_spread(
    frequencies_cm1: NDArray[np.float64],
    totals: Mapping[str, NDArray[np.float64]],
    elements: Mapping[str, Mapping[str, NDArray[np.float64]]],
) -> orm.XyData:
    """Return modes per cm⁻¹ over frequency: ``mean``, ``min``, ``max``, ``sd``, the members, ``element_SYMBOL``.

    :param totals: member → curve, shape (n_frequencies,).
    :param elements: member → element → curve; their means over the members are kept.
    """
    curves = spread(list(totals.values()))
    curves.update(totals)
    for symbol in next(iter(elements.values())):
        curves[f'element_{symbol}'] = np.mean([parts[symbol] for parts in elements.values()], axis=0)
    node = orm.XyData()
    node.set_x(frequencies_cm1, 'frequency', 'cm^-1')
    node.set_y(list(curves.values()), list(curves), [UNITS] * len(curves))
    return node
