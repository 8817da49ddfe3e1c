"""Whether the energies in a file are those of its method: not another method's, and in the unit that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aiida_mlcc.science.dataset.energies import dependence, describe_difference
from aiida_mlcc.science.dataset.energies_and_forces import known_factor
from aiida_mlcc.science.dataset.energy_file import DatasetError
from aiida_mlcc.science.dataset.label_units import energy_factors
from aiida_mlcc.science.labels.snapshots import Snapshots

_ONE = 1e-6
_UNIT = 1e-3
_ABOUT_A_UNIT = 0.3
_FOLLOWS = 0.9
_PLAUSIBLE = (0.25, 4.0)


def check_label(
    snapshots: Snapshots, base_method: str, method: str, file: str, decimals: int, others: Sequence[str]
) -> list[str]:
    """Compare the energies of a method with those of all methods before it, and return what is to be known of them.

    :param snapshots: with the labels of `method` and of the methods before it.
    :param decimals: with which the energies of `method` are written.
    :param others: what else in the frames of the file may be an energy.
    :raises DatasetError: where the energies are another method's, or in another unit.
    """
    energies = snapshots.labels[method].energies
    remarks = []
    for name in (name for name in snapshots.methods if name != method):
        both = snapshots.labelled_by(method, name)
        slope = dependence(energies[both], snapshots.labels[name].energies[both], 10.0**-decimals)
        if slope is None:
            continue
        if abs(slope - 1.0) < _ONE:
            raise DatasetError(f'{file}: the energies of {method} are those of {name}, up to a constant{_hint(others)}')
        unit = known_factor(slope, energy_factors(snapshots.symbols), _UNIT)
        if unit is not None:
            raise DatasetError(
                f'{file}: the energies of {method} are those of {name} times {slope:.6g}, as if in {unit}'
                f'{_hint(others)}'
            )
        remarks.append(f'the energies are {slope:.6g} times those of {name} to all digits, as along one harmonic mode')
    _check_unit(snapshots, base_method, method, file)
    return remarks


def _check_unit(snapshots: Snapshots, base_method: str, method: str, file: str) -> None:
    slope = describe_difference(snapshots, base_method, method).slope
    both = snapshots.labelled_by(base_method, method)
    if slope is None or _PLAUSIBLE[0] < slope < _PLAUSIBLE[1]:
        return
    energies, base = (snapshots.labels[name].energies[both] for name in (method, base_method))
    if np.corrcoef(energies, base)[0, 1] ** 2 < _FOLLOWS:
        return
    unit = known_factor(slope, energy_factors(snapshots.symbols), _ABOUT_A_UNIT)
    if unit is not None:
        raise DatasetError(
            f'{file}: the energies of {method} change by {slope:.3g} eV for each eV of {base_method}, as energies in '
            f'{unit} would: convert them with --units "{method}={unit}"'
        )


def _hint(others: Sequence[str]) -> str:
    if not others:
        return ''
    return f'. The frames also have {", ".join(others)}: name the entry with --label "METHOD=FILE:ENTRY"'
