"""Which snapshots of a trajectory are labelled at the expensive level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.design.optimal_structures import DesignError, FrozenPhonon, optimal_frames
from aiida_mlcc.science.labels.labelling_plan import PER_METHOD, Selection, as_settings
from aiida_mlcc.science.labels.snapshots import Snapshots
from aiida_mlcc.science.settings import Choice, Settings, setting

DESIGNED = 'frozen-phonon'


def three_fractions_each(value: list[Any]) -> str | None:
    """Check for a list of wave vectors."""
    try:
        valid = np.array(value, dtype=float).shape[1:] == (3,)
    except (TypeError, ValueError):
        valid = False
    return None if valid else 'give a list of wave vectors, three fractions each'


@dataclass(frozen=True)
class All(Settings):
    """All snapshots."""

    TITLE = "selection of kind 'all'"


@dataclass(frozen=True)
class Every(Settings):
    """Snapshots evenly spaced along the trajectory, the first and the last among them."""

    TITLE = "selection of kind 'every'"

    n: int = setting('How many snapshots.', default=50, at_least=1)


@dataclass(frozen=True)
class Random(Settings):
    """Snapshots drawn at random; a larger selection with the same seed contains a smaller one."""

    TITLE = "selection of kind 'random'"

    n: int = setting('How many snapshots.', default=50, at_least=1)
    seed: int = setting('Seed of the draw.', default=5192, at_least=0)


@dataclass(frozen=True)
class Optimal(Settings):
    """Snapshots whose energies fix the frequencies best."""

    TITLE = "selection of kind 'optimal'"

    n: int = setting('How many snapshots.', default=25, at_least=1)
    seed: int = setting('Decides between snapshots that serve equally.', default=5192, at_least=0)
    qpoints: list[Any] | None = setting(
        'Fractional wave vectors whose modes count; null for all that the cell holds.',
        default=None,
        check=three_fractions_each,
        required=False,
    )


KINDS = Choice(
    'selection', 'kind', {'random': Random, 'every': Every, 'all': All, 'optimal': Optimal, DESIGNED: FrozenPhonon}
)
"""A selection by its kind."""

SELECTION = replace(KINDS, beside=(PER_METHOD,))
"""A selection, and selections of their own for some methods."""


class SelectionError(ValueError):
    """A selection that cannot be made."""


def select(snapshots: Snapshots, selection: Selection, primitive: Atoms | None = None) -> NDArray[np.int64]:
    """Return the indices of the selected frames, in ascending order.

    :param selection: one of those of :func:`chosen_frames`, or ``{'kind': 'optimal', 'n': 25, 'seed': 7}``, with
        ``qpoints`` (fractional wave vectors) where not all modes count: see
        :func:`~aiida_mlcc.science.design.optimal_structures.optimal_frames`.
    :param primitive: the crystal, which ``optimal`` needs.
    :raises SelectionError: as :func:`refuse_selection`, or where ``optimal`` cannot be made of these snapshots.
    """
    refuse_selection(snapshots.n_frames, selection)
    if selection['kind'] == DESIGNED:
        raise SelectionError('a frozen-phonon design makes new structures: it selects none of those there are')
    if selection['kind'] != 'optimal':
        return chosen_frames(snapshots.n_frames, selection)
    if primitive is None:
        raise SelectionError('an optimal selection looks at the modes of the crystal: give its structure')
    try:
        chosen = optimal_frames(snapshots, primitive, selection['n'], selection['seed'], selection.get('qpoints'))
    except DesignError as error:
        raise SelectionError(str(error)) from error
    return np.sort(chosen)


def chosen_frames(n_frames: int, selection: Selection) -> NDArray[np.int64]:
    """Return which of `n_frames` frames are selected by a kind that looks at none of them, in ascending order.

    :param selection: one of

        - ``{'kind': 'random', 'n': 16, 'seed': 7}``: `n` frames, none twice;
        - ``{'kind': 'every', 'n': 16}``: `n` frames evenly spaced, the first and the last among them;
        - ``{'kind': 'all'}``.

    :raises SelectionError: for an unknown kind or key, a missing one, or more frames than there are.
    """
    refuse_selection(n_frames, selection)
    kind = selection['kind']
    if kind == 'all':
        return np.arange(n_frames)
    if kind == 'every':
        return np.linspace(0, n_frames - 1, selection['n']).round().astype(np.int64)
    if kind != 'random':
        raise SelectionError(f'a selection of kind {kind!r} depends on the structures')
    # The first n of one permutation: a larger selection with the same seed contains a smaller one, so that
    # adding frames later throws no label away.
    return np.sort(np.random.default_rng(selection['seed']).permutation(n_frames)[: selection['n']])


def refuse_selection(n_frames: int, selection: Selection) -> None:
    """Check all of a selection that can be known without the structures.

    :raises SelectionError: for an unknown kind or key, a missing one, a value that makes no sense, or more frames than
        there are.
    """
    if (reason := KINDS.refuse(as_settings(selection))) is not None:
        raise SelectionError(reason)
    if (n := selection.get('n')) is not None and n > n_frames:
        raise SelectionError(f'{n} frames asked for, of {n_frames} there are')
