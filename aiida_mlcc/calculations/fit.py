"""FitCalculation: Δ of several methods in one job, of any kind that is fitted in one go."""

from __future__ import annotations

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec

from aiida_mlcc.calculations.base import (
    JobInputs,
    RuntimeCalculation,
    born_charges_port,
    describe_polarity,
    describe_primitive,
    describe_reference,
    reference_port,
    refuse_reference,
    validate_device,
    write_force_field,
    write_snapshots,
)
from aiida_mlcc.calculations.correlate import validate_names
from aiida_mlcc.data.force_field import ForceFieldData, Origin
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.runtime.delta_kinds import BASE, DELTA, Kind, fitted_kinds
from aiida_mlcc.runtime.task_records import FitTask
from aiida_mlcc.science.force_field.kinds import kind_of


class FitCalculation(RuntimeCalculation):
    """Fit E_method − E_base of every method by a kind of Δ, to whose needs the optional inputs belong."""

    TASK = 'fit'
    CHECKED = (
        'role',
        'kind',
        'parameters',
        'structure',
        'base',
        'snapshots',
        'base_method',
        'methods',
        'born_charges',
        'reference',
    )
    FORCE_FIELD_FOLDER = 'force_field'
    RESULT_FILES = ('delta_*', 'samples_*', FORCE_FIELD_FOLDER)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input(
            'role',
            valid_type=orm.Str,
            required=False,
            serializer=orm.to_aiida_type,
            help='`base` to fit the base itself, to the forces of `base_method`; `delta` by default.',
        )
        spec.input(
            'kind',
            valid_type=orm.Str,
            serializer=orm.to_aiida_type,
            help='; '.join(
                f'{role} `{name}`: {k.help}' for role in (BASE, DELTA) for name, k in fitted_kinds(role).items()
            ),
        )
        spec.input(
            'parameters', valid_type=orm.Dict, serializer=orm.to_aiida_type, help='The settings of the kind of Δ.'
        )
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input(
            'structure',
            valid_type=orm.StructureData,
            required=False,
            help='The primitive cell of the crystal, for a kind that needs it, and with `born_charges`.',
        )
        born_charges_port(spec)
        spec.input(
            'base',
            valid_type=ForceFieldData,
            required=False,
            help='The base force field, whose network stays as it is, for a kind that needs it.',
        )
        reference_port(spec)
        spec.input('base_method', valid_type=orm.Str, serializer=orm.to_aiida_type)
        spec.input(
            'methods',
            valid_type=orm.List,
            required=False,
            serializer=orm.to_aiida_type,
            validator=validate_names,
            help='Of which a Δ is fitted.',
        )
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of the folds.')
        spec.input(
            'device',
            valid_type=orm.Str,
            required=False,
            serializer=orm.to_aiida_type,
            validator=validate_device,
            help='Of a kind that evaluates a network; `cpu` by default.',
        )
        spec.output('force_field', valid_type=ForceFieldData, required=False, help='The base.')
        spec.output_namespace('delta', valid_type=ForceFieldData, dynamic=True, help='Δ per method, by its slug.')
        spec.output_namespace(
            'samples',
            valid_type=orm.ArrayData,
            dynamic=True,
            help='Other Δ that the labels allow, per method: what the error of a frequency is made from.',
        )

    @classmethod
    def refuse(cls, inputs: JobInputs) -> str | None:
        role = _role_of(inputs)
        if (reason := _refuse_kind(role, inputs)) is not None:
            return reason
        kind = fitted_kinds(role)[inputs['kind'].value]
        if (reason := kind.group_of_fit.refuse(inputs['parameters'].get_dict())) is not None:
            return reason
        if (reason := _refuse_needs(kind, inputs)) is not None:
            return reason
        there = inputs['snapshots'].methods
        for method in (inputs['base_method'].value, *(inputs['methods'].get_list() if role == DELTA else ())):
            if method not in there:
                return f'`snapshots` have no {method} labels to fit; their methods: {", ".join(there) or "none"}'
        return None

    @staticmethod
    def origin_of(inputs: JobInputs) -> Origin:
        """Return what the force fields of a job are, as :meth:`ForceFieldData.say_origin` takes it."""
        role, base_method = _role_of(inputs), inputs['base_method'].value
        return {
            'role': role,
            'kind': inputs['kind'].value,
            'seed': inputs['seed'].value,
            'base_method': None if role == BASE else base_method,
        }

    def write_task(self, folder: Folder) -> FitTask:
        base_method = self.inputs.base_method.value
        return {
            'role': _role_of(self.inputs),
            'kind': self.inputs.kind.value,
            'parameters': self.inputs.parameters.get_dict(),
            'snapshots': write_snapshots(folder, self.inputs.snapshots, 'snapshots.npz'),
            'primitive': describe_primitive(self.inputs.structure) if 'structure' in self.inputs else None,
            'polarity': describe_polarity(self.inputs.born_charges) if 'born_charges' in self.inputs else None,
            'base': write_force_field(folder, self.inputs.base, 'base') if 'base' in self.inputs else None,
            'reference': describe_reference(folder, self.inputs),
            'base_method': base_method,
            'methods': [base_method] if _role_of(self.inputs) == BASE else self.inputs.methods.get_list(),
            'seed': self.inputs.seed.value,
            'device': self.inputs.device.value if 'device' in self.inputs else 'cpu',
        }


def _role_of(inputs: JobInputs) -> str:
    return str(inputs['role'].value) if 'role' in inputs else DELTA


def _refuse_kind(role: str, inputs: JobInputs) -> str | None:
    if role not in (BASE, DELTA):
        return f'`role` is {role!r}: choose from {BASE}, {DELTA}'
    kinds, name = fitted_kinds(role), inputs['kind'].value
    if name not in kinds:
        what = 'Δ' if role == DELTA else role
        return f'{name!r} is not a kind of {what} that is fitted: choose from {", ".join(kinds)}'
    if (role == DELTA) != ('methods' in inputs):
        return f'a fit of a {role} takes {"no " if role == BASE else ""}`methods`'
    return None


def _refuse_needs(kind: Kind, inputs: JobInputs) -> str | None:
    """Refuse what a kind lacks, or what it would not look at."""
    if 'reference' in inputs and not kind.holds_force_constants:
        return f'`reference` is for a base with force constants: Δ of kind {kind.name} needs none'
    if (
        reason := refuse_reference(inputs.get('reference'), inputs['snapshots'], inputs['base_method'].value)
    ) is not None:
        return reason
    polar = 'born_charges' in inputs
    for name, is_needed in (('structure', kind.needs_crystal or polar), ('base', kind.needs_network)):
        if is_needed != (name in inputs):
            what = f'Δ of kind {kind.name}{" beside Born charges" if polar and name == "structure" else ""}'
            return f'{what} needs {"" if is_needed else "no "}`{name}`'
    if not kind.needs_network:
        return None
    base, base_method = inputs['base'], inputs['base_method'].value
    if base.method != base_method:
        return f'`base` stands for {base.method or "no method"}, but `base_method` is {base_method}'
    n_networks = sum(kind_of(term['kind']).gives_features for term in base.base.attributes.get('terms'))
    if n_networks != 1:
        return f'`base` has {n_networks} networks: Δ of kind {kind.name} needs one whose features it reads'
    return None
