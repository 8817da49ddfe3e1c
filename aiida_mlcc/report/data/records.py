"""The records that the results of a run consist of, as ``results --json`` prints them.

Keys that a run lacks are absent. Frequencies are in cm⁻¹, q-points in units of the reciprocal vectors of the primitive
cell.
"""

from __future__ import annotations

from typing import TypedDict

from aiida_mlcc.science.dynamics.vdos_of_runs import SpectrumSampling
from aiida_mlcc.science.dynamics.vdos_peaks import Peak
from aiida_mlcc.science.fit.fit_errors import MemberErrors
from aiida_mlcc.science.phonons.gamma_modes import GammaMode


class SpecialPoint(TypedDict):
    """The modes at a special point, one number a mode; ``members``: one list a member.

    ``contributions`` to ``sd`` are by their causes, None where one was not estimated, and empty without an error
    budget; ``commensurate`` with the training cell, None where that is not known; ``undetermined``: modes whose LO–TO
    splitting nothing determines.
    """

    qpoint: list[float]
    mean: list[float]
    min: list[float]
    max: list[float]
    sd: list[float]
    members: list[list[float]]
    contributions: dict[str, list[float] | None]
    commensurate: bool | None
    undetermined: list[int]


class LongRange(TypedDict):
    """Why LO branches are not determined, empty if they are, and whether LO is missing without Born charges."""

    lo_remark: str
    lo_missing: bool


class MemberImaginaryMode(TypedDict):
    """An imaginary mode of a member, and whether the data determine it; None where nothing tells."""

    member: str
    qpoint: list[float]
    frequency_cm1: float
    determined: bool | None


class SpreadOverMembers(TypedDict):
    """A quantity over temperature: mean, min, max and sd over the members, and the members themselves."""

    mean: list[float]
    min: list[float]
    max: list[float]
    sd: list[float]
    members: dict[str, list[float]]


OverTemperature = dict[str, list[float] | SpreadOverMembers]
"""``temperatures_K``, and each quantity over them."""


class BornCharges(TypedDict):
    """Born charges (e) and dielectric tensor of the ``atoms`` of the primitive cell, and what was corrected."""

    born_charges: list[list[list[float]]]
    dielectric: list[list[float]]
    atoms: list[str]
    report: str | None
    net_charge: float | None
    asymmetry: float | None
    dielectric_asymmetry: float | None


class GruneisenAlongPath(TypedDict):
    """Mean and sd of γ at each q-point of the dispersion, None where a mode has no frequency."""

    qpoints: list[list[float | None]]
    mean: list[list[float | None]]
    sd: list[list[float | None]]


class HarmonicResults(TypedDict, total=False):
    """What the entries of the table of curves read of the phonons of a method; a curve of one's own may add a key."""

    special_points_cm1: dict[str, SpecialPoint]
    long_range: LongRange
    gamma_modes: list[GammaMode]
    force_constants: dict[str, dict[str, float]]
    born_charges: BornCharges
    gruneisen: GruneisenAlongPath
    thermal_properties: OverTemperature
    mean_square_displacements_A2: OverTemperature
    imaginary_share: dict[str, float]


class MethodResults(HarmonicResults, total=False):
    """All results of a method.

    ``delta``: the gravest of what was found of its Δ, None without one; ``bands_sd_of``: whether the errors along the
    path are those of the error budget or over the members only.
    """

    errors: MemberErrors
    alternatives: dict[str, MemberErrors]
    imaginary_modes: list[MemberImaginaryMode]
    delta: str | None
    bands_sd_of: str


class Peaks(TypedDict):
    """The peaks of a spectrum, with its resolution."""

    peaks: list[Peak]
    units: str
    resolution_cm1: float


class DynamicsResults(TypedDict, total=False):
    """What was read of the dynamics of a method."""

    peaks: Peaks
    sampling: SpectrumSampling


class Round(TypedDict, total=False):
    """A round of labelling: label of a q-point → sd of each mode, estimated from the energies there were."""

    method: str
    n_labels: int
    sd_cm1: dict[str, list[float]] | None


class LearningCurve(TypedDict, total=False):
    """The rounds of labelling, and the sd that was asked for; empty without rounds."""

    rounds: list[Round]
    target_sd_cm1: float | None


class Failure(TypedDict, total=False):
    """What is missing, where, and why."""

    stage: str
    what: str
    reason: str
    method: str
    methods: list[str]
    optional: bool


class SnapshotsSummary(TypedDict, total=False):
    """The snapshots of a run: how many, labelled by what, and their identity; empty without any."""

    uuid: str
    content_hash: str
    n_frames: int
    n_atoms: int
    formula: str
    n_labelled: dict[str, int]


class Results(TypedDict):
    """What a run found, by method; ``dynamics`` likewise."""

    methods: dict[str, MethodResults]
    dynamics: dict[str, DynamicsResults]
    learning_curve: LearningCurve
    failed: list[Failure]
    snapshots: SnapshotsSummary
