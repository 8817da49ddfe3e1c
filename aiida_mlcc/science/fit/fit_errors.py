"""The errors of fitted force fields: records that jobs write and that results, page and bundle read.

Keys that a fit does not know are absent. Energies are in meV/atom, forces in meV/Å, frequencies in cm⁻¹, as the names
say.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict


class ModeShift(TypedDict):
    """By how much the forces left over say that the frequency of a mode is wrong.

    ``shift_cm1`` is what they ask to be added to the model's frequency; ``halves_cm1``: the shifts of two halves of the
    frames, each judged by what was fitted to the other.
    """

    qpoint: list[float]
    frequency_cm1: float
    degeneracy: int
    shift_cm1: float
    standard_error_cm1: float
    halves_cm1: NotRequired[list[float]]


class ReferenceMode(TypedDict):
    """A mode of the training cell, with what the scatter of the reference forces makes of its frequency.

    ``energy_shift_cm1`` is what the energies of frozen phonons ask to be added to it.
    """

    qpoint: list[float]
    frequency_cm1: float
    degeneracy: int
    standard_error_cm1: float
    energy_shift_cm1: NotRequired[float]


class UndeterminedMode(TypedDict):
    """A mode of the base of whose change the labels remove only a ``share`` of the prior variance."""

    qpoint: list[float]
    frequency_cm1: float
    share: float


class SuspiciousEnergy(TypedDict):
    """An energy that all others contradict, eV per cell and in errors of the fit; ``frame`` of the snapshots."""

    frame: int
    residual_ev: float
    deviations: float
    left_out: NotRequired[bool]


class DipoleWeight(TypedDict):
    """How strong the dipoles of a method are beside the base's, and Z*²/ε∞ (``c_…``) of a crystal that has only one."""

    weight: float
    statistical: float
    systematic: float
    free: float | None
    evidence: float
    determined: bool
    c_total: NotRequired[float]
    c_statistical: NotRequired[float]
    c_systematic: NotRequired[float]


class HarmonicFit(TypedDict):
    """A fit of harmonic force constants: how far they reach, how many parameters the frames show, and the ridges."""

    cutoff_angstrom: float
    n_parameters: int
    rank: int
    ridge: list[float]
    rmse_mev_angstrom: NotRequired[float]


class ReferenceErrors(TypedDict):
    """Of force constants fitted to reference displacements; ``modes`` are those of the training cell."""

    n_displacements: int
    n_atoms: int
    cutoff_angstrom: float
    n_parameters: int
    rank: int
    ridge: list[float]
    forces_rmse_mev_angstrom: float
    remark: NotRequired[str]
    modes: NotRequired[list[ReferenceMode]]


class HarmonicProperties(TypedDict):
    """The highest frequency, and the thermal properties of a mole of primitive cells."""

    highest_cm1: float
    free_energy_kJ_mol: float
    entropy_J_K_mol: float
    heat_capacity_J_K_mol: float


class PointFrequencies(TypedDict):
    """The frequencies of a base and of its reference at a wave vector, in ascending order."""

    qpoint: list[float]
    base_cm1: list[float]
    reference_cm1: list[float]


class PhononErrors(TypedDict):
    """How far the phonons of a base are from those of its reference displacements.

    ``commensurate`` holds the wave vectors of the displaced cell that symmetry makes different.
    """

    kelvin: float
    mesh: list[int]
    frequencies_mae_cm1: float
    commensurate: NotRequired[list[PointFrequencies]]
    base: HarmonicProperties
    reference: HarmonicProperties


class NetworkErrors(TypedDict, total=False):
    """Errors of a network on the frames it was trained on, on those held out, and on the hotter half of these."""

    train_energy_rmse_mev_atom: float
    train_forces_rmse_mev_angstrom: float
    valid_energy_rmse_mev_atom: float
    valid_forces_rmse_mev_angstrom: float
    valid_hot_energy_rmse_mev_atom: float
    valid_hot_forces_rmse_mev_angstrom: float
    phonons: PhononErrors


class FitErrors(NetworkErrors, total=False):
    """The errors of one force field: of a base, or of a Δ of any kind."""

    n_train: int
    n_valid: int
    n_labels: int
    labels: list[str]
    n_parameters: int
    n_extrapolated: int
    rank: int
    undetermined: int | dict[str, int]
    cutoff_angstrom: float
    third_order_cutoff_angstrom: float | None
    fourth_order: bool
    ridge: float | list[float]
    base_scale: float
    covariates: dict[str, float]
    sampling: str
    forces_rmse_mev_angstrom: float
    spread_mev_atom: float
    rmse_mev_atom: float
    cv_rmse_mev_atom: float
    blocked_cv_rmse_mev_atom: float
    cv_rescaling_mev_atom: float
    label_noise_mev_cell: float
    rescaling_mev_atom: float
    better_than_rescaling: bool
    judged_by: str
    worth_it: bool | None
    rescaled_only: bool
    evidence_gain: float | None
    predicted_rmse_mev_atom: float | None
    predicted_rescaling_mev_atom: float | None
    remark: str
    residuals_at_rest: bool
    projected_residuals: list[ModeShift]
    projected_residuals_uncorrected: list[ModeShift]
    correction: HarmonicFit
    uncorrected: NetworkErrors
    before_fine_tuning: NetworkErrors
    reference: ReferenceErrors
    suspicious_labels: list[SuspiciousEnergy]
    undetermined_modes: list[UndeterminedMode]
    long_range: DipoleWeight


MemberErrors = dict[str, FitErrors]
"""Member → the errors of its force field."""
