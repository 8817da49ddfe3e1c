"""The data that benchmarks run on: the published files of two crystals, and the sets beside the tests."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read

from aiida_mlcc.science.labels.extxyz import from_extxyz, from_labelled_atoms
from aiida_mlcc.science.labels.pairing import pair_by_geometry
from aiida_mlcc.science.labels.snapshots import Label, Snapshots

PUBLISHED = {
    'diamond': ('c/200221forcc', 'PBE', ('C', 'diamond')),
    'lih': ('lih/200222forcc', 'LDA', ('LiH', 'rocksalt')),
}
"""Crystal → beginning of its files' names, the method of the base, chemical formula and structure."""

SUFFIXES = {'HF': '_hfe', 'MP2': '_mp2', 'CCSD': '_ccsd', 'CCSD(T)': '_ccsdt'}

OWN = {'diamond8': ('C', 'diamond'), 'lif8': ('LiF', 'rocksalt')}
OWN_FOLDER = Path(__file__).parents[1] / 'datasets'

CRYSTALS = (*PUBLISHED, *OWN)

METHODS = tuple(SUFFIXES)


def load(data_dir: Path | str | None, crystal: str) -> tuple[Snapshots, Atoms]:
    """Return all labels of `crystal` on the frames of its base method, and its primitive cell.

    :param data_dir: the folder that holds the published folders ``c`` and ``lih``; the sets of the project's own lie
        beside the tests and need none.
    """
    if crystal in OWN:
        (path,) = sorted(OWN_FOLDER.glob(f'{crystal}.*xyz*'))
        snapshots = from_extxyz(_text(path))
        return snapshots, _primitive(snapshots, *OWN[crystal])
    start, base_method, structure = PUBLISHED[crystal]
    if data_dir is None:
        raise SystemExit(f'the data of {crystal} lie in the published files: name their folder with --data')
    stem = Path(data_dir) / start
    snapshots = _published(stem, '', base_method, forces=True)
    for method, suffix in SUFFIXES.items():
        other = _published(stem, suffix, method, forces=False)
        indices = pair_by_geometry(snapshots, other).indices
        # An energy that is missing is read as NaN, and so is that of a frame without a partner.
        energies = np.where(indices >= 0, other.labels[method].energies[indices], np.nan)
        snapshots = snapshots.with_label(method, Label(energies, None, other.labels[method].source))
    return snapshots, _primitive(snapshots, *structure)


def load_frozen(crystal: str) -> Snapshots:
    """Return the frozen phonons of one of the project's own crystals, with all labels."""
    (path,) = sorted(OWN_FOLDER.glob(f'{crystal}_frozen.*xyz*'))
    return from_extxyz(_text(path))


def base_method_of(snapshots: Snapshots) -> str:
    """Return the method of the base: the density functional among the labels."""
    return next(method for method in ('PBE', 'LDA') if method in snapshots.labels)


def _published(stem: Path, suffix: str, method: str, forces: bool) -> Snapshots:
    (path,) = sorted(stem.parent.glob(f'{stem.name}{suffix}.xyz*'))
    images = read(io.StringIO(_text(path)), ':', format='extxyz')
    # The forces in every file are those of the density functional.
    return from_labelled_atoms(images, method, {'file': path.name.removesuffix('.gz')}, forces)


def _text(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == '.gz' else content).decode()


def _primitive(snapshots: Snapshots, formula: str, structure: str) -> Atoms:
    """Return the primitive cell of a cubic crystal with eight atoms in its conventional cube."""
    volume = 8 * abs(float(np.linalg.det(snapshots.cells[0]))) / snapshots.n_atoms
    return bulk(formula, structure, a=float(np.cbrt(volume)))
