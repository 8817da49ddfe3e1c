"""Snapshots of one crystal and their labels: the structures, energies and forces that everything else is made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from aiida_mlcc.science.json_values import Source
from aiida_mlcc.science.labels.methods import COSTLY, DFT, METHODS, in_order, method_of, slug_of, usual_kind
from aiida_mlcc.science.npz import read_npz, write_npz


class SnapshotsError(ValueError):
    """Snapshots or labels that do not fit together."""


@dataclass(frozen=True)
class Label:
    """The labels of one method on every frame of a :class:`Snapshots`.

    :param energies: eV per cell, shape (n_frames,); NaN where a frame has no converged label of this method.
    :param forces: eV/Å, shape (n_frames, n_atoms, 3), NaN where absent; None where the method has none at all.
    :param source: engine and settings (basis, pseudopotentials, k-points, …), plain JSON. Labels of different sources
        are never mixed.
    :param contributions: named parts of the energy in eV per cell, each of shape (n_frames,).
    :param sigma: standard error of each energy, eV per cell, shape (n_frames,), NaN where it is not known; None where
        none is.
    :param kind: one of :data:`~aiida_mlcc.science.labels.methods.KINDS`; where it is empty, that of the method's name,
        and of a name that tells none ``dft`` with forces, ``costly`` without.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64] | None = None
    source: Source = field(default_factory=dict)
    contributions: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    sigma: NDArray[np.float64] | None = None
    kind: str = ''

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which frames carry an energy, shape (n_frames,)."""
        return np.isfinite(self.energies)

    def select(self, indices: ArrayLike) -> Label:
        """Return the labels of the frames `indices`, in that order."""
        chosen = np.asarray(indices, dtype=int)
        return Label(
            energies=self.energies[chosen],
            forces=None if self.forces is None else self.forces[chosen],
            source=self.source,
            contributions={name: values[chosen] for name, values in self.contributions.items()},
            sigma=None if self.sigma is None else self.sigma[chosen],
            kind=self.kind,
        )


class NamedMethod(TypedDict):
    """A method that the table of methods does not hold, or holds as another kind."""

    name: str
    kind: str


class SnapshotsDescription(TypedDict):
    """What of snapshots is not an array; ``sources`` and ``named`` by the slug of the method."""

    symbols: list[str]
    sources: dict[str, Source]
    named: NotRequired[dict[str, NamedMethod]]


@dataclass(frozen=True)
class Snapshots:
    """Frames of the same atoms in the same order.

    :param symbols: chemical symbols, n_atoms of them.
    :param cells: lattice vectors as rows, Å, shape (n_frames, 3, 3).
    :param positions: Cartesian, Å, shape (n_frames, n_atoms, 3); not wrapped.
    :param labels: method → :class:`Label`.
    """

    symbols: tuple[str, ...]
    cells: NDArray[np.float64]
    positions: NDArray[np.float64]
    labels: Mapping[str, Label] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'symbols', tuple(self.symbols))
        object.__setattr__(self, 'cells', np.ascontiguousarray(self.cells, dtype=float))
        object.__setattr__(self, 'positions', np.ascontiguousarray(self.positions, dtype=float))
        n_frames, n_atoms = self.n_frames, self.n_atoms
        if self.cells.shape != (n_frames, 3, 3) or self.positions.shape != (n_frames, n_atoms, 3):
            raise SnapshotsError(
                f'cells {self.cells.shape} and positions {self.positions.shape} do not fit {n_frames} frames '
                f'of {n_atoms} atoms'
            )
        if not np.isfinite(self.cells).all() or not np.isfinite(self.positions).all():
            raise SnapshotsError('cells or positions hold NaN or infinity')
        if n_frames and np.abs(np.linalg.det(self.cells)).min() < 1e-6:
            raise SnapshotsError('a cell has no volume: snapshots are of crystals, with three lattice vectors')
        slugs: dict[str, str] = {}
        for method, label in self.labels.items():
            if (other := slugs.setdefault(slug_of(method), method)) != method:
                raise SnapshotsError(f'the names {other!r} and {method!r} differ too little: rename one of them')
            if label.energies.shape != (n_frames,):
                raise SnapshotsError(f'{method}: {label.energies.shape} energies for {n_frames} frames')
            if label.sigma is not None and label.sigma.shape != (n_frames,):
                raise SnapshotsError(f'{method}: {label.sigma.shape} standard errors for {n_frames} frames')
            if label.forces is not None and label.forces.shape != (n_frames, n_atoms, 3):
                raise SnapshotsError(f'{method}: forces {label.forces.shape} for {n_frames} frames of {n_atoms} atoms')

    @property
    def n_frames(self) -> int:
        """How many frames there are."""
        return len(self.positions)

    @property
    def n_atoms(self) -> int:
        """How many atoms each frame has."""
        return len(self.symbols)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that have labels, in the order of :func:`~aiida_mlcc.science.labels.methods.in_order`."""
        return tuple(in_order(self.labels, self.kinds))

    @property
    def kinds(self) -> dict[str, str]:
        """Method → its kind."""
        return {method: _kind(method, label) for method, label in self.labels.items()}

    @property
    def base_methods(self) -> tuple[str, ...]:
        """The methods of kind ``dft``, those with forces first: a base is trained on the first."""
        found = [method for method, kind in self.kinds.items() if kind == DFT]
        return tuple(sorted(in_order(found, self.kinds), key=lambda method: self.labels[method].forces is None))

    def select(self, indices: ArrayLike) -> Snapshots:
        """Return the frames `indices`, in that order, with their labels."""
        chosen = np.asarray(indices, dtype=int)
        return Snapshots(
            self.symbols,
            self.cells[chosen],
            self.positions[chosen],
            {method: label.select(chosen) for method, label in self.labels.items()},
        )

    def without_labels(self) -> Snapshots:
        """Return the structures alone."""
        return replace(self, labels={})

    def with_label(self, method: str, label: Label) -> Snapshots:
        """Return a copy in which `label` is the label of `method`."""
        return replace(self, labels={**self.labels, method: label})

    def without_energies(self, method: str, frames: Sequence[int]) -> Snapshots:
        """Return a copy in which `frames` carry no energy of `method`."""
        label = self.labels[method]
        energies = label.energies.copy()
        energies[np.asarray(frames, dtype=int)] = np.nan
        return self.with_label(method, replace(label, energies=energies))

    def labelled_by(self, *methods: str) -> NDArray[np.int64]:
        """Return the indices of the frames that every one of `methods` labels."""
        everywhere = np.ones(self.n_frames, dtype=bool)
        for method in methods:
            if method not in self.labels:
                raise SnapshotsError(f'no {method} labels here, only {", ".join(self.methods) or "none at all"}')
            everywhere &= self.labels[method].labelled
        return np.flatnonzero(everywhere)

    def atoms(self, frame: int) -> Atoms:
        """Return one frame as ASE atoms, without labels."""
        return Atoms(self.symbols, positions=self.positions[frame], cell=self.cells[frame], pbc=True)

    def content_hash(self) -> str:
        """SHA-256 of everything that counts: structures, labels and their sources."""
        digest = hashlib.sha256()
        for name, array in sorted(self.to_arrays().items()):
            digest.update(f'{name}{array.shape}'.encode())
            digest.update(np.ascontiguousarray(array, dtype='<f8').tobytes())
        digest.update(json.dumps(self.describe(), sort_keys=True).encode())
        return digest.hexdigest()

    def describe(self) -> SnapshotsDescription:
        """Return what is not an array, as plain JSON: symbols, the source of each method's labels, and in ``named`` the
        name and kind of the methods that the table of methods does not hold so."""
        kinds = self.kinds
        named: dict[str, NamedMethod] = {
            slug_of(method): {'name': method, 'kind': kinds[method]}
            for method in self.methods
            if usual_kind(method) != kinds[method] or slug_of(method) not in METHODS
        }
        sources: dict[str, Source] = {slug_of(method): dict(self.labels[method].source) for method in self.methods}
        described: SnapshotsDescription = {'symbols': list(self.symbols), 'sources': sources}
        return {**described, 'named': named} if named else described

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return all arrays by fixed names: ``cells``, ``positions``, ``energies_SLUG``, ``forces_SLUG``,
        ``sigma_SLUG``, ``contribution_SLUG__NAME``."""
        arrays = {'cells': self.cells, 'positions': self.positions}
        for method in self.methods:
            slug, label = slug_of(method), self.labels[method]
            arrays[f'energies_{slug}'] = label.energies
            if label.forces is not None:
                arrays[f'forces_{slug}'] = label.forces
            if label.sigma is not None:
                arrays[f'sigma_{slug}'] = label.sigma
            for name in sorted(label.contributions):
                arrays[f'contribution_{slug}__{name}'] = label.contributions[name]
        return arrays

    @classmethod
    def from_arrays(cls, description: SnapshotsDescription, arrays: Mapping[str, NDArray[np.float64]]) -> Snapshots:
        """Rebuild what :meth:`describe` and :meth:`to_arrays` gave."""
        labels = {}
        named = description.get('named', {})
        for slug, source in description['sources'].items():
            prefix = f'contribution_{slug}__'
            labels[named[slug]['name'] if slug in named else method_of(slug)] = Label(
                energies=arrays[f'energies_{slug}'],
                forces=arrays.get(f'forces_{slug}'),
                source=source,
                contributions={n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)},
                sigma=arrays.get(f'sigma_{slug}'),
                kind=named[slug]['kind'] if slug in named else '',
            )
        return cls(tuple(description['symbols']), arrays['cells'], arrays['positions'], labels)

    def save(self, path: Path | str) -> None:
        """Write everything to one ``.npz`` file: equal snapshots give equal bytes."""
        write_npz(path, self.to_arrays(), self.describe())

    @classmethod
    def load(cls, path: Path | str) -> Snapshots:
        """Read a file that :meth:`save` wrote; no pickle is ever loaded."""
        arrays, description = read_npz(path)
        return cls.from_arrays(cast(SnapshotsDescription, description), arrays)

    @classmethod
    def from_atoms(cls, images: Sequence[Atoms]) -> Snapshots:
        """Take the structures of `images`, which hold the same species in the same order.

        :raises SnapshotsError: naming the first frame that differs or has no lattice.
        """
        if not images:
            raise SnapshotsError('no frames')
        symbols = tuple(images[0].get_chemical_symbols())
        for frame, atoms in enumerate(images):
            if tuple(atoms.get_chemical_symbols()) != symbols:
                raise SnapshotsError(f'frame {frame} holds other species, or in another order, than frame 0')
            if not atoms.pbc.all() or atoms.cell.rank < 3:
                raise SnapshotsError(f'frame {frame} is not a crystal: it needs three lattice vectors, all periodic')
        return cls(symbols, np.array([a.cell.array for a in images]), np.array([a.positions for a in images]))


def concatenate(parts: Sequence[Snapshots]) -> Snapshots:
    """Join sets of the same atoms; a method that one part lacks is NaN there.

    :param parts: one or more, with the same species in the same order.
    :raises SnapshotsError: where species differ, or one method comes from two sources.
    """
    if not parts:
        raise SnapshotsError('nothing to join')
    first = parts[0]
    for number, part in enumerate(parts):
        if part.symbols != first.symbols:
            raise SnapshotsError(f'part {number} holds other species, or in another order, than part 0')
    labels = {}
    for method in dict.fromkeys(m for part in parts for m in part.labels):
        labels[method] = _join_labels(method, parts)
    cells = np.concatenate([part.cells for part in parts])
    return Snapshots(first.symbols, cells, np.concatenate([part.positions for part in parts]), labels)


def _kind(method: str, label: Label) -> str:
    return label.kind or usual_kind(method) or (DFT if label.forces is not None else COSTLY)


def _join_labels(method: str, parts: Sequence[Snapshots]) -> Label:
    present = [part.labels[method] for part in parts if method in part.labels]
    source = present[0].source
    if any(dict(label.source) != dict(source) for label in present):
        raise SnapshotsError(f'{method} labels come from different sources and must not be mixed')

    def join(shape: tuple[int, ...], values: list[NDArray[np.float64] | None]) -> NDArray[np.float64]:
        blocks = [
            np.full((part.n_frames, *shape), np.nan) if value is None else value
            for part, value in zip(parts, values, strict=True)
        ]
        return np.concatenate(blocks)

    found = [part.labels.get(method) for part in parts]
    forces = None
    if any(label.forces is not None for label in present):
        forces = join((parts[0].n_atoms, 3), [None if label is None else label.forces for label in found])
    sigma = None
    if any(label.sigma is not None for label in present):
        sigma = join((), [None if label is None else label.sigma for label in found])
    names = sorted({name for label in present for name in label.contributions})
    return Label(
        energies=join((), [None if label is None else label.energies for label in found]),
        forces=forces,
        source=source,
        contributions={
            name: join((), [None if label is None else label.contributions.get(name) for label in found])
            for name in names
        },
        sigma=sigma,
        kind=present[0].kind,
    )
