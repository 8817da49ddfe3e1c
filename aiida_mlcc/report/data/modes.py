"""Which modes count as one, and the irreducible labels of those at Γ."""

from __future__ import annotations

from collections.abc import Sequence

from aiida_mlcc.report.data.records import SpecialPoint
from aiida_mlcc.science.phonons.dispersion import at_gamma
from aiida_mlcc.science.phonons.gamma_modes import GammaMode

DEGENERATE_CM1 = 0.5
"""Modes closer than this are told as one."""


def undetermined_modes(entry: SpecialPoint) -> set[int]:
    """Return the modes at a special point whose frequency nothing determines, counted from 0.

    Where the training cell holds the wave vector, the labels do, but for Γ, which is the limit of others.

    :param entry: of ``special_points_cm1`` of a method.
    """
    held = entry['commensurate'] is True and not at_gamma(entry['qpoint'])[0]
    return set() if held else set(entry.get('undetermined', ()))


def qpoint_text(qpoint: Sequence[float]) -> str:
    """Write a q-point without the noise of floating point numbers."""
    return ' '.join(f'{round(component, 6) + 0.0:g}' for component in qpoint)


def label_at_gamma(modes: Sequence[GammaMode], frequency_cm1: float, n_modes: int = 1) -> str:
    """Return the irreducible label of degenerate modes at Γ, empty where it is not known.

    They are found by their frequency, for the labels know nothing of dipoles: what LO–TO splitting has moved has none.

    :param modes: ``gamma_modes`` of a method.
    :param frequency_cm1: mean of `n_modes` modes that are taken for degenerate.
    """
    near = [entry for entry in modes if abs(entry['mean'] - frequency_cm1) < DEGENERATE_CM1]
    labels = dict.fromkeys(label for entry in near if (label := entry['label']) is not None)
    known = all(entry['label'] is not None for entry in near)
    return ' + '.join(labels) if known and sum(len(entry['modes']) for entry in near) >= n_modes else ''
