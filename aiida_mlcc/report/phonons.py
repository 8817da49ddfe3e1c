"""What the harmonic phonons of a method say besides frequencies, as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm

from aiida_mlcc.report.outputs import by_method

_SPREAD = ('mean', 'min', 'max', 'sd')


def phonon_results(process: orm.ProcessNode, method: str) -> dict[str, Any]:
    """Return what there is of a method besides its special points, as plain JSON.

    ``thermal_properties`` (of a mole of primitive cells) and ``mean_square_displacements_A2``: ``temperatures_K`` and
    QUANTITY → mean, min, max, sd over the members; ``gamma_modes``: label, modes and frequencies (cm⁻¹) at Γ;
    ``force_constants``: member → how far they were from their symmetry; ``born_charges``: ``report`` and what was
    corrected; ``gruneisen``: mean and sd of γ at each point of the dispersion (None where a mode has no frequency).
    """
    found: dict[str, Any] = {}
    for name, key in (
        ('thermal_properties', 'thermal_properties'),
        ('mean_square_displacements', 'mean_square_displacements_A2'),
    ):
        if (node := by_method(process, name).get(method)) is not None:
            found[key] = _over_temperature(node)
    if (node := by_method(process, 'gamma_modes').get(method)) is not None:
        found['gamma_modes'] = node.get_dict()['modes']
    if (node := by_method(process, 'force_constants').get(method)) is not None:
        found['force_constants'] = node.get_dict()
    if (node := by_method(process, 'born_charges').get(method)) is not None:
        names = ('report', 'net_charge', 'asymmetry', 'dielectric_asymmetry')
        found['born_charges'] = {
            **{name: node.base.attributes.get(name) for name in names},
            **{name: node.get_array(name).tolist() for name in ('born_charges', 'dielectric')},
        }
    if (node := by_method(process, 'gruneisen').get(method)) is not None:
        found['gruneisen'] = {name: _with_none(node.get_array(name)) for name in ('qpoints', 'mean', 'sd')}
    return found


def _over_temperature(node: orm.ArrayData) -> dict[str, Any]:
    quantities = {
        quantity: {name: node.get_array(f'{quantity}_{name}').tolist() for name in _SPREAD}
        for quantity in node.base.attributes.get('quantities')
    }
    return {'temperatures_K': node.get_array('temperatures_K').tolist(), **quantities}


def _with_none(values: np.ndarray) -> list[list[float | None]]:
    return [[float(value) if np.isfinite(value) else None for value in row] for row in values]
