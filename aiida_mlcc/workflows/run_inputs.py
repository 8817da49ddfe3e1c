"""The inputs of the master WorkChain, as its checks and the plan of a run read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast

from aiida import orm

from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.engine import Inputs


class Sampling(TypedDict):
    """Where structures come from."""

    kind: orm.Str


class RunInputs(TypedDict, total=False):
    """The inputs of an MLCCPhononWorkChain: those of the run, and of each stage under its name."""

    structure: orm.StructureData
    snapshots: SnapshotsData
    displacements: SnapshotsData
    force_fields: Mapping[str, Mapping[str, ForceFieldData]]
    methods: orm.List
    vacf_methods: orm.List
    max_concurrent: orm.Int
    sampling: Sampling
    dft_md: Inputs
    reference: Inputs
    thermal_structures: Inputs
    cc_energies: Inputs
    delta_train: Inputs
    harmonic_phonon: Inputs
    vacf: Inputs


def stage_inputs(inputs: RunInputs, stage: str) -> Inputs:
    """Return the inputs of a stage, empty where it is not there."""
    return cast(Mapping[str, Inputs], inputs).get(stage, {})
