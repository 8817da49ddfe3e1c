"""FitCalculation: Δ of several methods as symmetry-adapted force constants plus a rescaled base, in one job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine.processes.calcjobs.calcjob import CalcJobProcessSpec

from aiida_mlcc.calculations.base import RuntimeCalculation, describe_primitive, write_snapshots
from aiida_mlcc.calculations.correlate import validate_methods
from aiida_mlcc.calculations.parameters import refuse_settings
from aiida_mlcc.data.force_field import ForceFieldData
from aiida_mlcc.data.snapshots import SnapshotsData


class FitCalculation(RuntimeCalculation):
    """Ridge regression of E_method − E_base on E_base and symmetry-adapted force constants."""

    TASK = 'fit'
    CHECKED = ('snapshots', 'base_method', 'methods')
    RESULT_FILES = ('delta_*', 'samples_*')

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        super().define(spec)
        spec.input('snapshots', valid_type=SnapshotsData)
        spec.input('structure', valid_type=orm.StructureData, help='The primitive cell of the crystal.')
        spec.input('base_method', valid_type=orm.Str, serializer=orm.to_aiida_type)
        spec.input('methods', valid_type=orm.List, serializer=orm.to_aiida_type, validator=validate_methods)
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of the folds.')
        spec.input('parameters', valid_type=orm.Dict, serializer=orm.to_aiida_type, validator=_validate_parameters)
        spec.output_namespace('delta', valid_type=ForceFieldData, dynamic=True, help='Δ per method, by its slug.')
        spec.output_namespace(
            'samples',
            valid_type=orm.ArrayData,
            dynamic=True,
            help='Other Δ that the labels allow, per method: what the error of a frequency is made from.',
        )

    @classmethod
    def refuse(cls, inputs: Mapping[str, Any]) -> str | None:
        there = inputs['snapshots'].methods
        for method in (inputs['base_method'].value, *inputs['methods'].get_list()):
            if method not in there:
                return f'`snapshots` have no {method} labels to fit; their methods: {", ".join(there) or "none"}'
        return None

    def write_task(self, folder: Folder) -> dict[str, Any]:
        return {
            'snapshots': write_snapshots(folder, self.inputs.snapshots, 'snapshots.npz'),
            'primitive': describe_primitive(self.inputs.structure),
            'base_method': self.inputs.base_method.value,
            'methods': self.inputs.methods.get_list(),
            'seed': self.inputs.seed.value,
            'parameters': self.inputs.parameters.get_dict(),
        }


def _validate_parameters(node: orm.Dict, _: Any) -> str | None:
    return refuse_settings('fit', node.get_dict())
