"""ReadoutCalculation: Δ of several methods as linear readouts of the network of a base force field, in one job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec

from aiida_mlcc.calculations.base import RuntimeCalculation, validate_device, write_force_field, write_snapshots
from aiida_mlcc.calculations.correlate import validate_methods
from aiida_mlcc.calculations.parameters import refuse_settings
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData
from aiida_mlcc.science.force_field.kinds import kind_of


class ReadoutCalculation(RuntimeCalculation):
    """Ridge regression of E_method − E_base on E_base and the invariant features of the base's network."""

    TASK = 'readout'
    CHECKED = ('snapshots', 'base', 'base_method', 'methods')
    RESULT_FILES = ('delta_*',)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input('base', valid_type=ForceFieldData, help='The base force field, whose network stays as it is.')
        spec.input('base_method', valid_type=orm.Str, serializer=orm.to_aiida_type)
        spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_methods)
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of the folds.')
        spec.input('device', valid_type=orm.Str, default=lambda: orm.Str('cpu'), validator=validate_device)
        spec.input('parameters', valid_type=orm.Dict, serializer=orm.to_aiida_type, validator=_validate_parameters)
        spec.output_namespace('delta', valid_type=ForceFieldData, dynamic=True, help='Δ per method, by its slug.')

    @classmethod
    def refuse(cls, inputs: Mapping[str, Any]) -> str | None:
        base, base_method, there = inputs['base'], inputs['base_method'].value, inputs['snapshots'].methods
        if base.method != base_method:
            return f'`base` stands for {base.method or "no method"}, but `base_method` is {base_method}'
        n_networks = sum(kind_of(term['kind']).gives_features for term in base.base.attributes.get('terms'))
        if n_networks != 1:
            return f'`base` has {n_networks} networks: a readout needs one whose features it reads'
        for method in (base_method, *inputs['methods'].get_list()):
            if method not in there:
                return f'`snapshots` have no {method} labels to fit; their methods: {", ".join(there) or "none"}'
        return None

    def write_task(self, folder: Folder) -> dict[str, Any]:
        return {
            'snapshots': write_snapshots(folder, self.inputs.snapshots, 'snapshots.npz'),
            'base': write_force_field(folder, self.inputs.base, 'base'),
            'base_method': self.inputs.base_method.value,
            'methods': self.inputs.methods.get_list(),
            'seed': self.inputs.seed.value,
            'device': self.inputs.device.value,
            'parameters': self.inputs.parameters.get_dict(),
        }


def _validate_parameters(node: orm.Dict, _: Any) -> str | None:
    return refuse_settings('readout', node.get_dict())
