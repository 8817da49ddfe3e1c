"""What the harmonic phonons of a method say besides frequencies, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm

from aiida_mlcc.report.outputs import by_method

_SPREAD = ('mean', 'min', 'max', 'sd')

DEGENERATE_CM1 = 0.5
"""Modes closer than this are told as one."""


def phonon_results(process: orm.ProcessNode, method: str) -> dict[str, Any]:
    """Return what there is of a method besides its special points, as plain JSON.

    ``thermal_properties`` (of a mole of cells) and ``mean_square_displacements_A2``: ``temperatures_K`` and
    QUANTITY → mean, min, max, sd over the members and the ``members`` themselves; ``imaginary_share``: member → which
    share of the modes is imaginary and does not count in these (empty where it is not known); ``gamma_modes``: label,
    modes and frequencies (cm⁻¹) at Γ; ``force_constants``: member → how far they were from their symmetry;
    ``born_charges``: the charges (e) and the ``dielectric`` tensor of the ``atoms`` of the primitive cell, with
    ``report`` and what was corrected; ``gruneisen``: mean and sd of γ at each point of the dispersion (None where a
    mode has no frequency).
    """
    found: dict[str, Any] = {}
    for name, key in (
        ('thermal_properties', 'thermal_properties'),
        ('mean_square_displacements', 'mean_square_displacements_A2'),
    ):
        if (node := by_method(process, name).get(method)) is not None:
            found[key] = _over_temperature(node)
            found['imaginary_share'] = node.base.attributes.get('imaginary_share', None) or {}
    if (node := by_method(process, 'gamma_modes').get(method)) is not None:
        found['gamma_modes'] = node.get_dict()['modes']
    if (node := by_method(process, 'force_constants').get(method)) is not None:
        found['force_constants'] = node.get_dict()
    if (node := by_method(process, 'born_charges').get(method)) is not None:
        names = ('report', 'net_charge', 'asymmetry', 'dielectric_asymmetry')
        found['born_charges'] = {
            **{name: node.base.attributes.get(name) for name in names},
            **{name: node.get_array(name).tolist() for name in ('born_charges', 'dielectric')},
            'atoms': _atoms_of(node),
        }
    if (node := by_method(process, 'gruneisen').get(method)) is not None:
        found['gruneisen'] = {name: _with_none(node.get_array(name)) for name in ('qpoints', 'mean', 'sd')}
    return found


def label_at_gamma(modes: Sequence[Mapping[str, Any]], frequency_cm1: float, n_modes: int = 1) -> str:
    """Return the irreducible label of degenerate modes at Γ, empty where it is not known.

    They are found by their frequency, for the labels know nothing of dipoles: what LO–TO splitting has moved has none.

    :param modes: ``gamma_modes`` of a method.
    :param frequency_cm1: mean of `n_modes` modes that are taken for degenerate.
    """
    near = [entry for entry in modes if abs(entry['mean'] - frequency_cm1) < DEGENERATE_CM1]
    labels = dict.fromkeys(entry['label'] for entry in near)
    known = None not in labels and sum(len(entry['modes']) for entry in near) >= n_modes
    return ' + '.join(labels) if known else ''


def _over_temperature(node: orm.ArrayData) -> dict[str, Any]:
    attributes = node.base.attributes
    quantities = {}
    for quantity in attributes.get('quantities'):
        every = node.get_array(f'{quantity}_members').tolist()
        quantities[quantity] = {name: node.get_array(f'{quantity}_{name}').tolist() for name in _SPREAD}
        quantities[quantity]['members'] = dict(zip(attributes.get('members'), every, strict=True))
    return {'temperatures_K': node.get_array('temperatures_K').tolist(), **quantities}


def _atoms_of(node: orm.ArrayData) -> list[str]:
    """Return the symbols of the primitive cell that Born charges belong to, empty where it is not there."""
    links = [] if node.creator is None else node.creator.base.links.get_incoming(link_label_filter='primitive').all()
    return [str(symbol) for link in links for symbol in link.node.get_ase().get_chemical_symbols()]


def _with_none(values: np.ndarray) -> list[list[float | None]]:
    return [[float(value) if np.isfinite(value) else None for value in row] for row in values]
