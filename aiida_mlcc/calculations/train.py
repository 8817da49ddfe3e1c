"""TrainCalculation: a MACE network on the labels of a method, or on the difference of two methods."""

from __future__ import annotations

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec
from ase.data import chemical_symbols

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
from aiida_mlcc.calculations.ports import settings_port
from aiida_mlcc.data.force_field import ForceFieldData, Origin
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.runtime.delta_kinds import BASE, CONTROL, DELTA, DISTILLED
from aiida_mlcc.runtime.mace.training_settings import Network, Training
from aiida_mlcc.runtime.task_records import TrainTask
from aiida_mlcc.science.fit.base_correction import Correction
from aiida_mlcc.science.fit.base_model import BaseForceConstants
from aiida_mlcc.science.force_field.kinds import kind_of
from aiida_mlcc.science.json_values import Json
from aiida_mlcc.science.labels.methods import PREDICTED, usual_kind


class TrainCalculation(RuntimeCalculation):
    """Train one network with one seed: on energies and forces of `method`, or on energies of `method` − `minus`.

    A base is told by `structure` how far its frequencies are off, and corrected by force constants with `correction`.
    With `reference`, a network without force constants of its own learns those of the reference in the end.
    """

    TASK = 'train'
    CHECKED = (
        'snapshots',
        'method',
        'minus',
        'forces',
        'structure',
        'correction',
        'born_charges',
        'force_constants',
        'reference',
        'start_from',
    )
    FORCE_FIELD_FOLDER = 'force_field'
    HISTORY_FILE = 'history.jsonl'
    RESULT_FILES = (FORCE_FIELD_FOLDER, HISTORY_FILE)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input('method', valid_type=orm.Str, serializer=orm.to_aiida_type, help='The method to learn.')
        spec.input(
            'minus',
            valid_type=orm.Str,
            required=False,
            serializer=orm.to_aiida_type,
            help='Learn the difference to this method instead: a Δ.',
        )
        spec.input(
            'forces',
            valid_type=orm.Bool,
            required=False,
            serializer=orm.to_aiida_type,
            help='Whether to learn forces too: by default those of a method, but not differences of forces.',
        )
        spec.input(
            'structure',
            valid_type=orm.StructureData,
            required=False,
            help='The primitive cell of the crystal: the errors then tell what the base leaves to each mode.',
        )
        born_charges_port(spec)
        settings_port(
            spec,
            'correction',
            Correction,
            required=False,
            help='Add force constants fitted to the forces that the network leaves.',
        )
        settings_port(
            spec,
            'force_constants',
            BaseForceConstants,
            required=False,
            help='Fit force constants first; the network learns what they leave.',
        )
        reference_port(spec)
        spec.input(
            'start_from',
            valid_type=ForceFieldData,
            required=False,
            help='A network to go on from, such as an imported one, in the place of random weights. `network` must be '
            'its architecture; protocols fill that in.',
        )
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of split, weights and order.')
        spec.input('device', valid_type=orm.Str, default=lambda: orm.Str('cpu'), validator=validate_device)
        settings_port(spec, 'network', Network, help='The network.')
        settings_port(spec, 'training', Training, help='How it is trained.')
        spec.output('force_field', valid_type=ForceFieldData)
        spec.exit_code(
            420,
            'ERROR_NO_BETTER_THAN_RESCALING',
            message='On the frames held out, the network errs by {network:.3f} meV/atom, and rescaling the energy of '
            'the base by one parameter by {rescaling:.3f}: it has learnt nothing worth a network. Train longer, give '
            'it more energies, or choose another kind of Δ. Its force field is kept.',
        )
        spec.output('history', valid_type=orm.ArrayData, required=False, help='Losses and errors epoch by epoch.')

    @classmethod
    def refuse(cls, inputs: JobInputs) -> str | None:  # noqa: C901
        for node in (inputs.get('method'), inputs.get('minus')):
            method = None if node is None else node.value
            if method is not None and method not in inputs['snapshots'].methods:
                there = ', '.join(inputs['snapshots'].methods) or 'none'
                return f'`snapshots` have no {method} labels to learn from; their methods: {there}'
        is_delta, forces = 'minus' in inputs, inputs.get('forces')
        learns_forces = not is_delta if forces is None else forces.value
        of_base = ('structure', 'correction', 'born_charges', 'force_constants', 'reference', 'start_from')
        if is_delta and (given := [name for name in of_base if name in inputs]):
            return f'`{given[0]}` is for a base: leave it out where `minus` asks for a Δ'
        for name in ('correction', 'born_charges', 'force_constants'):
            if name in inputs and 'structure' not in inputs:
                return f'`{name}` needs `structure`, the primitive cell of the crystal'
        if 'reference' in inputs:
            if not learns_forces:
                return '`reference` teaches the harmonic forces of a base, but `forces` is false'
            if 'structure' not in inputs:
                return '`reference` needs `structure`, the primitive cell of the crystal'
        if (
            reason := refuse_reference(inputs.get('reference'), inputs['snapshots'], inputs['method'].value)
        ) is not None:
            return reason
        if 'start_from' in inputs:
            if (reason := _refuse_start(inputs)) is not None:
                return reason
        elif (reason := refuse_frozen(inputs.get('training'), None)) is not None:
            return reason
        if 'correction' in inputs and not learns_forces:
            return '`correction` is fitted to forces, but `forces` is false'
        return None

    @staticmethod
    def origin_of(inputs: JobInputs) -> Origin:
        """Return what the force field of a job is, as :meth:`ForceFieldData.say_origin` takes it."""
        minus = inputs['minus'].value if 'minus' in inputs else None
        forces = inputs['forces'].value if 'forces' in inputs else minus is None
        of_energies = BASE if forces else CONTROL
        if forces and usual_kind(inputs['method'].value) == PREDICTED:
            of_energies = DISTILLED
        return {
            'role': of_energies if minus is None else DELTA,
            'kind': 'force-constants+mace' if 'force_constants' in inputs else 'mace',
            'seed': inputs['seed'].value,
            'base_method': minus,
        }

    def write_task(self, folder: Folder) -> TrainTask:
        minus = self.inputs.minus.value if 'minus' in self.inputs else None
        forces = self.inputs.forces.value if 'forces' in self.inputs else minus is None
        return {
            'snapshots': write_snapshots(folder, self.inputs.snapshots, 'snapshots.npz'),
            'target': {'method': self.inputs.method.value, 'minus': minus, 'forces': forces},
            'network': self.inputs.network.get_dict(),
            'training': self.inputs.training.get_dict(),
            'seed': self.inputs.seed.value,
            'device': self.inputs.device.value,
            'primitive': describe_primitive(self.inputs.structure) if 'structure' in self.inputs else None,
            'polarity': describe_polarity(self.inputs.born_charges) if 'born_charges' in self.inputs else None,
            'correction': self.inputs.correction.get_dict() if 'correction' in self.inputs else None,
            'reference': describe_reference(folder, self.inputs),
            'start_from': (
                write_force_field(folder, self.inputs.start_from, 'start') if 'start_from' in self.inputs else None
            ),
            'force_constants': self.inputs.force_constants.get_dict() if 'force_constants' in self.inputs else None,
        }


def network_of(node: ForceFieldData) -> Json:
    """Return the settings of the only network of a force field, as :class:`Network` has them, and its elements.

    :raises ValueError: where it is not a single network.
    """
    terms = node.describe()['terms']
    if len(terms) != 1 or not kind_of(terms[0]['kind']).gives_features or terms[0]['weight'] != 1:
        kinds = ', '.join(f'{term["weight"]:g} × {term["kind"]}' for term in terms)
        raise ValueError(f'a training starts from a single network of weight 1, and that force field has: {kinds}')
    return dict(terms[0]['settings'])


def refuse_frozen(training: orm.Dict | None, start_from: ForceFieldData | None) -> str | None:
    """Refuse parts that stay as they are in a network of random weights."""
    if start_from is not None or training is None or not (frozen := training.get_dict().get('frozen')):
        return None
    return f'`training.frozen` keeps {", ".join(frozen)} of the network in `start_from`, which is missing'


def _refuse_start(inputs: JobInputs) -> str | None:
    """Refuse a force field that is not one network of the elements and the architecture asked for."""
    for name, energy in (('force_constants', 'the force constants leave'), ('born_charges', 'the dipoles leave')):
        if name in inputs:
            return f'`start_from` is a network of whole energies, but with `{name}` it would learn what {energy}'
    try:
        settings = network_of(inputs['start_from'])
    except ValueError as error:
        return f'`start_from`: {error}'
    known = {chemical_symbols[number] for number in settings['atomic_numbers']}
    if unknown := sorted(set(inputs['snapshots'].get_snapshots().symbols) - known):
        return f'`start_from` knows the elements {", ".join(sorted(known))}, not {", ".join(unknown)}'
    asked = inputs['network'].get_dict()
    if different := [name for name in Network.rules() if asked[name] != settings[name]]:
        name = different[0]
        return (
            f'`network.{name}` is {asked[name]!r}, but the network of `start_from` has {settings[name]!r}: take the '
            'settings of `start_from`'
        )
    return None
