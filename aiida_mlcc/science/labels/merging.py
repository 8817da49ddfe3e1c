"""Bringing labels of the same structures together, by geometry, and saying which are missing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.methods import CONTRIBUTIONS, compose_energy, is_optional
from aiida_mlcc.science.labels.pairing import pair_by_geometry
from aiida_mlcc.science.labels.snapshots import Label, Snapshots, SnapshotsError

_VERSION = 'version'

HF_SOURCE = 'hf_source'
"""What a source calls that of the Hartree–Fock part, where another calculation gave it."""

_HF = 'HF'
_MESH_OF_HF = 'hf_kpoints'


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
            source = common_source(method, before.source, label.source)
            merged[method] = replace(_take(before, label, found), source=source)
    return replace(snapshots, labels=merged)


def label_by_contributions(
    snapshots: Snapshots,
    methods: Sequence[str],
    contributions: Mapping[str, NDArray[np.float64]],
    source_of: Callable[[str], Source],
    corrections: Collection[str] = (),
) -> Snapshots:
    """Give each frame the energies of `methods`, as far as the contributions go.

    :param contributions: name → eV per cell, shape (n_frames,); NaN, or not there, where there is none.
    :param source_of: what the labels of a method say of their source.
    :param corrections: contributions without which an energy is none, though it could go without them.
    """
    labelled = snapshots
    none = np.full(snapshots.n_frames, np.nan)
    for method in methods:
        asked = {*contributions, *corrections}
        named = [name for name in CONTRIBUTIONS[method] if name in asked or not is_optional(name)]
        parts = {name: np.asarray(contributions.get(name, none)) for name in named}
        energies = compose_energy(method, parts)
        if np.isfinite(energies).any():
            labelled = labelled.with_label(method, Label(energies, None, source_of(method), parts))
    return labelled


def replace_hartree_fock(snapshots: Snapshots, other: Snapshots) -> Snapshots:
    """Give the energies beyond Hartree–Fock the Hartree–Fock part that `other` has of the same structures.

    E = E_HF + E_c, with E_HF from `other`, for instance in plane waves and with k-points, and E_c from `snapshots`. The
    source of such a label holds that of E_HF as ``hf_source``. A frame of which `other` has no HF energy loses its
    energies. HF labels are those of `other`, with their forces; labels of other methods stay as they are.

    :raises SnapshotsError: where `other` has no HF energy of any frame, or labels do not hold their Hartree–Fock part.
    """
    if _HF not in other.labels:
        raise SnapshotsError('there is no HF energy to be taken: label the snapshots by HF first')
    found = np.asarray(pair_by_geometry(snapshots, other).indices)
    theirs = other.labels[_HF]
    energies = np.where(found >= 0, theirs.energies[found], np.nan)
    labels = {}
    for method, label in snapshots.labels.items():
        if method == _HF or 'hf' not in CONTRIBUTIONS.get(method, ()):
            continue
        if 'hf' not in label.contributions:
            raise SnapshotsError(f'the {method} labels do not say which part of their energy is Hartree–Fock')
        parts = {**label.contributions, 'hf': np.where(label.labelled, energies, np.nan)}
        source = {name: value for name, value in label.source.items() if name != _MESH_OF_HF}
        source[HF_SOURCE] = dict(theirs.source)
        labels[method] = replace(label, energies=compose_energy(method, parts), contributions=parts, source=source)
    if not labels:
        raise SnapshotsError('there is no energy beyond Hartree–Fock to which an HF energy could be added')
    if not any(label.labelled.any() for label in labels.values()):
        raise SnapshotsError(f'none of the {snapshots.n_frames} snapshots with energies beyond HF has an HF energy')
    theirs = replace(theirs, contributions={'hf': theirs.energies})
    labels[_HF] = _take(_blank(snapshots, theirs), theirs, found)
    return replace(snapshots, labels={**snapshots.labels, **labels})


def missing_labels(snapshots: Snapshots, methods: Sequence[str]) -> list[int]:
    """Return the frames that lack the label of at least one of `methods`."""
    complete = np.ones(snapshots.n_frames, dtype=bool)
    for method in methods:
        complete &= snapshots.labels[method].labelled if method in snapshots.labels else False
    return np.flatnonzero(~complete).tolist()


def made_with(source: Source, settings: Source) -> bool:
    """Tell whether labels of `source` were made with `settings`, a part of what a source says.

    A setting that is null and one of which the source says nothing are the same. Labels with the Hartree–Fock part of
    another calculation were not made with settings that do not say so.
    """
    if HF_SOURCE in source and HF_SOURCE not in settings:
        return False
    return all(source.get(name) == value for name, value in settings.items())


def common_source(method: str, first: Source, second: Source) -> Source:
    """Return the source of labels that come together: the versions of the program may differ, settings may not.

    :raises SnapshotsError: naming a setting in which they differ.
    """
    for name in sorted({*first, *second} - {_VERSION}):
        if first.get(name) != second.get(name):
            raise SnapshotsError(
                f'{method} labels come from different sources and must not be mixed: '
                f'{name} is {first.get(name)!r} and {second.get(name)!r}'
            )
    versions = sorted({v for source in (first, second) for v in str(source.get(_VERSION, '')).split(', ') if v})
    return {**first, **({_VERSION: ', '.join(versions)} if versions else {})}


def _blank(snapshots: Snapshots, like: Label) -> Label:
    return Label(
        energies=np.full(snapshots.n_frames, np.nan),
        source=like.source,
        contributions={name: np.full(snapshots.n_frames, np.nan) for name in like.contributions},
        kind=like.kind,
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
    sigma = before.sigma
    if label.sigma is not None:
        sigma = np.full(len(energies), np.nan) if sigma is None else sigma.copy()
        sigma[frames] = label.sigma[origin]
    return Label(energies, forces, before.source, contributions, sigma, before.kind)
