"""The inputs and outputs of the HarmonicPhononWorkChain."""

from __future__ import annotations

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida_phonopy.data.phonopy import PhonopyData

from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.engines.runtime_jobs import evaluate_port
from aiida_mlcc.engines.table import label_ports, refuse_force_engine
from aiida_mlcc.jobs.ports import structure_port, supercell_port, symprec_port
from aiida_mlcc.science.phonons.settings import PhononSettings
from aiida_mlcc.workflows.common.polarity import nac_port
from aiida_mlcc.workflows.curve_table import curve_outputs
from aiida_mlcc.workflows.phonons.inputs import refuse_calculators


def phonon_inputs(spec: WorkChainSpec) -> None:
    """Declare the inputs."""
    structure_port(spec, with_isotopes=True)
    spec.input_namespace(
        'force_fields', valid_type=ForceFieldData, required=False, dynamic=True, help='The members, by seed.'
    )
    spec.input(
        'engine',
        valid_type=orm.Dict,
        required=False,
        serializer=orm.to_aiida_type,
        validator=refuse_force_engine,
        help='Compute the forces with an engine instead, for a reference dispersion.',
    )
    nac_port(
        spec,
        'For LO–TO splitting, if the forces come from an engine or from force fields without a dipole–dipole '
        'term; a force field with that term contains the charges of its method',
    )
    spec.input_namespace(
        'alternatives',
        valid_type=ForceFieldData,
        required=False,
        dynamic=True,
        help='The members with other kinds of Δ, KIND.MEMBER, used for the error budget only.',
    )
    spec.input(
        'delta_samples',
        valid_type=orm.ArrayData,
        required=False,
        help='Δ from resampled labels, for the error due to the choice of snapshots.',
    )
    spec.input(
        'training_snapshots',
        valid_type=SnapshotsData,
        required=False,
        help='The training snapshots of the members; their cell determines the commensurate wave vectors.',
    )
    spec.input(
        'training_errors',
        valid_type=orm.Dict,
        required=False,
        help='Errors of the fits, from DeltaTrainWorkChain; the known error of the base is part of the error budget.',
    )
    supercell_port(spec, 'the primitive cell')
    symprec_port(spec)
    settings_port(
        spec,
        'parameters',
        PhononSettings,
        help='Displacement (Å), which primitive cell, path and points along its longest segment, mesh, width and '
        'spacing (cm⁻¹) of the DOS, temperatures (K), what to relax, and the strain for Grüneisen parameters.',
    )
    evaluate_port(spec, required=True)
    label_ports(spec)
    spec.inputs.validator = refuse_calculators


def phonon_outputs(spec: WorkChainSpec) -> None:
    """Declare the outputs."""
    spec.output_namespace('phonopy_data', valid_type=PhonopyData, dynamic=True, help='Forces of each member.')
    spec.output_namespace(
        'relaxed', valid_type=orm.StructureData, dynamic=True, help='The primitive cell of each member at rest.'
    )
    curve_outputs(spec, 'harmonic_phonon')
