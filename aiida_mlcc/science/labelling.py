"""Bringing labels of the same structures together, by geometry, and saying which are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from aiida_mlcc.science.pairing import pair_by_geometry
from aiida_mlcc.science.snapshots import Label, Snapshots, SnapshotsError


def merge_labels(snapshots: Snapshots, labelled: Sequence[Snapshots]) -> Snapshots:
    """Give each frame of `snapshots` the labels that any set in `labelled` has of that structure.

    A label that is already there stays. Frames of `labelled` that are not in `snapshots` are left out.

    :raises SnapshotsError: where labels of one method come from different sources.
    """
    merged = dict(snapshots.labels)
    for other in labelled:
        found = np.asarray(pair_by_geometry(snapshots, other).indices)
        for method, label in other.labels.items():
            before = merged.get(method) or _blank(snapshots, label)
            if dict(before.source) != dict(label.source):
                raise SnapshotsError(f'{method} labels come from different sources and must not be mixed')
            merged[method] = _take(before, label, found)
    return replace(snapshots, labels=merged)


def missing_labels(snapshots: Snapshots, methods: Sequence[str]) -> list[int]:
    """Return the frames that lack the label of at least one of `methods`."""
    complete = np.ones(snapshots.n_frames, dtype=bool)
    for method in methods:
        complete &= snapshots.labels[method].labelled if method in snapshots.labels else False
    return np.flatnonzero(~complete).tolist()


def same_settings(source: Mapping[str, Any], settings: Mapping[str, Any], ignoring: Sequence[str] = ()) -> bool:
    """Tell whether labels of `source` were made with `settings`; a setting in `ignoring` does not count."""
    return all(source.get(name) == value for name, value in settings.items() if name not in ignoring)


def _blank(snapshots: Snapshots, like: Label) -> Label:
    return Label(
        energies=np.full(snapshots.n_frames, np.nan),
        source=like.source,
        contributions={name: np.full(snapshots.n_frames, np.nan) for name in like.contributions},
    )


def _take(before: Label, label: Label, found: np.ndarray) -> Label:
    """Fill what is NaN in `before` from `label`, whose frame for frame i is ``found[i]`` (-1: none)."""
    frames = np.flatnonzero((found >= 0) & ~before.labelled)
    origin = found[frames]
    energies = before.energies.copy()
    energies[frames] = label.energies[origin]
    forces = before.forces
    if label.forces is not None:
        forces = np.full((len(energies), *label.forces.shape[1:]), np.nan) if forces is None else forces.copy()
        forces[frames] = label.forces[origin]
    contributions = {}
    for name in sorted({*before.contributions, *label.contributions}):
        values = np.array(before.contributions.get(name, np.full(len(energies), np.nan)))
        if name in label.contributions:
            values[frames] = label.contributions[name][origin]
        contributions[name] = values
    return Label(energies, forces, before.source, contributions)
