"""Which snapshots of a trajectory are labelled at the expensive level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_mlcc.science.design import DesignError, frozen_phonon_settings, optimal_frames
from aiida_mlcc.science.snapshots import Snapshots

_KEYS = {'random': ('n', 'seed'), 'every': ('n',), 'all': (), 'optimal': ('n', 'seed', 'qpoints')}
_OPTIONAL = ('qpoints',)
DESIGNED = 'frozen-phonon'


class SelectionError(ValueError):
    """A selection that cannot be made."""


def select(snapshots: Snapshots, selection: Mapping[str, Any], primitive: Atoms | None = None) -> NDArray[np.int64]:
    """Return the indices of the selected frames, in ascending order.

    :param selection: one of those of :func:`chosen_frames`, or ``{'kind': 'optimal', 'n': 25, 'seed': 7}``, with
        ``qpoints`` (fractional wave vectors) where not all modes count: see
        :func:`~aiida_mlcc.science.design.optimal_frames`.
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


def chosen_frames(n_frames: int, selection: Mapping[str, Any]) -> NDArray[np.int64]:
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


def refuse_selection(n_frames: int, selection: Mapping[str, Any]) -> None:
    """Check all of a selection that can be known without the structures.

    :raises SelectionError: for an unknown kind or key, a missing one, a value that makes no sense, or more frames than
        there are.
    """
    settings = dict(selection)
    kind = settings.pop('kind', None)
    if kind == DESIGNED:
        try:
            frozen_phonon_settings(selection)
        except DesignError as error:
            raise SelectionError(str(error)) from error
        return
    if not isinstance(kind, str) or kind not in _KEYS:
        raise SelectionError(f'unknown kind of selection {kind!r}: choose from {", ".join((*_KEYS, DESIGNED))}')
    if unknown := sorted(set(settings) - set(_KEYS[kind])):
        raise SelectionError(f'a selection of kind {kind!r} has no {", ".join(unknown)}')
    if missing := [key for key in _KEYS[kind] if key not in settings and key not in _OPTIONAL]:
        raise SelectionError(f'a selection of kind {kind!r} needs {" and ".join(missing)}')
    for key in ('n', 'seed'):
        value = settings.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise SelectionError(f'{key} of a selection is a whole number, not {value!r}')
    if 'n' in settings and not 1 <= settings['n'] <= n_frames:
        raise SelectionError(f'{settings["n"]} frames asked for, of {n_frames} there are')
    if settings.get('qpoints') is not None and np.shape(settings['qpoints'])[1:] != (3,):
        raise SelectionError('qpoints of a selection is a list of wave vectors, three fractions each')
