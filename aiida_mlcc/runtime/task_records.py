"""The records that jobs of the runtime read and write: ``input.json`` of each task, and ``output.json``.

Paths lie in the folder of the job. Plain types alone, for the side of AiiDA writes and reads them, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from aiida_mlcc.science.fit.fit_errors import FitErrors
from aiida_mlcc.science.json_values import StoredSettings


class Cell(TypedDict):
    """The primitive cell of a crystal; lattice vectors and Cartesian positions in Å."""

    symbols: list[str]
    cell: list[list[float]]
    positions: list[list[float]]


class Polarity(TypedDict):
    """Born charges (e) and the dielectric tensor of the primitive cell of a job."""

    born_charges: list[list[list[float]]]
    dielectric: list[list[float]]


class MemberCalculator(TypedDict):
    """A force field as a calculator: its folder, and the method it stands for."""

    kind: str
    path: str
    label: str
    device: str
    dtype: str


Calculator = MemberCalculator | StoredSettings
"""A force field; or a program, whose name is the ``kind`` beside its settings."""


class EvaluateTask(TypedDict):
    """Energies and forces of ``snapshots`` by each calculator, see :mod:`aiida_mlcc.runtime.calculators`."""

    snapshots: str
    calculators: Mapping[str, Calculator]
    parameters: StoredSettings
    n_processes: int


class MdTask(TypedDict):
    """A dynamics from the frame of ``start``; with ``primitive`` its harmonic modes, too."""

    calculator: Calculator
    start: str
    frame: int
    seed: int
    parameters: StoredSettings
    primitive: NotRequired[Cell]


class CorrelateTask(TypedDict):
    """Energies of correlated methods."""

    snapshots: str
    methods: list[str]
    engine: StoredSettings


class IntegralsTask(TypedDict):
    """Tensors for Cc4s."""

    snapshots: str
    label_hf: bool
    engine: StoredSettings


class FitTask(TypedDict, total=False):
    """Δ of several methods, or a base, see :mod:`aiida_mlcc.runtime.tasks.fit`."""

    role: str
    kind: str
    snapshots: str
    base_method: str
    methods: list[str]
    parameters: StoredSettings
    seed: int
    device: str
    primitive: Cell | None
    polarity: Polarity | None
    reference: str | None
    base: str | None


class Target(TypedDict):
    """What a network learns: the energies of a method, less those of another, and its forces."""

    method: str
    minus: str | None
    forces: bool


class TrainTask(TypedDict, total=False):
    """A network, see :mod:`aiida_mlcc.runtime.tasks.train`."""

    snapshots: str
    target: Target
    network: StoredSettings
    training: StoredSettings
    seed: int
    device: str
    primitive: Cell | None
    polarity: Polarity | None
    correction: StoredSettings | None
    reference: str | None
    start_from: str | None
    force_constants: StoredSettings | None


class MdSummary(TypedDict):
    """What a dynamics says of its run."""

    steps_done: int
    n_steps: int
    equilibration_steps_done: int
    mean_temperature_K: float | None
    energy_drift_mev_per_atom_ps: float | None
    no_harmonic_modes_because: NotRequired[str]


class SnapshotFailure(TypedDict, total=False):
    """A snapshot that failed, of which methods or by which calculator, and why."""

    snapshot: int
    methods: list[str]
    method: str
    calculator: str
    reason: str


class WrittenTensors(TypedDict):
    """The sizes of tensors, and the energies of MP2 (eV per cell) over all virtual orbitals and over those kept."""

    n_electrons: int
    n_occupied: int
    n_virtual: int
    n_virtual_full: int
    n_auxiliary: int
    bytes: int | None
    mp2_full: float
    mp2_truncated: float


class TensorsOfFrame(WrittenTensors):
    """The tensors of a frame, where they lie, and its Hartree–Fock energy (eV per cell)."""

    folder: str
    hf: float
    seconds: float


class IntegralsOfFrame(TypedDict):
    """What was found of a frame: its Hartree–Fock energy (eV per cell) and its tensors, or an error."""

    hf: float | None
    tensors: TensorsOfFrame | None
    error: str | None


class EnergiesOfFrame(TypedDict):
    """What was found of a frame: contributions in eV per cell, why others are missing, or an error."""

    contributions: dict[str, float]
    missing: dict[str, str]
    seconds: dict[str, float]
    error: str | None


class CorrelateOutput(TypedDict):
    """What energies of correlated methods say of their run."""

    failures: list[SnapshotFailure]
    n_labelled: dict[str, int]
    n_snapshots: int


class IntegralsOutput(TypedDict):
    """What integrals say of their run."""

    tensors: dict[str, TensorsOfFrame]
    failures: list[SnapshotFailure]
    n_tensors: int
    n_snapshots: int
    bytes: int


class TaskOutput(TypedDict, total=False):
    """What ``output.json`` says: how the job ended, and what each task adds."""

    final: bool
    reason: str
    message: str
    remarks: list[str]
    wall_seconds: float
    failures: list[SnapshotFailure]
    errors: FitErrors
    tensors: dict[str, TensorsOfFrame]
