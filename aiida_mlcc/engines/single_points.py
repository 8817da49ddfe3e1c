"""What WorkChains with one job for each frame have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_mlcc.science.labelling import common_source


def chosen_frames(inputs: Mapping[str, Any]) -> list[int]:
    """Return the indices of the frames that are to be labelled."""
    return inputs['frames'].get_list() if 'frames' in inputs else list(range(inputs['snapshots'].n_frames))


def refuse_frames(inputs: Mapping[str, Any], source: Mapping[str, Any]) -> str | None:
    """Return why the frames cannot be labelled, in a sentence, or None.

    :param inputs: `snapshots`, `engine` and perhaps `frames`.
    :param source: what the labels will say of their source.
    """
    snapshots, frames = inputs['snapshots'], chosen_frames(inputs)
    if not frames:
        return '`frames` names no frame'
    if wrong := [f for f in frames if isinstance(f, bool) or not isinstance(f, int) or not 0 <= f < snapshots.n_frames]:
        return f'`frames` names {wrong[0]!r}, but the snapshots are 0 to {snapshots.n_frames - 1}'
    if len(set(frames)) < len(frames):
        return f'`frames` names a frame twice: {frames}'
    method = inputs['engine']['method']
    if (there := snapshots.get_snapshots().labels.get(method)) is None:
        return None
    if there.labelled[frames].any():
        first = next(frame for frame in frames if there.labelled[frame])
        return f'snapshot {first} already has a {method} label: leave it out of `frames`'
    try:
        common_source(method, there.source, source)
    except ValueError as error:
        return str(error)
    return None
