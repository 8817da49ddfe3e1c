"""Which snapshots of a trajectory are labelled at the expensive level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.snapshots import Snapshots


class SelectionError(ValueError):
    """A selection that cannot be made."""


def select(snapshots: Snapshots, selection: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return the indices of the selected frames, in ascending order, as :func:`chosen_frames`."""
    return chosen_frames(snapshots.n_frames, selection)


def chosen_frames(n_frames: int, selection: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return which of `n_frames` frames are selected, in ascending order.

    :param selection: one of

        - ``{'kind': 'random', 'n': 16, 'seed': 7}``: `n` frames, none twice;
        - ``{'kind': 'every', 'n': 16}``: `n` frames evenly spaced, the first and the last among them;
        - ``{'kind': 'all'}``.

    :raises SelectionError: for an unknown kind or key, a missing one, or more frames than there are.
    """
    settings = dict(selection)
    kind = settings.pop('kind', None)
    keys = {'random': ('n', 'seed'), 'every': ('n',), 'all': ()}
    if kind not in keys:
        raise SelectionError(f'unknown kind of selection {kind!r}: choose from {", ".join(keys)}')
    if unknown := sorted(set(settings) - set(keys[kind])):
        raise SelectionError(f'a selection of kind {kind!r} has no {", ".join(unknown)}')
    if missing := [key for key in keys[kind] if key not in settings]:
        raise SelectionError(f'a selection of kind {kind!r} needs {" and ".join(missing)}')
    for key, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise SelectionError(f'{key} of a selection is a whole number, not {value!r}')
    if kind == 'all':
        return np.arange(n_frames)
    n = settings['n']
    if not 1 <= n <= n_frames:
        raise SelectionError(f'{n} frames asked for, of {n_frames} there are')
    if kind == 'every':
        return np.linspace(0, n_frames - 1, n).round().astype(np.int64)
    # The first n of one permutation: a larger selection with the same seed contains a smaller one, so that
    # adding frames later throws no label away.
    return np.sort(np.random.default_rng(settings['seed']).permutation(n_frames)[:n])
