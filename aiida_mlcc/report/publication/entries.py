"""The records of ``curves.json``: what a bundle holds of each run, and which nodes of its archive that comes from.

Paths are those in the bundle, nodes are named by their UUIDs, and `slug` is the name of a method in files.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from aiida_mlcc.science.json_values import Source


class Column(TypedDict):
    """An array, or the part of it with `index`, that holds a column of a CSV file.

    ``by_branch``: the rows of the file go through the second axis first.
    """

    array: str
    by_branch: bool
    index: NotRequired[int]


class ColumnOfNode(Column):
    """The same, with the node that has the array."""

    node: str


class Creator(TypedDict):
    """The process that made the nodes of a curve."""

    node: str
    process: str
    versions: str


class CodeEntry(TypedDict):
    """A code that a curve was made with."""

    node: str
    label: str


class Shape(TypedDict, total=False):
    """What a CSV file does not tell: the cell (Å) of the wave vectors, what `sd` is of, the atoms of a density."""

    cell: list[list[float]]
    sd_of: str
    n_atoms: int | None


class CurveEntry(Shape):
    """A CSV file, and what its numbers were made from."""

    id: str
    kind: str
    method: str
    csv: str
    sha256: str
    nodes: list[str]
    created_by: Creator | None
    members: list[str]
    columns: dict[str, ColumnOfNode]
    codes: list[CodeEntry]
    models: list[str]
    training_sets: list[str]
    label_methods: list[str]
    labels: list[str]
    jobs: list[str]


class EnergyEntry(TypedDict):
    """An energy (eV per cell): where it stands in a training set, and where it was stored first."""

    training_set: str
    snapshot: int
    energy_eV: float
    node: str
    frame: int
    calculation: str | None
    name: str


class LabelEntry(TypedDict):
    """The labelled structures of a method."""

    method: str
    slug: str
    base_slug: str | None
    file: str
    source: Source
    energies: list[EnergyEntry]


class ModelEntry(TypedDict):
    """A force field."""

    method: str
    member: str
    node: str
    folder: str
    files: list[str]
    terms: list[str]


class FigureEntry(TypedDict):
    """A figure, and the curves and tables that it is drawn from."""

    name: str
    files: list[str]
    caption: str
    curves: list[str]
    tables: list[str]


class RunEntry(TypedDict):
    """A run."""

    uuid: str
    folder: str
    label: str
    formula: str
    versions: str
    curves: list[CurveEntry]
    tables: dict[str, str]
    labels: list[LabelEntry]
    models: list[ModelEntry]
    figures: list[FigureEntry]


class CurvesFile(TypedDict):
    """The content of ``curves.json``."""

    format: int
    generator: str
    title: str
    runs: list[RunEntry]
